"""Sweeps: points cost what the compiler says, results are kept, and a sweep goes on."""

import numpy as np
import onnx
import pytest

from systolith_host.errors import SystolithError
from systolith_host.explore.evaluate import evaluate
from systolith_host.explore.network import network_id
from systolith_host.explore.results import Result, Results, pareto, point_key
from systolith_host.explore.space import Space
from systolith_host.explore.sweep import run_sweep
from systolith_host.model.onnx import read_onnx
from systolith_host.model.vgg import build_network
from systolith_host.model.zoo import build_onnx
from systolith_host.perf.network import timing_network
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize
from systolith_host.schedule import explain_network
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]
AXES = {"rows": (4, 8, 5), "bandwidth": (2.0, 8.0)}


@pytest.mark.parametrize(("preset", "rate"), [("tiny", 2.0), ("default", 16.0)])
def test_a_point_costs_what_the_compiler_says(preset, rate):
    config = PRESETS[preset]
    qgraph = timing_network(build_network("mini"))
    layers = evaluate("mini", config, rate)
    schedules = explain_network(qgraph, config, memory_rate=rate)
    assert [layer.name for layer in layers] == [schedule.name for schedule in schedules]
    for layer, schedule in zip(layers, schedules, strict=True):
        assert layer.cycles == schedule.estimate
        assert layer.write_bytes == schedule.write_bytes
        assert layer.read_bytes > schedule.read_bytes  # and instructions
        assert 0 < layer.bound_cycles <= layer.cycles


def test_results_are_kept_and_not_made_again(tmp_path, monkeypatch):
    space = Space(TINY, AXES)
    first = run_sweep("mini", space.points(), Results(tmp_path))
    assert len(first) == 6
    assert [bool(result.reason) for result in first] == [False] * 4 + [True] * 2

    def fails(*args):
        raise AssertionError("a point is made again")

    monkeypatch.setattr("systolith_host.explore.sweep.evaluate", fails)
    seen = []
    again = run_sweep("mini", space.points(), Results(tmp_path), done=seen.append)
    assert again == first
    assert len(seen) == 6


def test_an_interrupted_sweep_goes_on(tmp_path):
    space = Space(TINY, AXES)
    whole = run_sweep("mini", space.points(), Results(tmp_path / "whole"))
    folder = tmp_path / "part"

    def stop(result):
        if not result.reason:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep("mini", space.points(), Results(folder), done=stop)
    points = folder / "points.csv"
    points.write_text(points.read_text() + "0123,4,,8")  # the end of a line is missing
    results = Results(folder)
    assert 0 < len(results.done) < 6
    assert run_sweep("mini", space.points(), results) == whole


def test_processes_find_the_same(tmp_path):
    space = Space(TINY, {"bandwidth": (2.0, 4.0)})
    alone = run_sweep("mini", space.points(), Results(tmp_path / "alone"))
    both = run_sweep("mini", space.points(), Results(tmp_path / "both"), workers=2)
    assert alone == both


def test_dask_workers_find_the_same(tmp_path):
    distributed = pytest.importorskip("distributed")
    space = Space(TINY, {"bandwidth": (2.0, 4.0)})
    alone = run_sweep("mini", space.points(), Results(tmp_path / "alone"))
    options = {"n_workers": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        address = cluster.scheduler_address
        if address.startswith("inproc"):
            found = run_sweep("mini", space.points(), Results(tmp_path / "b"), scheduler=address)
            assert found == alone


def test_no_scheduler_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("systolith_host.explore.sweep.CONNECT_SECONDS", 0.2)
    with pytest.raises(SystolithError, match="no dask scheduler"):
        run_sweep(
            "mini",
            Space(TINY, {"bandwidth": (2.0,)}).points(),
            Results(tmp_path),
            scheduler="tcp://127.0.0.1:9",
        )


def test_other_files_are_not_taken_for_results(tmp_path):
    (tmp_path / "points.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystolithError, match="other columns"):
        Results(tmp_path)


def test_the_front_has_what_nothing_beats():
    def result(key, *costs):
        numbers = dict(zip(("cycles", "traffic_bytes", "dsps", "block_rams"), costs, strict=True))
        return Result(key, {}, "", **numbers)

    better = result("better", 10, 10, 10, 10)
    smaller = result("smaller", 20, 10, 5, 10)
    worse = result("worse", 20, 10, 10, 10)
    refused = Result("refused", {}, "no")
    assert pareto([worse, refused, smaller, better]) == [better, smaller]


def test_a_slow_memory_costs_cycles_and_outstanding_bursts_hide_it(tmp_path):
    axes = {"latency": (10.0, 200.0), "outstanding": (1.0, 8.0)}
    found = run_sweep("mini", Space(TINY, axes).points(), Results(tmp_path))
    cycles = {tuple(result.values[axis] for axis in axes): result.cycles for result in found}
    assert cycles[10, 8] < cycles[200, 8] < cycles[200, 1]
    assert cycles[10, 8] < cycles[10, 1] < cycles[200, 1]


def test_a_turnaround_between_reads_and_writes_costs_cycles(tmp_path):
    points = Space(TINY, {"turnaround": (0.0, 8.0, 64.0)}).points()
    found = run_sweep("mini", points, Results(tmp_path))
    cycles = [result.cycles for result in found]
    assert cycles[0] <= cycles[1] < cycles[2]


def test_an_onnx_file_costs_what_the_compiler_says_of_the_quantised_network(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(build_onnx("squeezenet1_1", size=64, classes=10), str(path))
    model = read_onnx(path)
    images = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    calibration = calibrate(model.graph, model.weights, images)
    qgraph = quantize(model.graph, model.weights, calibration, 16)
    schedules = explain_network(qgraph, PRESETS["default"], memory_rate=8)
    layers = evaluate(str(path), PRESETS["default"], 8.0)
    assert [layer.name for layer in layers] == [schedule.name for schedule in schedules]
    assert [layer.cycles for layer in layers] == [schedule.estimate for schedule in schedules]


def test_another_file_of_the_same_name_is_another_network(tmp_path):
    point = next(Space(TINY, {"rows": (4,)}).points())
    path = tmp_path / "net.onnx"
    path.write_bytes(b"one")
    one = point_key(str(path), 1, point)
    path.write_bytes(b"other")
    network_id.cache_clear()
    assert point_key(str(path), 1, point) != one
