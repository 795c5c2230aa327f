"""Sweeps: points have the compiler's costs, results are kept, and a sweep goes on."""

import csv
import subprocess
import sys

import numpy as np
import onnx
import pytest

from systolith_host.compiler import explain_network
from systolith_host.cost.evaluate import evaluate
from systolith_host.errors import SystolithError
from systolith_host.explore.experiment import Experiment, network_digest
from systolith_host.explore.rank import pareto
from systolith_host.explore.results import Result, Results, point_key
from systolith_host.explore.space import Space
from systolith_host.explore.sweep import run_sweep
from systolith_host.flow.load import forget_shapes, shape_network
from systolith_host.frontend.onnx import read_onnx
from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.zoo import build_onnx
from systolith_host.network.qgraph import QConv, QGraph, QTensor
from systolith_host.network.shapes import timing_network
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize
from systolith_host.version import describe
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]
AXES = {"rows": (4, 8, 5), "bandwidth": (2.0, 8.0)}


def kept(folder, axes=AXES, network="mini", base=TINY, batch=1):
    return Results(folder, Experiment.of(network, base, list(axes), batch))


@pytest.mark.parametrize(("preset", "rate"), [("tiny", 2.0), ("default", 16.0)])
def test_a_point_costs_what_the_compiler_says(preset, rate):
    config = PRESETS[preset]
    qgraph = timing_network(build_network("mini"))
    layers = evaluate("mini", config, Memory(bytes_per_cycle=rate))
    schedules = explain_network(qgraph, config, memory=Memory(bytes_per_cycle=rate))
    assert [layer.name for layer in layers] == [schedule.name for schedule in schedules]
    for layer, schedule in zip(layers, schedules, strict=True):
        assert layer.estimated_cycles == schedule.estimate
        assert layer.estimated_write_bytes == schedule.write_bytes
        assert layer.estimated_read_bytes > schedule.read_bytes  # and instructions
        assert 0 < layer.bound_cycles <= layer.estimated_cycles


def test_results_are_kept_and_not_made_again(tmp_path, monkeypatch):
    space = Space(TINY, AXES)
    first = run_sweep(space.points(), kept(tmp_path))
    assert len(first) == 6
    assert [bool(result.reason) for result in first] == [False] * 4 + [True] * 2

    def fails(*args):
        raise AssertionError("a point is made again")

    monkeypatch.setattr("systolith_host.explore.sweep.evaluate", fails)
    seen = []
    again = run_sweep(space.points(), kept(tmp_path), done=seen.append)
    assert again == first
    assert len(seen) == 6


def test_an_interrupted_sweep_goes_on(tmp_path):
    space = Space(TINY, AXES)
    whole = run_sweep(space.points(), kept(tmp_path / "whole"))
    folder = tmp_path / "part"

    def stop(result):
        if not result.reason:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(space.points(), kept(folder), done=stop)
    points = folder / "points.csv"
    points.write_text(points.read_text() + "0123,4,,8")  # the end of a line is missing
    results = kept(folder)
    assert 0 < len(results.done) < 6
    assert run_sweep(space.points(), results) == whole


def test_processes_find_the_same(tmp_path):
    space = Space(TINY, {"bandwidth": (2.0, 4.0)})
    alone = run_sweep(space.points(), kept(tmp_path / "alone"))
    both = run_sweep(space.points(), kept(tmp_path / "both"), workers=2)
    assert alone == both


def test_dask_workers_find_the_same(tmp_path):
    distributed = pytest.importorskip("distributed")
    space = Space(TINY, {"bandwidth": (2.0, 4.0)})
    alone = run_sweep(space.points(), kept(tmp_path / "alone"))
    options = {"n_workers": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        address = cluster.scheduler_address
        if address.startswith("inproc"):
            found = run_sweep(space.points(), kept(tmp_path / "b"), scheduler=address)
            assert found == alone


def test_no_scheduler_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("systolith_host.runtime.dask.CONNECT_SECONDS", 0.2)
    with pytest.raises(SystolithError, match="no dask scheduler"):
        run_sweep(
            Space(TINY, {"bandwidth": (2.0,)}).points(),
            kept(tmp_path),
            scheduler="tcp://127.0.0.1:9",
        )


def test_other_files_are_not_taken_for_results(tmp_path):
    (tmp_path / "points.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystolithError, match="other columns"):
        kept(tmp_path)


def test_the_front_has_what_nothing_beats():
    def result(key, *costs):
        numbers = dict(
            zip(("estimated_cycles", "estimated_bytes", "dsps", "block_rams"), costs, strict=True)
        )
        return Result(key, {}, "", **numbers)

    better = result("better", 10, 10, 10, 10)
    smaller = result("smaller", 20, 10, 5, 10)
    worse = result("worse", 20, 10, 10, 10)
    refused = Result("refused", {}, "no")
    assert pareto([worse, refused, smaller, better]) == [better, smaller]


def test_a_slow_memory_costs_cycles_and_outstanding_bursts_hide_it(tmp_path):
    axes = {"latency": (10.0, 200.0), "outstanding": (1.0, 8.0)}
    found = run_sweep(Space(TINY, axes).points(), kept(tmp_path))
    cycles = {
        tuple(result.values[axis] for axis in axes): result.estimated_cycles for result in found
    }
    assert cycles[10, 8] < cycles[200, 8] < cycles[200, 1]
    assert cycles[10, 8] < cycles[10, 1] < cycles[200, 1]


def test_a_turnaround_between_reads_and_writes_costs_cycles(tmp_path):
    points = Space(TINY, {"turnaround": (0.0, 8.0, 64.0)}).points()
    found = run_sweep(points, kept(tmp_path))
    cycles = [result.estimated_cycles for result in found]
    assert cycles[0] <= cycles[1] < cycles[2]


def test_an_onnx_file_costs_what_the_compiler_says_of_the_quantised_network(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(build_onnx("squeezenet1_1", size=64, classes=10), str(path))
    model = read_onnx(path)
    images = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    calibration = calibrate(model.graph, model.weights, images)
    qgraph = quantize(model.graph, model.weights, calibration, 16)
    schedules = explain_network(qgraph, PRESETS["default"], memory=Memory(bytes_per_cycle=8))
    layers = evaluate(str(path), PRESETS["default"], Memory(bytes_per_cycle=8))
    assert [layer.name for layer in layers] == [schedule.name for schedule in schedules]
    assert [layer.estimated_cycles for layer in layers] == [
        schedule.estimate for schedule in schedules
    ]


def _file(path, seed=0, size=64):
    onnx.save(build_onnx("squeezenet1_1", seed=seed, size=size, classes=10), str(path))
    forget_shapes()
    return Experiment.of(str(path), TINY, ["rows"])


def test_networks_of_other_shapes_are_other_experiments_and_those_of_other_values_are_not(tmp_path):
    one, other = _file(tmp_path / "net.onnx"), _file(tmp_path / "net.onnx", seed=1)
    assert one == other == _file(tmp_path / "renamed.onnx")
    larger = _file(tmp_path / "net.onnx", size=96)
    assert larger != one
    point = next(Space(TINY, {"rows": (4,)}).points())
    assert point_key(one, point) == point_key(other, point) != point_key(larger, point)


def test_equal_weights_of_groups_are_another_network_as_they_stand_in_memory_once():
    def digest(weight):
        shapes = {"x": (8, 4, 4), "y": (8, 4, 4)}
        tensors = {name: QTensor(name, shape, True, 1.0, 0) for name, shape in shapes.items()}
        ones = np.ones(8, np.int64)
        layer = QConv("c", "x", "y", "conv", weight, ones, ones, ones, 0, 255, groups=8)
        return network_digest(QGraph("net", tensors, (layer,), "x", "y"))

    even, other = np.ones((8, 1, 1, 1), np.int8), np.arange(8, dtype=np.int8)[:, None, None, None]
    assert digest(even) != digest(other) == digest(other + 1)


def test_each_row_says_what_made_it(tmp_path):
    axes = {"rows": (4, 5), "latency": (20.0, 40.0)}
    run_sweep(Space(TINY, axes).points(), kept(tmp_path, axes, batch=2))
    with (tmp_path / "points.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        assert row["network"] == "mini"
        assert row["network_digest"] == network_digest(shape_network("mini"))
        assert row["batch"] == "2"
        assert row["schema"] == "5"
        assert row["tool"] == describe()
        assert (row["base"], row["base_fingerprint"]) == ("tiny", f"{TINY.fingerprint:016x}")
        assert row["axes"] == "rows latency"
        values = {axis: float(row[axis]) for axis in axes}
        point = Space(TINY, axes).point(values)
        fingerprint = "" if point.config is None else f"{point.config.fingerprint:016x}"
        assert row["config_fingerprint"] == fingerprint
        memory = [float(row[f"memory_{name}"]) for name in ("rate", "latency", "turnaround")]
        assert memory == [TINY.bus_bytes, values["latency"], 0]


def test_two_sweeps_in_one_folder_are_refused(tmp_path):
    space = Space(TINY, {"rows": (4,)})
    results = kept(tmp_path, space.axes)
    with pytest.raises(SystolithError, match="another sweep writes its results there; wait"):
        kept(tmp_path, space.axes)
    first = run_sweep(space.points(), results)  # then the folder is free
    assert run_sweep(space.points(), kept(tmp_path, space.axes)) == first
    forgotten = kept(tmp_path, space.axes)
    del forgotten
    kept(tmp_path, space.axes).close()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"network": "vgg11"}, r"network mini \([0-9a-f]{16}\), not vgg11 \([0-9a-f]{16}\)"),
        ({"batch": 4}, "batch 1, not 4"),
        (
            {"base": PRESETS["default"]},
            r"configuration tiny \([0-9a-f]{16}\), not default \([0-9a-f]{16}\)",
        ),
        ({"axes": {"rows": (4,), "cols": (4,)}}, "axes rows bandwidth, not rows cols"),
        ({"batch": 2, "axes": {"rows": (4,)}}, "batch 1, not 2; axes rows bandwidth, not rows"),
    ],
)
def test_the_folder_of_another_experiment_is_refused_and_stays_as_it_is(tmp_path, changes, told):
    run_sweep(Space(TINY, {"rows": (4,), "bandwidth": (2.0,)}).points(), kept(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(
        SystolithError,
        match=rf"^.*: its results cannot be used: they are of another experiment: {told}; "
        r"give another folder with --out$",
    ):
        kept(tmp_path, **changes)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert len(kept(tmp_path).done) == 1


def test_results_of_another_version_are_refused(tmp_path, monkeypatch):
    run_sweep(Space(TINY, {"rows": (4,)}).points(), kept(tmp_path))
    monkeypatch.setattr("systolith_host.explore.experiment.describe", lambda: "systolith 9")
    with pytest.raises(SystolithError, match=r"written by systolith .*, not systolith 9; give"):
        kept(tmp_path)


def test_rows_that_do_not_say_what_made_them_are_refused(tmp_path):
    (tmp_path / "points.csv").write_text("key,rows,cols,reason,cycles\nabc,4,4,,100\n")
    with pytest.raises(
        SystolithError, match=r"points\.csv is from an older version, .*; sweep again, into another"
    ):
        kept(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["points.csv"]


def test_rows_of_two_experiments_in_one_file_are_refused(tmp_path):
    for batch in (1, 2):
        results = kept(tmp_path / str(batch), batch=batch)
        run_sweep(Space(TINY, {"rows": (4,)}).points(), results)
    one, two = (tmp_path / name / "points.csv" for name in "12")
    one.write_text(one.read_text() + two.read_text().split("\n", 1)[1])
    with pytest.raises(SystolithError, match=r"row 2 differs from row 1 by batch 2, not 1; sweep"):
        kept(tmp_path / "1")


def test_layers_without_points_are_refused(tmp_path):
    run_sweep(Space(TINY, {"rows": (4,)}).points(), kept(tmp_path))
    (tmp_path / "points.csv").unlink()
    with pytest.raises(SystolithError, match=r"layers\.csv has no points\.csv; give another"):
        kept(tmp_path)


def test_a_sweep_may_be_kept_in_memory_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = Results(None, Experiment.of("mini", TINY, ["bandwidth"]))
    found = run_sweep(Space(TINY, {"bandwidth": (2.0, 4.0)}).points(), results)
    assert [result.reason for result in found] == ["", ""]
    assert list(tmp_path.iterdir()) == []


def test_a_script_that_sweeps_at_its_top_level_does_so_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from systolith_host.explore.experiment import Experiment\n"
        "from systolith_host.explore.results import Results\n"
        "from systolith_host.explore.space import Space\n"
        "from systolith_host.explore.sweep import run_sweep\n"
        "from systolith_hw.spec.presets import PRESETS\n"
        "print('started')\n"
        "space = Space(PRESETS['tiny'], {'bandwidth': (2.0, 4.0)})\n"
        "results = Results(None, Experiment.of('mini', space.base, ['bandwidth']))\n"
        "print(len(run_sweep(space.points(), results, workers=2)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout.split()) == (0, ["started", "2"]), done.stderr
