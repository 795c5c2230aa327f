"""Layers as points: modelled ones, measured ones, and files that are of something else."""

import json

import pytest

from systolith_host.compiler import compile_network
from systolith_host.cost.replay import replay_layer, replay_program
from systolith_host.energy.table import load_table
from systolith_host.errors import SystolithError
from systolith_host.explore.experiment import Experiment
from systolith_host.explore.results import Results
from systolith_host.flow.report import SCHEMA
from systolith_host.visual.points import modelled_points, read_measured, share_at_work
from systolith_host.visual.subject import load_subject
from systolith_host.visual.sweep import read_points
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.winograd import MACS_PER_PRODUCT
from systolith_sim.replay.accesses import Accesses


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
            "states": {"COMPUTE": dict(point.states)},
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
        "schema": SCHEMA,
        "measured": True,
        "memory": {"name": "simulated", **subject.memory.to_dict(subject.config.bus_bytes)},
    }
    return {**fields, **changes}


def test_modelled_points_are_the_replays(subject, data):
    program = compile_network(subject.qgraph, subject.config, memory=subject.memory)
    for point, found in zip(data.points, replay_program(program), strict=True):
        assert abs(point.cycles / found.cycles - 1) < 0.01  # there, one layer after the other
        assert point.traffic == sum(found.read_bytes.values()) + found.write_bytes
        assert sum(point.states.values()) == point.cycles
        assert point.rate * point.cycles == pytest.approx(point.macs)


def test_idle_multipliers_are_counted_in_the_terms_of_winograd_and_of_direct_layers(log):
    config = PRESETS["default"]
    subject = load_subject("mini", config, Memory(), 1, log)
    program = compile_network(subject.qgraph, config, memory=subject.memory)
    points = modelled_points(subject, program, load_table("45nm"), lambda *_: None)
    accesses = [replay_layer(program, layer, subject.memory).accesses for layer in program.layers]
    by_patches = [one for one, found in zip(points, accesses, strict=True) if found.lane_products]
    assert 0 < len(by_patches) < len(points)
    for one in points:
        worth = MACS_PER_PRODUCT if one in by_patches else 1
        needed = one.macs / worth
        assert 1 - one.idle == pytest.approx(needed / (config.multipliers * one.cycles))
        assert 0 < one.idle < 1


def test_a_layer_that_mixes_both_convolutions_counts_each_product_for_what_it_is_worth():
    def used(direct, by_patches, macs, places):
        accesses = Accesses(direct, by_patches, {}, {})
        return share_at_work(macs, accesses, places)

    # All that the array computed is needed: 100 direct products, and 50 worth 4 each.
    assert used(100, 50, 300, 150) == 1
    assert used(100, 50, 300, 200) == pytest.approx(0.75)
    # A tenth of the work falls beyond the map.
    assert used(100, 50, 270, 150) == pytest.approx(0.9)
    assert used(100, 0, 90, 100) == pytest.approx(0.9)
    assert used(0, 50, 180, 50) == pytest.approx(0.9)


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
        ({"layers": None}, r"is not a report of `systolith run --device rtl --json`"),
        (
            {"memory": {"name": "simulated", **Memory(bytes_per_cycle=2).to_dict(4)}},
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


def test_modelled_runs_measure_nothing(subject, data, tmp_path):
    fields = measurement(subject, data.points, device="model", measured=False)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(SystolithError, match=r"\(model models cycles, it does not measure them\)$"):
        read_measured(path, subject)


def written(folder, subject, *rows, **changes):
    """Write a sweep's points from given values, in an experiment that fits the subject."""
    experiment = Experiment.of(subject.name, subject.config, ["rows", "cols"], subject.batch)
    made = {**experiment.row, **changes}
    results = Results(folder, experiment)  # writes the header
    assert results.folder is not None
    path = results.folder / "points.csv"
    columns = path.read_text().strip().split(",")
    text = [",".join(columns)]
    for row in rows:
        fields = {"estimated_cycles": 0, "estimated_bytes": 0, "bound_cycles": 0, "multipliers": 0}
        fields |= {"memory_bytes": 0, "luts": 0, "ffs": 0, "dsps": 0, "block_rams": 0}
        fields |= {**made, **row}
        text.append(",".join(str(fields.get(name, "")) for name in columns))
    path.write_text("\n".join(text) + "\n")
    return path


GOOD = {
    "key": "a",
    "rows": 8,
    "cols": 8,
    "estimated_cycles": 100,
    "estimated_bytes": 10,
    "dsps": 32,
}


def test_front_holds_what_nothing_beats(subject, tmp_path):
    written(
        tmp_path,
        subject,
        GOOD,
        {**GOOD, "key": "b", "rows": 16, "cols": 16, "estimated_cycles": 50, "dsps": 128},
        {**GOOD, "key": "c", "rows": 16, "estimated_bytes": 11, "dsps": 64},
        {"key": "d", "rows": 4, "cols": 4, "reason": "too small"},
    )
    sweep = read_points(tmp_path, subject)
    assert [result.key for result in sweep.front.results] == ["b", "a"]
    assert len(sweep.points) == 3
    assert sweep.failed == 1
    assert sweep.axes == ("rows", "cols")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"network": "vgg16", "network_digest": "0" * 16},
            r"is of vgg16 \(0{16}\), not of mini \([0-9a-f]{16}\); sweep that network with",
        ),
        ({"network_digest": "0" * 16}, r"is of mini \(0{16}\), not of mini \([0-9a-f]{16}\)"),
        ({"batch": 4}, r"is of batch 4, not 1; give --batch 4$"),
    ],
)
def test_a_sweep_of_something_else_is_refused(subject, tmp_path, changes, message):
    path = written(tmp_path, subject, GOOD, **changes)
    with pytest.raises(SystolithError, match=rf"^--sweep: .*points\.csv {message}"):
        read_points(path, subject)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch": 2}, "batch 2, not 1"),
        ({"network": "vgg16", "network_digest": "0" * 16}, "network vgg16 .*, not mini .*"),
        ({"base": "large", "base_fingerprint": "0" * 16}, "configuration large .*, not tiny .*"),
        ({"axes": "bandwidth"}, "axes bandwidth, not rows cols"),
        ({"tool": "systolith 9"}, "written by systolith 9, not systolith .*"),
    ],
)
def test_several_experiments_are_not_drawn_as_one_front(subject, tmp_path, changes, told):
    path = written(tmp_path, subject, GOOD, {**GOOD, "key": "b", **changes})
    with pytest.raises(SystolithError, match=rf"rows of several experiments: row 2 .* by {told};"):
        read_points(path, subject)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"is not a sweep of one experiment .*: points\.csv has other columns"),
        ("key,rows,reason,cycles\na,8,,9\n", r"points\.csv is from an older version, whose rows"),
        (None, r"none of its 0 points can be built"),
    ],
)
def test_files_that_are_no_sweep_are_refused(subject, tmp_path, text, message):
    path = written(tmp_path, subject)
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystolithError, match=message):
        read_points(path, subject)
    with pytest.raises(SystolithError, match=r"no\.csv: cannot be read"):
        read_points(tmp_path / "no.csv", subject)
