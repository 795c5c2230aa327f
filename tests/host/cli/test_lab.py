"""`systolith lab`: experiments on the generator itself, a command each."""

import json
from dataclasses import dataclass

import pytest

from systolith_host.cli.app import main
from systolith_host.lab import validate


@pytest.fixture
def systolith(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["systolith", "lab", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        done = capsys.readouterr()
        return end.value.code, done.out, done.err

    return run


def test_traffic_prints_and_keeps(systolith, tmp_path):
    path = tmp_path / "traffic.json"
    arguments = ["traffic", "--network", "mini", "--config", "tiny", "--sizes", "8K"]
    status, out, _ = systolith(*arguments, "--parts", 4, "--json", path)
    assert status == 0
    assert "fc MB" in out
    kept = json.loads(path.read_text())
    assert [(one["size"], one["aim"]) for one in kept["sizes"]] == [
        (8192, "cycles"),
        (8192, "traffic"),
    ]


def test_batches_read_weights_once_and_prints_the_least(systolith, tmp_path):
    path = tmp_path / "batches.json"
    arguments = ["batches", "--network", "mini", "--machine", "tiny", "--machine", "tiny@2"]
    status, out, _ = systolith(*arguments, "--batch", "1,2,8", "--json", path)
    assert status == 0
    assert "MB an image" in out
    rows = json.loads(path.read_text())["rows"]
    assert [(row["machine"], row["images"]) for row in rows] == [
        (f"tiny, {rate} bytes per cycle", images) for rate in (8, 2) for images in (1, 2, 8)
    ]
    for row in rows:
        assert row["least_bytes"] <= row["moved_bytes"]
        assert row["least_cycles"] <= row["cycles"]
    for one, two, eight in (rows[:3], rows[3:]):
        # Inputs, outputs and an instruction now and then come on top of the weights.
        assert two["moved_bytes"] < 0.6 * one["moved_bytes"]
        assert eight["moved_bytes"] < 0.25 * one["moved_bytes"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("traffic --sizes 1K --parts 3", "vgg16: does not run with 1,024 bytes on the chip"),
        ("traffic --sizes 0", "--sizes: a range must rise from a positive number, not '0'"),
        ("traffic --parts 2", "Invalid value for '--parts'"),
        ("traffic --json nowhere/t.json", "there is no folder nowhere"),
        ("batches --machine huge", "config must be one of tiny, "),
        ("batches --machine tiny@x", "--machine tiny@x: "),
        ("batches --batch 0", "--batch: a range must rise from a positive number, not '0'"),
        ("batches --density 2", "--density must be a number from 0 to 1"),
        ("batches --json nowhere/b.json", "there is no folder nowhere"),
        ("validate --vgg16 huge", "--vgg16: no preset huge; there are tiny, "),
        ("validate --turnaround few", "--turnaround: "),
        ("validate --picture a.gif", "--picture a.gif: must end with .svg, .pdf or .png"),
        ("validate --picture a.svg --width 50", "--width 50 is too narrow for text of 8 points"),
        ("units --out g --unit Mesh", "--unit: no Mesh; there are PatchTransform, PatchSource, "),
        ("units --out g --config tiny", "tiny has no Winograd units: take one with winograd above"),
        ("units --out g --part xc7", "part must be one of lfe5u-"),
        ("metrics --check --file nowhere.json", "nowhere.json: no metrics can be read: "),
        ("metrics --board nowhere.json --file m.json", "not the report of a build"),
        ("zoo --network lenet", "--network: no lenet; there are resnet18, resnet50, "),
        ("zoo --json nowhere/z.json", "there is no folder nowhere"),
        ("operators --json nowhere/o.json", "there is no folder nowhere"),
        ("memory-efficiency --board toaster", "--board: no toaster; there are ulx3s-85f, "),
    ],
)
def test_a_mistake_is_said_in_a_line(systolith, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = systolith(*arguments.split())
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (status, out, len(errors)) == (2, "", 1)
    assert message in errors[0]
    assert list(tmp_path.iterdir()) == []


@dataclass
class Outcome:
    exact: bool


@pytest.mark.parametrize(("close", "status"), [(True, 0), (False, 1)])
def test_validate_ends_in_1_if_the_model_is_off(systolith, monkeypatch, tmp_path, close, status):
    asked = []
    monkeypatch.setattr(
        validate, "validate", lambda *values: asked.append(values) or Outcome(close)
    )
    ended, _, _ = systolith("validate", "--cases", 5, "--turnaround", "0,4", "--out", tmp_path)
    assert ended == status
    counts = {"direct": 5, "winograd": 150, "gather": 150}
    assert asked[0][:5] == (counts, 0, (0, 4), (), tmp_path)


def test_help_explains_every_experiment(systolith):
    status, out, _ = systolith("--help")
    assert status == 0
    for name in (
        "validate",
        "speed",
        "traffic",
        "batches",
        "resources",
        "units",
        "memory-efficiency",
        "metrics",
        "operators",
        "zoo",
    ):
        assert name in out
