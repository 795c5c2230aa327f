"""The example of a trained VGG-16: where its files are, its figures are those of its page."""

import os
from pathlib import Path

import numpy as np
import pytest

import systolith as sy
from systolith_host.frontend.onnx import read_onnx
from systolith_host.frontend.reference import Session
from systolith_host.quantize.noise import decibels

FOLDER = os.environ.get("SYSTOLITH_VGG16_TRAINED", "")


@pytest.mark.skipif(
    not FOLDER, reason="SYSTOLITH_VGG16_TRAINED names no folder of the example's files"
)
def test_figures_are_those_of_the_page_and_probabilities_onnxruntimes():
    folder = Path(FOLDER)
    path, photograph = folder / "vgg16.onnx", folder / "photographs" / "camera.png"
    form = sy.Form(mean=(0.0,), std=(1.0,))
    net = sy.load(path, calibrate=folder / "photographs", form=form, labels=folder / "labels.txt")
    run = net.compile("default").run(photograph, "model", judge=True)
    assert run.report.mismatches == 0
    assert run.report.cycles == 18_911_327
    assert [guess.name for guess in run.top(4)[0]] == "notumor meningioma glioma pituitary".split()
    assert run.report.float_top == tuple(index for index, _ in run.report.top)
    (name,) = run.outputs
    held = run.scales["input"]
    x = (run.tensors["input"].astype(np.float32) - held.zero_point) * np.float32(held.scale)
    session = Session(path, net.input_shape, [name], read_onnx(path, host_nodes=True).layouts)
    (wanted,) = session.run([name], x)
    assert run.outputs[name].shape == wanted.shape == (1, 4)
    assert np.abs(run.outputs[name] - wanted).max() < 0.05
    assert decibels(net.forward(x), run.output) > 40
