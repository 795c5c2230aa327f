"""The digits example: trained a little, quantised, and right about as often as in floats."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import systolith as sy
from systolith_host.cli import app as cli

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits" / "train.py"
RUN = ("--config", "tiny", "--batch", "60")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("digits_train", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = example
    spec.loader.exec_module(example)
    path = tmp_path_factory.mktemp("digits")
    images, labels, held_out, held_out_labels = example.load_data()
    example.export(example.train(images, labels, 5), path / "digits.onnx")
    np.save(path / "calibration.npy", images[:100])
    np.savez(path / "held-out.npz", images=held_out, labels=held_out_labels)
    return path


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """Evaluate the digits by the command line; return status, its JSON, and what it printed."""

    def run(*arguments):
        line = ["systolith", "evaluate", folder / "digits.onnx", *arguments]
        line += ["--calibrate", folder / "calibration.npy", "--json", folder / "found.json"]
        monkeypatch.setattr(sys, "argv", [*map(str, line)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        found = json.loads((folder / "found.json").read_text())
        return ended.value.code, found, capsys.readouterr().out

    return run


def test_integers_are_right_as_often_as_floats(folder, command):
    status, found, out = command("--data", folder / "held-out.npz", *RUN, "--device", "emulator")
    assert status == 0
    with np.load(folder / "held-out.npz") as data:
        images, labels = data["images"], data["labels"]
    session = onnxruntime.InferenceSession(folder / "digits.onnx")
    scores = np.asarray(session.run(None, {"image": images})[0])
    accuracy = found["accuracy"]
    assert accuracy["float"]["by"] == "onnxruntime"
    assert accuracy["float"]["top1"] == (scores.argmax(axis=1) == labels).mean() > 0.9
    ranks = (scores > scores[np.arange(len(labels)), labels][:, None]).sum(axis=1)
    assert accuracy["float"]["top5"] == (ranks < 5).mean()
    assert found["classes"]["float"] == scores.argmax(axis=1).tolist()
    assert found["labels"] == labels.tolist()
    for name in ("top1", "top5", "agree"):
        assert accuracy["integers"][name] == accuracy["device"][name]
    assert accuracy["integers"]["top1"] > accuracy["float"]["top1"] - 0.01
    assert (found["images"], found["mismatches"], found["left_out"]) == (540, 0, 0)
    assert f"{accuracy['device']['top1']:.2%}" in out
    assert "0 images whose integers on the device differ" in out


@pytest.mark.rtl
def test_the_rtl_is_right_about_the_same_digits(folder, command):
    arguments = ("--data", folder / "held-out.npz", *RUN, "--device", "rtl", "--limit", 60)
    status, found, _ = command(*arguments)
    assert status == 0
    assert (found["images"], found["mismatches"]) == (60, 0)
    assert found["classes"]["device"] == found["classes"]["integers"]
    assert found["cycles"] > 0


def test_python_says_the_same_as_the_command_line(folder, command):
    arguments = ("--data", folder / "held-out.npz", *RUN, "--device", "emulator", "--limit", 100)
    _, found, _ = command(*arguments)
    net = sy.load(folder / "digits.onnx", calibrate=folder / "calibration.npy")
    program = net.compile("tiny", batch=7)  # does not divide the images
    steps = []
    result = program.evaluate(
        folder / "held-out.npz",
        "emulator",
        limit=100,
        progress=lambda stage, done, total: steps.append((stage, done, total)),
    )
    assert result.classes["device"].tolist() == found["classes"]["device"]
    assert result.scores["float"].top1 / 100 == found["accuracy"]["float"]["top1"]
    assert ("evaluating", 100, 100) in steps
    confusion = result.confusion()
    assert sum(confusion.values()) == 100
    right = sum(count for (wanted, said), count in confusion.items() if wanted == said)
    assert right == result.scores["device"].top1
    program.save(folder / "program")
    with np.load(folder / "held-out.npz") as data:
        chosen = np.linspace(0, 539, 100).round().astype(int)
        arrays = data["images"][chosen], data["labels"][chosen]
    alone = sy.Compiled.load(folder / "program").evaluate(arrays, "emulator")
    assert list(alone.scores) == ["device"]
    assert alone.mismatches is None
    assert alone.classes["device"].tolist() == result.classes["device"].tolist()
