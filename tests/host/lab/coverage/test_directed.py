"""Directed tests on an accelerator: the short ones pass, and a wrong result is noticed."""

import random
from dataclasses import replace

import pytest

from systolith_host.lab.coverage import directed
from systolith_host.lab.coverage import stand as director_stand
from systolith_host.lab.coverage.draft import SIZE
from systolith_host.lab.faults.campaign import CAMPAIGN_CONFIGS
from systolith_host.lab.faults.judge import FaultError
from systolith_host.lab.faults.programs import random_layers
from systolith_host.lab.faults.stand import Stand
from systolith_hw.spec.presets import PRESETS
from systolith_sim.faults.bench import FaultBench
from systolith_sim.rtl.build import SimulatorError
from systolith_sim.rtl.simulator import simulation_verilog

pytestmark = pytest.mark.rtl

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    image = tmp_path_factory.mktemp("directed") / "image"
    with FaultBench.of(TINY, simulation_verilog(TINY), image, SIZE) as bench:
        yield Stand(bench, random_layers(random.Random(1), TINY, 4))


SHORT = ("registers", "full buffers", "leftovers", "registers again")


def test_the_short_ones_pass(stand, monkeypatch):
    monkeypatch.setattr(directed, "DIRECTED", {name: directed.DIRECTED[name] for name in SHORT})
    assert tuple(directed.direct(stand, 3)) == SHORT


@pytest.mark.requirement("ERR-4")
def test_weights_that_are_gathered_for_no_conv_are_left_over(tmp_path, monkeypatch):
    config = CAMPAIGN_CONFIGS["all-units"]
    monkeypatch.setattr(directed, "DIRECTED", {"leftovers": directed.DIRECTED["leftovers"]})
    with FaultBench.of(config, simulation_verilog(config), tmp_path / "image", SIZE) as bench:
        layers = random_layers(random.Random(1), config, 1)
        assert list(directed.direct(Stand(bench, layers), 3)) == ["leftovers"]


def test_a_wrong_result_is_noticed(stand, monkeypatch):
    original = director_stand.emulate

    def wrong(*arguments, **options):
        outcome = original(*arguments, **options)
        memory = outcome.memory.copy()
        memory[-1] ^= 1
        return replace(outcome, memory=memory)

    monkeypatch.setattr(director_stand, "emulate", wrong)
    monkeypatch.setattr(directed, "DIRECTED", {"full buffers": directed.DIRECTED["full buffers"]})
    with pytest.raises(FaultError, match=r"^silent: buffers filled with 0"):
        list(directed.direct(stand, 3))


def test_a_bench_that_does_not_count_says_so(stand):
    with pytest.raises(SimulatorError, match="built without coverage"):
        stand.bench.coverage()
