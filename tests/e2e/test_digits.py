"""The digits example: trained a little, quantised, and right about as often as in floats."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"


def load(name):
    spec = importlib.util.spec_from_file_location(f"digits_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits")
    example = load("train")
    images, labels, held_out, held_out_labels = example.load_data()
    example.export(example.train(images, labels, 5), path / "digits.onnx")
    np.save(path / "calibration.npy", images[:100])
    np.save(path / "images.npy", held_out)
    np.save(path / "labels.npy", held_out_labels)
    return path


def test_integers_are_right_as_often_as_floats(folder):
    found = load("evaluate").evaluate(folder, "emulator", "tiny", 90, 540)
    assert found["float"] > 0.9
    assert found["golden"] == found["emulator"]
    assert found["golden"] > found["float"] - 0.01


@pytest.mark.rtl
def test_the_rtl_is_right_about_the_same_digits(folder):
    found = load("evaluate").evaluate(folder, "rtl", "tiny", 60, 60)
    assert found["rtl"] == found["golden"]
