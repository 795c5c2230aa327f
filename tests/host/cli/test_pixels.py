"""What goes into `run` and comes out: pixels, names, files of outputs; and the same by the API."""

import json
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from PIL import Image

import systolith as sy
from systolith_host.lab.onnx_models import onnx_model, onnx_node

DEVICE = ("--config", "tiny", "--device", "emulator")
RED, GREEN, BLUE = 51, 153, 255


def channels(*, last=False):
    """Return a network that gives an image's three channels, each averaged."""
    nodes = [onnx_node("GlobalAveragePool", ["c"], "m"), onnx_node("Flatten", ["m"], "y")]
    first = onnx_node("Conv", ["i" if last else "x", "w"], "c")
    turn = [onnx_node("Transpose", ["x"], "i", perm=[0, 3, 1, 2])] if last else []
    shape = (1, 8, 8, 3) if last else (1, 3, 8, 8)
    weight = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    return onnx_model([*turn, first, *nodes], {"w": weight}, shape)


@pytest.fixture
def folder(tmp_path):
    onnx.save(channels(), tmp_path / "net.onnx")
    Image.new("RGB", (20, 20), (RED, GREEN, BLUE)).save(tmp_path / "p.png")
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    return tmp_path


OPTIONS = {
    "": [(0.2 - 0.485) / 0.229, (0.6 - 0.456) / 0.224, (1 - 0.406) / 0.225],
    "--scale 255": [51, 153, 255],
    "--scale 255 --bgr": [255, 153, 51],
    "--mean 0.5 --std 0.5": [-0.6, 0.2, 1],
    "--scale 255 --mean 123,117,104 --std 58,57,57": [
        *((51 - 123) / 58, (153 - 117) / 57, (255 - 104) / 57)
    ],
}


@pytest.mark.parametrize("options", OPTIONS)
def test_the_networks_input_follows_the_options(command, folder, options):
    out = folder / "out.npy"
    arguments = ("run", folder / "net.onnx", *DEVICE, "--image", folder / "p.png", "--output", out)
    status, _, err = command(*arguments, *options.split())
    assert status == 0, err
    wanted = np.array([OPTIONS[options]], np.float32)
    np.testing.assert_allclose(np.load(out), wanted, atol=float(np.ptp(wanted)) / 40)


def test_what_the_file_tells_is_followed_and_said(command, folder):
    proto = channels()
    helper.set_model_props(proto, {"Image.NominalPixelRange": "NominalRange_0_255"})
    onnx.save(proto, folder / "net.onnx")
    arguments = ("run", folder / "net.onnx", *DEVICE, "--image", folder / "p.png")
    status, _, err = command(*arguments, "--output", folder / "out.npy")
    assert status == 0
    assert "photographs as its metadata tells: 0 to 255\n" in err
    np.testing.assert_allclose(np.load(folder / "out.npy"), [[51, 153, 255]], atol=4)
    status, _, err = command(*arguments, "--mean", "0", "--output", folder / "out.npz")
    assert "metadata" not in err
    found = np.load(folder / "out.npz")["y"]
    np.testing.assert_allclose(found, [[0.2 / 0.229, 0.6 / 0.224, 1 / 0.225]], atol=0.1)


def test_the_layout_of_arrays_can_be_said(command, folder):
    onnx.save(channels(last=True), folder / "net.onnx")
    x = np.zeros((8, 8, 3), np.float32)
    x[:] = 1, 2, 3
    np.save(folder / "last.npy", x)
    np.save(folder / "first.npy", x.transpose(2, 0, 1))
    for name, layout in (("last", None), ("last", "nhwc"), ("first", "nchw"), ("first", None)):
        options = () if layout is None else ("--layout", layout)
        image, out = folder / f"{name}.npy", folder / "out.npy"
        arguments = ("run", folder / "net.onnx", *DEVICE, "--image", image, "--output", out)
        assert command(*arguments, *options)[0] == 0
        np.testing.assert_allclose(np.load(out), [[1, 2, 3]], atol=0.1)
    arguments = ("run", folder / "net.onnx", *DEVICE, "--image", folder / "last.npy")
    status, _, err = command(*arguments, "--layout", "nchw")
    assert status == 2
    assert "must hold numbers of shape (3, 8, 8)" in err


def test_classes_have_the_names_of_a_file(command, folder):
    report = folder / "report.json"
    arguments = ("run", folder / "net.onnx", *DEVICE, "--image", folder / "p.png")
    status, out, _ = command(*arguments, "--labels", folder / "names.txt", "--json", report)
    assert status == 0
    assert "top 3 classes: 2 blue (" in out
    assert "float network's top 3: 2 blue, 1 green, 0 red (first agrees)" in out
    assert f"labels: {folder / 'names.txt'}" in out
    assert [entry["name"] for entry in json.loads(report.read_text())["top"]] == [
        *("blue", "green", "red")
    ]


def test_several_outputs_are_written_by_name(command, folder):
    proto = channels()
    proto.graph.output.append(helper.make_empty_tensor_value_info("c"))
    onnx.save(proto, folder / "net.onnx")
    x = np.random.default_rng(0).standard_normal((3, 8, 8)).astype(np.float32)
    np.save(folder / "x.npy", x)
    arguments = ("run", folder / "net.onnx", *DEVICE, "--image", folder / "x.npy")
    status, _, err = command(*arguments, "--output", folder / "out.npy")
    assert status == 2
    assert err.endswith("out.npy: must end in .npz: the network has 2 outputs\n")
    assert command(*arguments, "--output", folder / "out.npz")[0] == 0
    session = onnxruntime.InferenceSession(folder / "net.onnx")
    with np.load(folder / "out.npz") as found:
        assert found.files == ["y", "c"]
        for name, wanted in zip(("y", "c"), session.run(None, {"x": x[None]}), strict=True):
            np.testing.assert_allclose(found[name], np.asarray(wanted), atol=0.05)


REFUSED = {
    "--mean a": "--mean must be numbers with commas between them, e.g. 0.5,0.5,0.5, not 'a'",
    "--mean 1,2": "mean has 2 numbers, but the network has 3 channels",
    "--std 0": "std must be above 0, not (0.0,)",
    "--scale -1": "scale must be above 0, not -1.0",
    "--output out.txt": "out.txt: a file of outputs must end in .npy, or .npz for several",
    "--output none/out.npy": "none/out.npy: cannot be written: there is no folder none",
    "--labels none.txt": "none.txt: cannot be read: No such file or directory",
    "--labels two.txt": "two.txt: has 2 names, but the network's output has 3 values",
    "--output out.npy --layers c": "--output: y is not made by the --layers that run",
    "--image x.npy --scale 255": "scale is for photographs: x.npy goes into the network unchanged",
    "--image last.npy": "last.npy: must hold numbers of shape (3, 8, 8), or several of them, not "
    "float32 of shape (8, 8, 3); for arrays with channels last say --layout nhwc (channels_last in "
    "Python)",
    "--image both.npz": "both.npz: arrays by name are for networks of several inputs; this one has "
    "one: give a single array (.npy)",
    "--image x.npy --input x=x.npy": "--input x: net.onnx has one input: give it with --image",
}
EVALUATE_REFUSED = {
    "--data both.npz --mean 0.5": "mean is for photographs: both.npz goes into the network "
    "unchanged",
    "--data both.npz --labels two.txt": "two.txt: has 2 names, but the network's output has 3 "
    "values",
    "--data wrong.npz": "wrong.npz: labels must be from 0 to 2, the network's classes, not 3",
    "--data x.npy": "x.npy: data is a folder with one for each class, or a file (.npz) with the "
    "arrays images and labels",
    "--data none": "none: no such file; data is a folder with one for each class, or a file (.npz) "
    "with the arrays images and labels",
    "--data both.npz --json none/a.json": "none/a.json: cannot be written: there is no folder none",
}


def identity(folder):
    """Write a network that returns the means of the colours, and files that it can be given."""
    (folder / "two.txt").write_text("a\nb\n")
    np.save("x.npy", np.zeros((3, 8, 8), np.float32))
    np.save("last.npy", np.zeros((8, 8, 3), np.float32))
    images = np.zeros((4, 3, 8, 8), np.float32)
    np.savez("both.npz", images=images, labels=np.arange(4) % 3)
    np.savez("wrong.npz", images=images, labels=np.arange(4))
    proto = onnx_model(
        [
            onnx_node("Conv", ["x", "w"], "c"),
            onnx_node("GlobalAveragePool", ["c"], "m"),
            onnx_node("Flatten", ["m"], "f"),
            onnx_node("Gemm", ["f", "g"], "y"),
        ],
        {"w": np.eye(3).reshape(3, 3, 1, 1), "g": np.eye(3)},
        (1, 3, 8, 8),
    )
    onnx.save(proto, "net.onnx")


@pytest.mark.parametrize("options", EVALUATE_REFUSED)
def test_a_mistake_of_evaluate_is_one_line(command, folder, monkeypatch, options):
    monkeypatch.chdir(folder)
    identity(folder)
    status, out, err = command("evaluate", "net.onnx", "--config", "tiny", *options.split())
    assert (status, out) == (2, "")
    assert [line for line in err.splitlines() if line.startswith("error")] == [
        f"error: {EVALUATE_REFUSED[options]}"
    ]


@pytest.mark.parametrize("options", REFUSED)
def test_a_mistake_is_one_line(command, folder, monkeypatch, options):
    monkeypatch.chdir(folder)
    identity(folder)
    image = () if "--image" in options else ("--image", "p.png")
    status, out, err = command("run", "net.onnx", *DEVICE, *image, *options.split())
    assert (status, out) == (2, "")
    assert [line for line in err.splitlines() if line.startswith("error")] == [
        f"error: {REFUSED[options]}"
    ]
    assert not list(folder.glob("out.*"))


def test_the_api_takes_the_same(folder, tmp_path):
    form = sy.Form(scale=255, bgr=True)
    net = sy.load(
        folder / "net.onnx", calibrate=folder / "p.png", form=form, labels=["a", "b", "c"]
    )
    program = net.compile("tiny")
    run = program.run(folder / "p.png", "emulator", judge=True)
    np.testing.assert_allclose(run.output, [[255, 153, 51]], atol=4)
    ((first, *_),) = run.top(2)
    assert (first.class_index, first.name) == (0, "a")
    assert first.value == run.output.max()
    assert [guess.name for guess in run.top()[0]] == ["a", "b", "c"]
    assert run.report.names == {0: "a", 1: "b", 2: "c"}
    run.save(tmp_path / "y.npz")
    assert np.array_equal(np.load(tmp_path / "y.npz")["y"], run.output)
    run.save(tmp_path / "y.npy")
    assert np.array_equal(np.load(tmp_path / "y.npy"), run.output)
    with pytest.raises(sy.SystolithError, match=r"y\.txt: a file of outputs must end in \.npy"):
        run.save(tmp_path / "y.txt")
    program.save(tmp_path / "p")
    again = sy.Compiled.load(tmp_path / "p", form=form, labels=folder / "names.txt")
    found = again.run(folder / "p.png", "emulator")
    assert np.array_equal(found.output, run.output)
    assert found.top(1)[0][0].name == "red"
    mistakes: list[dict[str, Any]] = [{"form": 3}, {"labels": ["a"]}, {"form": sy.Form(std=(1, 2))}]
    for mistake in mistakes:
        with pytest.raises(sy.SystolithError):
            sy.Compiled.load(tmp_path / "p", **mistake)
        with pytest.raises(sy.SystolithError):
            sy.load(folder / "net.onnx", **mistake)
