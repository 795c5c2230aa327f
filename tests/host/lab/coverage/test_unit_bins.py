"""Crosses of optional units: each program fills its own, and only those of its configuration."""

import pytest

from systolith_host.lab.coverage.unit_bins import CROSSES
from systolith_host.lab.faults.campaign import CAMPAIGN_CONFIGS
from systolith_hw.spec.isa import Buffer, Instruction, Opcode

ALL, TINY = CAMPAIGN_CONFIGS["all-units"], CAMPAIGN_CONFIGS["tiny"]


def load(buffer=Buffer.WEIGHT, **fields):
    return Instruction(Opcode.LOAD, {"buffer": buffer, **fields})


def conv(**fields):
    return Instruction(Opcode.CONV, fields)


def store(**fields):
    return Instruction(Opcode.STORE, fields)


def names(config):
    return {name for cross in CROSSES for name in cross.bins(config)}


def reached(*program, config=ALL):
    return {name for cross in CROSSES for name in cross.reached(config, program)}


PATCHES = {"winograd": 1, "patches": 2, "x_count": 6, "y_count": 6, "n_count": 2}


@pytest.mark.parametrize(
    ("program", "bins"),
    [
        (
            [conv(**PATCHES, c_count=2), conv(clear=1), conv(gather=1, units=2)],
            {"kinds/winograd then direct", "kinds/direct then gather", "chunks/add/two"},
        ),
        (
            [
                load(Buffer.ACT, pad_top=1, pad_left=2),
                load(Buffer.ACT),
                conv(**PATCHES, clear=1, c_count=9, after_loaded_act=1),
                conv(after_loaded_act=2),
            ],
            {
                "chunks/clear/more",
                "kinds/winograd then direct",
                "padding/direct/add/none",
                "padding/winograd/clear/left",
                "padding/winograd/clear/top",
            },
        ),
        (
            # Words of two bytes, beats of eight.
            [load(gather=1, nibbles=1, runs=3, run_words=2, run_pitch=4, addr=8)],
            {
                f"weights/gathered/nibbles/{place} a beat's {end}"
                for place in ("at", "inside")
                for end in ("begin", "end")
            },
        ),
        (
            [load(addr=8, run_words=4)],
            {f"weights/in order/bytes/at a beat's {e}" for e in ("begin", "end")},
        ),
        (
            [store(winograd=1, pool=1, table=1, width=6, height=8, x_count=2, y_count=2)],
            {"results/table/winograd/pooled", "edges/pooled/2 by 0", "strips/pooled/two"},
        ),
        (
            [store(winograd=1, width=3, height=5, y_count=2, n_count=3)],
            {
                "results/plain/winograd/sums",
                "edges/sums/3 by 1",
                "strips/sums/more",
                "strips/sums/images",
            },
        ),
        ([store(stacked=1, table=1)], {"results/table/stacked/sums"}),
        ([store(dx_count=2)], {"results/plain/direct/pooled"}),
    ],
)
def test_a_program_fills_its_own(program, bins):
    assert reached(*program) == bins
    assert bins <= names(ALL)


def test_a_configuration_without_the_units_has_none():
    assert names(TINY) == set()


def test_every_cross_has_bins_and_a_reason():
    for cross in CROSSES:
        assert len(set(cross.bins(ALL))) > 1
        assert len(cross.reason) > 40
