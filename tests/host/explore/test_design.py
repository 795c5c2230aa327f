"""The search for a target stays within what fits there, and begins where it is told."""

import dataclasses

import pytest

from systolith_host.boards.board import BOARDS, check_bus, most_burst
from systolith_host.errors import SystolithError
from systolith_host.explore.design import (
    GOALS,
    Target,
    dense_inputs,
    design_space,
    nearest,
    order,
    starts,
)
from systolith_host.explore.results import Result
from systolith_host.flow.load import shape_network
from systolith_host.fpga.parts import load_part
from systolith_hw.spec.presets import PRESETS

BOARD = BOARDS["ecpix5-85f"]
PART = load_part(BOARD.part)
TARGET = Target(PART, 3.66, BOARD.system)


def test_the_room_is_what_the_system_leaves_of_a_part_that_is_not_full():
    room = TARGET.room.resources
    assert room["LUT"] == int(0.75 * PART.resources["LUT"]) - BOARD.system["LUT"]
    assert room["FF"] == int(0.75 * PART.resources["FF"]) - BOARD.system["FF"]
    assert room["DSP"] == PART.resources["DSP"]
    assert room["block RAM"] == int(0.9 * PART.resources["block RAM"])
    small = Target(PART, 3.66, BOARDS["ecpix5-85f"].systems["ethernet"], max_dsp=40).room.resources
    assert small["DSP"] == 40
    assert small["block RAM"] == room["block RAM"] - 4


@pytest.mark.parametrize("name", ["ecp5-85f", "ecp5-85f-winograd", "tiny", "k26"])
def test_the_preset_where_a_search_begins_is_in_the_space(name):
    base = PRESETS[name]
    space = design_space(base, TARGET)
    values = space.values(nearest(space))
    assert space.number(values) == nearest(space)
    assert (values["rows"], values["cols"]) == (base.rows, base.cols)
    assert values["act_buffer"] == base.act_bytes
    assert values["winograd"] == base.winograd
    assert values["bandwidth"] == 3.66
    assert min(space.axes["bus_bytes"]) == 4  # no narrower than the memory


def test_units_that_gather_are_a_choice_where_inputs_are_zero():
    base = PRESETS["ecp5-85f-winograd"]
    inputs = dense_inputs(shape_network("vgg16"))
    assert inputs == 49 * 22 * 24  # 512 channels in blocks of 24
    space = design_space(base, TARGET, inputs, 0.1)
    assert space.axes["gather"] == (0, inputs)
    values = space.values(nearest(space))
    assert (values["gather"], values["density"]) == (0, 0.1)
    for number in starts(space):
        point = space.point(space.values(number))
        assert point.density == 0.1
    with_units = space.point(values | {"gather": inputs})
    assert with_units.config is not None
    assert with_units.resources["LUT"] > space.point(values).resources["LUT"]
    assert with_units.resources["block RAM"] > space.point(values).resources["block RAM"]
    assert "gather" not in design_space(base, TARGET).axes


def test_what_does_not_fit_is_no_choice():
    space = design_space(PRESETS["k26"], TARGET)
    assert "DSP" in space.point(space.values(nearest(space))).reason
    fits = design_space(PRESETS["ecp5-85f-winograd"], TARGET)
    assert not fits.point(fits.values(nearest(fits))).reason
    full = Target(PART, 3.66, BOARD.system, fill=0.4)
    fits = design_space(PRESETS["ecp5-85f-winograd"], full)
    assert "LUT" in fits.point(fits.values(nearest(fits))).reason


def test_no_bus_makes_bursts_that_the_boards_memory_cannot_take():
    board = BOARDS["ulx3s-85f"]
    limit = most_burst(board.native_bytes)
    target = Target(load_part(board.part), 0.96, board.system, most_burst=limit)
    base = PRESETS["ecp5-85f-winograd"]
    longer = dataclasses.replace(base, burst_beats=2 * base.burst_beats)
    for config in (base, longer):
        for width in design_space(config, target).axes["bus_bytes"]:
            check_bus(dataclasses.replace(config, bus_bytes=int(width)), board.native_bytes, "it")
    assert design_space(longer, target).axes["bus_bytes"] == [4, 8]
    longest = dataclasses.replace(base, bus_bytes=4, burst_beats=256)
    with pytest.raises(SystolithError, match=r"takes 512 bytes; lower burst_beats"):
        design_space(longest, target)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"bandwidth": 0.0}, "must give 0.01 to 64 bytes per cycle, not 0"),
        ({"bandwidth": 65.0}, "change --bandwidth or --clock"),
        ({"fill": 0.0}, "--fill must be above 0"),
        ({"fill": 1.5}, "at most 1, not 1.5"),
        ({"fill": 0.01}, "raise --fill"),
    ],
)
def test_targets_without_room_are_refused(changes, error):
    fields = {"part": PART, "bandwidth": 4.0, "own": BOARD.system} | changes
    with pytest.raises(SystolithError, match=error):
        Target(**fields)


def test_the_goal_decides_and_the_other_one_where_it_is_equal():
    fast = Result("a", {}, "", estimated_cycles=5, estimated_bytes=9)
    lean = Result("b", {}, "", estimated_cycles=6, estimated_bytes=8)
    exact = Result("c", {}, "", 9, 9, cycles=5, traffic_bytes=7)
    assert min(fast, lean, key=lambda one: order("frames", one)) is fast
    assert min(fast, lean, key=lambda one: order("traffic", one)) is lean
    for goal in GOALS:
        assert min(fast, lean, exact, key=lambda one: order(goal, one)) is exact


def test_energies_decide_among_replayed_points():
    fast = Result("a", {}, "", 9, 9, cycles=5, traffic_bytes=7, energy_pj=90)
    frugal = Result("b", {}, "", 9, 9, cycles=20, traffic_bytes=9, energy_pj=30)
    wanted = {"frames": fast, "traffic": fast, "energy": frugal, "energy-delay": fast}
    for goal, best in wanted.items():
        assert min(fast, frugal, key=lambda one: order(goal, one, replayed=True)) is best
