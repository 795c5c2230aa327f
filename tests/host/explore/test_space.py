"""Axes, their values, and the accelerators that points stand for."""

import dataclasses

import pytest

from systolith_host.errors import SystolithError
from systolith_host.explore.space import AXES, Space, parse_values, read_sweep
from systolith_host.fpga.parts import PARTS
from systolith_hw.spec.presets import PRESETS

DEFAULT = PRESETS["default-direct"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", (8,)),
        ("8,16,8", (8, 16)),
        ("2..16", (2, 4, 8, 16)),
        ("2..15", (2, 4, 8)),
        ("32K..128K", (32768, 65536, 131072)),
        ("4..10 step 3", (4, 7, 10)),
        ("1M, 2KiB", (1 << 20, 2048)),
    ],
)
def test_values(text, values):
    assert parse_values("rows", text) == values


@pytest.mark.parametrize(
    "text", ["", " ", "x", "8,", "0", "16..8", "-4", "4..8 step 0", "1.5", "9" * 400]
)
def test_what_is_no_list_of_values_is_refused(text):
    with pytest.raises(SystolithError, match="--act-buffer"):
        parse_values("act_buffer", text)


def test_a_turnaround_may_be_none():
    assert parse_values("turnaround", "0,4..16") == (0, 4, 8, 16)
    with pytest.raises(SystolithError, match="--turnaround: a range must rise"):
        parse_values("turnaround", "0..16")
    with pytest.raises(SystolithError, match="--latency: a range must rise"):
        parse_values("latency", "0,4")


def test_weights_of_4_bits_bring_their_unit():
    assert parse_values("weight_bits", "4,8") == (4, 8)
    with pytest.raises(SystolithError, match=r"--weight-bits: must be 4 or 8, not '4,5'"):
        parse_values("weight_bits", "4,5")
    narrow, plain = Space(DEFAULT, {"weight_bits": (4, 8)}).points()
    assert narrow.config is not None
    assert plain.config is not None
    assert (narrow.config.nibbles, narrow.weight_bits) == (1, {"fc": 4})
    assert (plain.config.nibbles, plain.weight_bits) == (0, {})
    assert dataclasses.replace(narrow.config, nibbles=0) == plain.config


def test_a_density_is_a_share_and_no_units_gather_at_0():
    assert parse_values("density", "0,0.108,0.25..1") == (0, 0.108, 0.25, 0.5, 1)
    assert parse_values("gather", "0,25088") == (0, 25088)
    with pytest.raises(SystolithError, match=r"--density: must be 0 to 1, not '0\.5,2'"):
        parse_values("density", "0.5,2")
    with pytest.raises(SystolithError, match="--gather: must be whole numbers"):
        parse_values("gather", "0.5")


def test_units_that_gather_have_room_for_whole_blocks():
    space = Space(DEFAULT, {"rows": (8, 16), "gather": (0, 25090), "density": (0.1,)})
    points = list(space.points())
    assert [point.density for point in points] == [0.1] * 4
    configs = [point.config for point in points if point.config is not None]
    assert [(one.rows, one.gather) for one in configs] == [(8, 0), (8, 25096), (16, 0), (16, 25104)]


def test_an_endless_range_is_refused():
    with pytest.raises(SystolithError, match="more than"):
        parse_values("bandwidth", "1..1000000 step 0.5")
    with pytest.raises(SystolithError, match="more than"):
        parse_values("bandwidth", "1000000..1000001 step 0.00000000001")


def test_points_are_all_combinations_in_order():
    space = Space(DEFAULT, {"bandwidth": (2.0, 4.0), "rows": (8, 16)})
    points = [dict(point.values) for point in space.points()]
    assert space.size == len(points) == 4
    assert [(p["rows"], p["bandwidth"]) for p in points] == [(8, 2), (8, 4), (16, 2), (16, 4)]


def test_a_sample_is_a_part_and_the_same_again():
    space = Space(DEFAULT, {axis: tuple(range(8, 108)) for axis in ("rows", "cols", "acc_depth")})
    chosen = [dict(point.values) for point in space.points(20, seed=3)]
    assert chosen == [dict(point.values) for point in space.points(20, seed=3)]
    assert len({tuple(values.items()) for values in chosen}) == 20


def test_a_sample_of_a_huge_space_takes_no_time():
    axes = {axis: tuple(range(1, 1001)) for axis in ("rows", "cols", "acc_depth", "bandwidth")}
    assert len(list(Space(DEFAULT, axes).points(5))) == 5


def test_the_base_is_a_point_of_itself():
    point = Space(DEFAULT, {"rows": (16,)}).point({"rows": 16})
    assert point.config is not None
    assert point.config.fingerprint == DEFAULT.fingerprint
    assert point.bandwidth == DEFAULT.bus_bytes


@pytest.mark.parametrize("rows", [2, 4, 8, 12, 32, 64])
@pytest.mark.parametrize("bandwidth", [1, 24, 64])
def test_what_follows_from_an_array_is_legal(rows, bandwidth):
    values = {"rows": rows, "cols": rows, "bandwidth": bandwidth}
    point = Space(DEFAULT, {name: (value,) for name, value in values.items()}).point(values)
    assert point.reason == ""
    assert point.config is not None
    assert point.config.bus_bytes >= bandwidth


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"rows": 5}, "cols must be a multiple or a divisor"),
        ({"rows": 256}, "rows must be between"),
        ({"act_buffer": 16}, "act_depth"),
        ({"bandwidth": 128}, "bus_bytes must be"),
        ({"bandwidth": 32, "bus_bytes": 16}, "at least the bandwidth"),
        ({"latency": 1}, "memory latency must be"),
        ({"turnaround": 65}, "memory turnaround must be"),
        ({"outstanding": 65}, "outstanding_reads must be"),
    ],
)
def test_what_cannot_be_built_has_a_reason(values, reason):
    point = Space(DEFAULT, {name: (value,) for name, value in values.items()}).point(values)
    assert point.config is None
    assert reason in point.reason


def test_limits_are_reasons():
    space = Space(DEFAULT, {"rows": (16,)}, max_multipliers=100)
    assert "272 multipliers, more than 100" in next(space.points()).reason
    space = Space(DEFAULT, {"rows": (16,)}, max_memory=1000)
    assert "bytes of buffers" in next(space.points()).reason


def test_an_fpga_is_a_limit():
    space = Space(DEFAULT, {"rows": (16,)}, part=PARTS["lfe5u-85f-6"])
    reason = next(space.points()).reason
    assert "272 DSP needed, 156 there" in reason
    small = Space(PRESETS["ecp5-85f"], {"rows": (12,)}, part=PARTS["lfe5u-85f-6"])
    assert next(small.points()).reason == ""


def test_latency_turnaround_and_outstanding_bursts_reach_memory_and_accelerator():
    values = {"latency": 7, "turnaround": 5, "outstanding": 3}
    point = Space(DEFAULT, {name: (value,) for name, value in values.items()}).point(values)
    assert point.config is not None
    assert (point.config.outstanding_reads, point.config.outstanding_writes) == (3, 2)
    assert (point.memory.latency, point.memory.turnaround) == (7, 5)


def test_a_sweep_file(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text('rows = [8, 16]\nbandwidth = "2..8"\nact_buffer = "64K"\n')
    assert read_sweep(path) == {"rows": (8, 16), "bandwidth": (2, 4, 8), "act_buffer": (65536,)}


@pytest.mark.parametrize(
    ("text", "error"),
    [("depth = 1", "no such axis: depth"), ("rows = [", "not TOML"), ("rows = []", "no values")],
)
def test_a_bad_sweep_file_is_refused(tmp_path, text, error):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(SystolithError, match=error):
        read_sweep(path)


def test_axes_without_values_are_refused():
    with pytest.raises(SystolithError, match="no values"):
        Space(DEFAULT, {"rows": ()})
    with pytest.raises(SystolithError, match="axis must be one of"):
        Space(DEFAULT, {"depth": (1,)})
    assert "bandwidth" in AXES


def test_winograd_is_an_axis_and_brings_its_accumulators():
    assert parse_values("winograd", "0,14,28") == (0, 14, 28)
    space = Space(DEFAULT, {"winograd": (0, 28, 56)})
    plain, same, larger = (point.config for point in space.points())
    assert plain is not None
    assert plain.fingerprint == DEFAULT.fingerprint
    assert same is not None
    assert (same.winograd, same.acc_depth) == (28, DEFAULT.acc_depth)
    assert larger is not None
    assert (larger.winograd, larger.acc_depth) == (56, 36 * 56)
    memory = [point.memory_bytes for point in space.points()]
    assert memory == sorted(set(memory))
    assert "winograd must be" in next(Space(DEFAULT, {"winograd": (3,)}).points()).reason
    both = Space(DEFAULT, {"winograd": (28,), "acc_depth": (256,)})
    assert "winograd needs 36 pixels of acc_depth a patch" in next(both.points()).reason


def test_winograds_tiles_shrink_with_the_accumulators():
    space = Space(PRESETS["default"], {"acc_depth": (1024, 575, 128, 4096)})
    configs = [point.config for point in space.points()]
    found = [(config.acc_depth, config.winograd) for config in configs if config is not None]
    assert found == [(1024, 28), (575, 15), (128, 0), (4096, 28)]


def test_winograds_memories_count_for_an_fpga():
    base = dataclasses.replace(PRESETS["ecp5-85f"], acc_width=30)
    part = PARTS["lfe5u-85f-6"]
    reasons = [point.reason for point in Space(base, {"winograd": (0, 14, 56)}, part=part).points()]
    assert reasons[:2] == ["", ""]
    assert "block RAM needed" in reasons[2]
