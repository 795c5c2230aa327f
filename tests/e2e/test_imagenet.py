"""The example of trained networks: where its files are, photographs are what they show."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import systolith as sy
from systolith_host.frontend.images import load_inputs, sample_images
from systolith_host.frontend.onnx import read_onnx
from systolith_host.network.forward import run_float
from systolith_host.quantize.noise import decibels

EXAMPLE = Path(__file__).parents[2] / "examples" / "imagenet" / "compare.py"
FOLDER = Path(os.environ.get("SYSTOLITH_IMAGENET", ""))
SHOWN = {"coffee.png": ("espresso",), "chelsea.png": ("Egyptian Mau", "tabby cat", "Egyptian cat")}
CLOSE = 0.2
"""Between the first two float scores: then rounding may exchange them on another processor."""

pytestmark = pytest.mark.skipif(
    FOLDER == Path(), reason="SYSTOLITH_IMAGENET names no folder of the example's files"
)


@pytest.fixture(scope="module", params=["mobilenet_v2", "efficientnet_lite0"])
def path(request):
    return FOLDER / f"{request.param}.onnx"


@pytest.fixture(scope="module")
def program(path):
    """The network with default settings, calibrated on the example's photographs."""
    return sy.load(path, calibrate=FOLDER / "photographs").compile("default")


@pytest.fixture(scope="module")
def inputs(path, program):
    form = read_onnx(path).form
    return lambda photograph: load_inputs(photograph, program.input_shape, form=form)


def test_photographs_are_what_they_show(program):
    for name, wanted in SHOWN.items():
        run = program.run(FOLDER / "photographs" / name, "emulator", judge=True)
        assert run.report.mismatches == 0
        assert run.report.float_top[0] == run.report.top[0][0]
        assert run.top(1)[0][0].name in wanted


def test_classes_are_those_of_the_floats(program, inputs):
    paths = sorted((FOLDER / "photographs").iterdir())
    made = program.quantised
    x = np.concatenate([inputs(path) for path in paths])
    wanted = made.float_output(x).reshape(len(x), -1)
    output = made.qgraph.tensors[made.qgraph.output]
    scores = program.golden(x)[output.name].reshape(wanted.shape).astype(np.float64)
    scores = (scores - output.zero_point) * output.scale
    second, first = np.sort(wanted, axis=1)[:, -2:].T
    clear = first - second > CLOSE
    assert clear.sum() >= len(paths) - 1
    same = scores.argmax(axis=1) == wanted.argmax(axis=1)
    assert same[clear].all()
    ratios = [decibels(one, other) for one, other in zip(wanted, scores, strict=True)]
    assert np.median(ratios) > 20


def test_equalisation_holds_on_photographs_that_calibrated_nothing(program, inputs):
    made, graph = program.quantised, program.quantised.graph
    for path in sample_images():
        x = inputs(path)
        plain, equalised = (
            next(y for name, y in run_float(graph, weights, x) if name == graph.output)
            for weights in (made.weights, made.equalised)
        )
        assert decibels(plain, equalised) > 30


def test_photographs_that_are_missing_are_refused_before_the_comparison(tmp_path):
    command = [sys.executable, EXAMPLE, "--out", tmp_path / "out", "--photographs", "no.png"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert found.returncode == 2
    assert found.stderr.endswith("compare.py: error: no.png: no such file\n")
    assert not list(tmp_path.iterdir())
