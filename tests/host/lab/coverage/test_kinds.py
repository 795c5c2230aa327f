"""Programs of all kinds of convolution: they keep every wait, end DONE, and fill their crosses."""

import random
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest

from systolith_host.lab.coverage import kinds
from systolith_host.lab.coverage.draft import SIZE
from systolith_host.lab.coverage.unit_bins import CROSSES
from systolith_host.lab.faults.campaign import CAMPAIGN_CONFIGS
from systolith_host.lab.faults.programs import Layer, emulate
from systolith_hw.spec.isa import decode
from systolith_hw.spec.registers import ErrorCode

KINDS = ("direct", "winograd", "gather")
BEYOND = "taps behind the weights"


class Emulated:
    """Stands for a Director: programs run on the strict emulator, which refuses races."""

    def __init__(self, config):
        self.stand = SimpleNamespace(config=config)
        self.rng = random.Random(3)
        self.seen = []

    def run(self, draft, memory, what, *_):
        config, layer = self.stand.config, Layer(memory, memory, 0, draft.count)
        outcome = emulate(config, layer, memory, strict=True, window=(0, SIZE))
        self.seen.append((what, outcome.code, [decode(code, config) for code in draft.code]))


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(kinds, "_PROGRAMS", 8)
    monkeypatch.setattr(kinds, "_FULL", 1)


def test_programs_of_all_kinds_keep_their_waits_and_fill_their_crosses(few):
    config = CAMPAIGN_CONFIGS["all-units"]
    director: Any = Emulated(config)
    kinds.kinds(director)
    assert [code for what, code, _ in director.seen if what == BEYOND] == [ErrorCode.BUFFER] * 2
    assert {code for what, code, _ in director.seen if what != BEYOND} == {ErrorCode.NONE}
    filled = {
        name
        for _, _, program in director.seen
        for cross in CROSSES
        for name in cross.reached(config, program)
    }
    changes = {f"kinds/{first} then {second}" for first, second in permutations(KINDS, 2)}
    assert changes | {"strips/sums/images", "chunks/add/more"} <= filled


def test_a_configuration_of_one_kind_has_no_such_programs(few):
    director: Any = Emulated(CAMPAIGN_CONFIGS["tiny"])
    kinds.kinds(director)
    assert not director.seen
