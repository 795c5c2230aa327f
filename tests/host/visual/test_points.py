"""Layers as points: modelled ones, measured ones, and files that are of something else."""

import json

import pytest

from systolith_host.errors import SystolithError
from systolith_host.perf.model import replay_program
from systolith_host.schedule import compile_network
from systolith_host.visual.points import read_measured
from systolith_host.visual.sweep import read_points


def measurement(subject, points, **changes):
    layers = [
        {
            "name": point.name,
            "kind": point.kind,
            "covers": [point.name],
            "macs": point.macs,
            "cycles": point.cycles,
            "bound_cycles": point.bound_cycles,
            "compulsory_bytes": point.compulsory_bytes,
            "bytes_read": sum(point.read_bytes.values()),
            "bytes_written": point.write_bytes,
            "stalls": point.stalls,
            "busy_cycles": point.states["busy"],
        }
        for point in points
    ]
    fields = {
        "network": "mini",
        "batch": 1,
        "device": "rtl (verilator)",
        "config": subject.config.to_dict(),
        "layers": layers,
        "totals": {"mismatches": 0, "values": 10},
        "sources": {"memory": f"{subject.rate:g} bytes per cycle, latency 40 cycles"},
    }
    return {**fields, **changes}


def test_modelled_points_are_the_replays(subject, data):
    program = compile_network(subject.qgraph, subject.config, memory_rate=subject.rate)
    for point, found in zip(data.points, replay_program(program), strict=True):
        assert abs(point.cycles / found.cycles - 1) < 0.01  # there, one layer after the other
        assert point.traffic == sum(found.read_bytes.values()) + found.write_bytes
        assert sum(point.states.values()) == point.cycles
        assert point.rate * point.cycles == pytest.approx(point.macs)


def test_measured_points_are_those_of_the_file(subject, data, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(measurement(subject, data.points)))
    found = read_measured(path, subject)
    assert found.device == "rtl (verilator)"
    for point, modelled in zip(found.points, data.points, strict=True):
        assert (point.cycles, point.traffic) == (modelled.cycles, modelled.traffic)
        assert point.states == modelled.states


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "vgg16"}, r"is of vgg16, batch 1, not of mini"),
        ({"batch": 4}, r"is of mini, batch 4, not of mini, batch 1"),
        ({"layers": None}, r"is not what `systolith run --device rtl --json` writes"),
        (
            {"sources": {"memory": "2 bytes per cycle, latency 40 cycles"}},
            r"ran with a memory of 2 bytes per cycle, .*; give its --bandwidth, --latency and",
        ),
    ],
)
def test_measurements_of_something_else_are_refused(subject, data, tmp_path, changes, message):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(measurement(subject, data.points, **changes)))
    with pytest.raises(SystolithError, match=message):
        read_measured(path, subject)


def test_measurement_on_another_accelerator_is_refused(subject, data, tmp_path):
    config = {**subject.config.to_dict(), "rows": 5, "name": "five"}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(measurement(subject, data.points, config=config)))
    with pytest.raises(SystolithError, match=r"ran on five, whose rows is 5, not 4; give its"):
        read_measured(path, subject)


def test_emulated_runs_have_no_cycles_to_show(subject, data, tmp_path):
    fields = measurement(subject, data.points)
    fields["layers"][0]["cycles"] = None
    path = tmp_path / "run.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(SystolithError, match=r"the emulator does not count them"):
        read_measured(path, subject)


HEADER = (
    "key,rows,cols,bandwidth,act_buffer,weight_buffer,acc_depth,post_lanes,bus_bytes,reason,"
    "cycles,traffic_bytes,bound_cycles,multipliers,memory_bytes,luts,ffs,dsps,block_rams\n"
)


def test_front_holds_what_nothing_beats(tmp_path):
    (tmp_path / "points.csv").write_text(
        HEADER
        + "a,8,8,4,,,,,,,100,10,90,64,1000,9,9,32,4\n"
        + "b,16,16,4,,,,,,,50,10,40,256,1000,9,9,128,4\n"
        + "c,16,8,4,,,,,,,100,11,90,128,1000,9,9,64,4\n"
        + "d,4,4,4,,,,,,too small,0,0,0,0,0,0,0,0,0\n"
    )
    sweep = read_points(tmp_path)
    assert [result.key for result in sweep.front] == ["b", "a"]
    assert len(sweep.points) == 3
    assert sweep.failed == 1
    assert sweep.axes == ("rows", "cols")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"is not what `systolith explore` writes, points\.csv"),
        (HEADER, r"none of its 0 points can be built"),
    ],
)
def test_files_that_are_no_sweep_are_refused(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(SystolithError, match=message):
        read_points(path)
    with pytest.raises(SystolithError, match=r"no\.csv: cannot be read"):
        read_points(tmp_path / "no.csv")
