"""Bins of fields, faults and tiles: what a program fills, and what it does not."""

import pytest

from systolith_host.lab.coverage.field_bins import FieldBins
from systolith_host.lab.faults.campaign import CAMPAIGN_CONFIGS
from systolith_host.lab.faults.stand import Seen
from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.registers import STATUS_DONE, STATUS_ERROR, Engine, ErrorCode
from systolith_sim.faults.bench import Observed, Outcome

TINY = CAMPAIGN_CONFIGS["tiny"]
OBSERVED = Observed(0, 0, 0, 0, 0, 0, 0, 0, True, "")
DONE = Seen(True, Outcome(STATUS_DONE, 0, 0, 0), OBSERVED)


def load(**fields):
    return Instruction(Opcode.LOAD, {"pixels": 1, "rows": 1, **fields}).encode()


def reached(*programs, seen=DONE, config=TINY):
    bins = FieldBins(config)
    for program in programs:
        bins.watch(program, seen)
    return {target.name for target, count in bins.targets().items() if count}


def test_a_field_fills_the_bin_of_its_value():
    depth = TINY.act_depth
    first = reached(load(dest=depth - 1, pad_top=255))
    assert {"LOAD/dest/high", "LOAD/pad_top/high", "LOAD/pad_left/low"} <= first
    assert "LOAD/dest/middle" in reached(load(dest=1))
    assert "LOAD/dest/low" in reached(load())
    assert {"tile/whole/padding top", "tile/whole/one pixel", "region/ACT/one run"} <= first


def test_a_field_that_decides_nothing_fills_none():
    assert "LOAD/pad_top/high" not in reached(load(buffer=Buffer.PARAM, pad_top=255))
    conv = Instruction(Opcode.CONV, {"x_step": 7}).encode()
    assert "CONV/x_step/middle" not in reached(conv)
    assert "CONV/x_step/middle" in reached(
        Instruction(Opcode.CONV, {"x_step": 7, "x_count": 2}).encode()
    )


def test_tokens_are_none_some_or_all_that_came_before():
    def conv(count):
        return Instruction(Opcode.CONV, {"after_loaded_act": count}).encode()

    for count, label in enumerate(("none", "some", "all before")):
        found = reached(load() + load() + conv(count))
        assert {name for name in found if name.startswith("CONV/after_loaded_act/")} == {
            f"CONV/after_loaded_act/{label}"
        }


def test_the_least_of_a_field_is_1_where_0_is_refused():
    config = CAMPAIGN_CONFIGS["all-units"]
    one = Instruction(Opcode.CONV, {"gather": 1, "units": 1}).encode()
    assert "CONV/units/low" in reached(one, config=config)
    most = Instruction(Opcode.STORE, {"winograd": 1, "width": 24, "height": 1}).encode()
    assert {"STORE/width/high", "STORE/height/low"} <= reached(most, config=config)


def test_a_program_that_fails_fills_the_bin_of_its_fault_alone():
    outcome = Outcome(STATUS_ERROR, ErrorCode.BUFFER, Engine.LOAD, 0)
    found = reached(load(dest=TINY.act_depth - 1), seen=Seen(True, outcome, OBSERVED))
    assert found == {"fault/BUFFER/LOAD"}


def test_a_program_that_is_left_out_leaves_its_bins_empty():
    both = load(dest=5), load(pad_left=3)
    assert reached(*both) > reached(both[0])


@pytest.mark.parametrize("config", CAMPAIGN_CONFIGS.values(), ids=CAMPAIGN_CONFIGS)
def test_every_configuration_has_its_own_bins(config):
    names = {target.name for target in FieldBins(config).targets()}
    assert ("CONV/winograd/1" in names) == bool(config.winograd)
    assert ("LOAD/nibbles/1" in names) == bool(config.nibbles)
    assert ("LOAD/lane/high" in names) == (config.row_groups > 1)
    assert len([name for name in names if name.startswith("fault/")]) == 17
