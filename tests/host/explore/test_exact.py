"""Exact points: the replay's numbers, the same everywhere, and kept in the folder of a sweep."""

import csv
from dataclasses import replace

import pytest
from rich.console import Console

from systolith_host.cost.estimate import estimate_network
from systolith_host.cost.explain import explain_layer
from systolith_host.errors import SystolithError
from systolith_host.explore.experiment import Experiment
from systolith_host.explore.results import Results, read_results
from systolith_host.explore.space import Space
from systolith_host.explore.sweep import Runner, run_sweep
from systolith_host.flow.load import shape_network
from systolith_host.flow.log import SilentLog
from systolith_host.flow.run import Request, run
from systolith_host.network.weight_bits import narrow_network
from systolith_host.progress import ProgressLog
from systolith_host.runtime.choose import DeviceOptions
from systolith_host.visual.assemble import PageOptions, assemble
from systolith_host.visual.subject import Subject
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_sim.memory.timing import MemoryTiming

TINY = PRESETS["tiny"]
AXES = {"bandwidth": (2.0, 8.0)}


def kept(folder, axes=AXES):
    return Results(folder, Experiment.of("mini", TINY, list(axes)))


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def replayed(folder, points, **options):
    with Runner(kept(folder), **options) as runner:
        runner.run(points)
        return runner.replay(points)


def test_weights_of_4_bits_are_read_as_such(tmp_path):
    axes = {"bandwidth": (2.0,), "weight_bits": (4.0, 8.0)}
    points = list(Space(TINY, axes).points())
    with Runner(kept(tmp_path, axes)) as runner:
        runner.run(points)
        narrow, plain = runner.replay(points)
    wanted = {}
    for bits, result in ((4, narrow), (8, plain)):
        config = replace(TINY, nibbles=int(bits == 4))
        qgraph = narrow_network(shape_network("mini"), {"fc": bits})
        total = estimate_network(qgraph, config, Memory(bytes_per_cycle=2)).groups["all"]
        assert (result.cycles, result.traffic_bytes) == (
            total.cycles,
            (total.bytes_read or 0) + (total.bytes_written or 0),
        )
        wanted[bits] = result
    assert wanted[4].estimated_bytes < wanted[8].estimated_bytes
    assert wanted[4].cycles < wanted[8].cycles
    assert wanted[4].bound_cycles < wanted[8].bound_cycles


@pytest.mark.parametrize("turnaround", [0, 6])
def test_a_layer_has_one_number_everywhere(tmp_path, turnaround):
    axes = {"bandwidth": (3.0,), "latency": (70.0,), "turnaround": (float(turnaround),)}
    memory = Memory(bytes_per_cycle=3, latency=70, turnaround=turnaround)
    report = estimate_network("mini", TINY, memory)
    wanted = [(row.name, row.cycles, row.bytes_read, row.bytes_written) for row in report.layers]
    total = report.groups["all"]

    request = Request(
        network="mini", config=TINY, device="model", options=DeviceOptions(memory=memory)
    )
    ran = run(request, SilentLog()).report
    assert [(r.name, r.cycles, r.bytes_read, r.bytes_written) for r in ran.layers] == wanted

    qgraph = shape_network("mini")
    timing = MemoryTiming(bytes_per_cycle=3, latency=70, turnaround=turnaround)
    subject = Subject("mini", qgraph, TINY, timing, 1)
    with ProgressLog(Console(quiet=True)) as log:
        page = assemble(subject, PageOptions(bandwidths=(3.0,)), log)
    assert [
        (point.name, point.cycles, sum(point.read_bytes.values()), point.write_bytes)
        for point in page.points
    ] == wanted
    timed = page.timeline
    assert (timed.layer, timed.cycles) in [row[:2] for row in wanted]
    for name, cycles, *_ in wanted:
        told = explain_layer(qgraph, TINY, name, memory=memory)
        assert told.cycles == cycles

    results = kept(tmp_path, axes)
    points = list(Space(TINY, axes).points())
    with Runner(results) as runner:
        runner.run(points)
        (result,) = runner.replay(points)
    assert result.cycles == total.cycles
    assert total.bytes_read is not None
    assert total.bytes_written is not None
    assert result.traffic_bytes == total.bytes_read + total.bytes_written
    assert [
        (row["layer"], *(int(row[name]) for name in ("cycles", "read_bytes", "write_bytes")))
        for row in rows_of(tmp_path / "layers.csv")
    ] == wanted


def test_estimates_stay_beside_exact_numbers_and_columns_are_empty_without(tmp_path):
    points = list(Space(TINY, AXES).points())
    with Runner(kept(tmp_path)) as runner:
        first = runner.run(points)
        assert [row["cycles"] for row in rows_of(tmp_path / "points.csv")] == ["", ""]
        assert {row["cycles"] for row in rows_of(tmp_path / "layers.csv")} == {""}
        runner.replay(points[:1])
    rows = rows_of(tmp_path / "points.csv")
    assert [bool(row["cycles"]) for row in rows] == [True, False]
    assert [bool(row["traffic_bytes"]) for row in rows] == [True, False]
    assert [int(row["estimated_cycles"]) for row in rows] == [r.estimated_cycles for r in first]
    layers = rows_of(tmp_path / "layers.csv")
    assert [bool(row["cycles"]) for row in layers] == [True] * 7 + [False] * 7
    assert sum(int(row["cycles"]) for row in layers[:7]) == int(rows[0]["cycles"])


def test_exact_points_are_kept_and_not_made_again(tmp_path, monkeypatch):
    points = list(Space(TINY, AXES).points())
    first = replayed(tmp_path, points)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fails(*args):
        raise AssertionError("a point is made again")

    monkeypatch.setattr("systolith_host.explore.sweep.evaluate", fails)
    monkeypatch.setattr("systolith_host.explore.sweep.evaluate_exactly", fails)
    assert replayed(tmp_path, points) == first
    # A sweep that reads the numbers back asks for the same points by their values.
    again = [Space(TINY, AXES).point(result.values) for result in kept(tmp_path).done.values()]
    assert replayed(tmp_path, again) == first
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_interrupted_replay_goes_on(tmp_path, monkeypatch):
    points = list(Space(TINY, AXES).points())
    whole = replayed(tmp_path / "whole", points)
    folder = tmp_path / "part"
    run_sweep(points, kept(folder))
    monkeypatch.setattr(Results, "tidy", lambda _: None)  # as if killed

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Runner(kept(folder)) as runner:
        runner.replay(points, stop)
    assert len(rows_of(folder / "points.csv")) == 3
    _, results = read_results(folder / "points.csv")
    assert [result.exact for result in results] == [True, False]
    assert results[0] == whole[0]
    monkeypatch.undo()
    assert replayed(folder, points) == whole
    for name in ("points.csv", "layers.csv"):
        assert (folder / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_processes_replay_the_same(tmp_path):
    points = list(Space(TINY, AXES).points())
    assert replayed(tmp_path / "a", points) == replayed(tmp_path / "b", points, workers=2)


def test_what_cannot_be_replayed_is_refused_with_its_reason(tmp_path, monkeypatch):
    def refuses(*args):
        raise SystolithError("mini needs 5 GB of memory")

    monkeypatch.setattr("systolith_host.explore.sweep.evaluate_exactly", refuses)
    points = list(Space(TINY, AXES).points())
    run_sweep(points, kept(tmp_path))
    found = replayed(tmp_path, points)
    assert [result.reason for result in found] == ["mini needs 5 GB of memory"] * 2
    assert len(rows_of(tmp_path / "points.csv")) == 2
    assert rows_of(tmp_path / "layers.csv") == []


def test_the_columns_of_another_version_are_refused(tmp_path):
    run_sweep(Space(TINY, AXES).points(), kept(tmp_path))
    path = tmp_path / "points.csv"
    text = path.read_text().replace("estimated_cycles,estimated_bytes,cycles", "cycles", 1)
    path.write_text(text)
    with pytest.raises(
        SystolithError, match=r"points\.csv is from another version, whose columns .*; sweep again"
    ):
        kept(tmp_path)
    assert path.read_text() == text
