"""How pixels become a network's input: the arithmetic, what files tell, and what is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from systolith_host.errors import SystolithError
from systolith_host.frontend.form import MEAN, STD, Form
from systolith_host.frontend.pixels import told_form
from systolith_host.lab.onnx_models import onnx_model, onnx_node, read_model
from systolith_host.network.scales import ActivationScale

RED, GREEN, BLUE = 0.2, 0.6, 1.0
PIXEL = np.array([[[RED, GREEN, BLUE]]], np.float32)

FORMS = {
    "torchvision": (Form(), [(c - m) / s for c, m, s in zip(PIXEL[0, 0], MEAN, STD, strict=True)]),
    "from 0 to 1": (Form(mean=(0,)), [c / s for c, s in zip(PIXEL[0, 0], STD, strict=True)]),
    "from -1 to 1": (Form(mean=(0.5,), std=(0.5,)), [-0.6, 0.2, 1.0]),
    "bytes": (Form(scale=255), [51, 153, 255]),
    "bytes, mean taken off, blue first": (
        Form(mean=(104, 117, 124), scale=255, bgr=True),
        [255 - 104, 153 - 117, 51 - 124],
    ),
    "TensorFlow's bytes": (
        Form(mean=(127.5,), std=(127.5,), scale=255),
        [51 / 127.5 - 1, 153 / 127.5 - 1, 1.0],
    ),
    "torchvision's, blue first": (
        Form(bgr=True),
        [(1.0 - 0.406) / 0.225, (0.6 - 0.456) / 0.224, (0.2 - 0.485) / 0.229],
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_pixel_becomes_the_networks_numbers(name):
    form, wanted = FORMS[name]
    np.testing.assert_allclose(form.apply(PIXEL)[:, 0, 0], wanted, rtol=1e-5, atol=1e-6)


def test_gray_is_only_scaled():
    gray = np.array([[[0.5]]], np.float32)
    assert Form().apply(gray) == pytest.approx(0.5)
    assert Form(scale=255).apply(gray) == pytest.approx(127.5)
    assert Form(mean=(0.1,), std=(0.2,)).apply(gray) == pytest.approx(2)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"mean": (0, float("nan"), 0)}, r"mean must be finite numbers, not \(0, nan, 0\)"),
        ({"mean": ()}, r"mean must be finite numbers, not \(\)"),
        ({"mean": "a"}, "mean must be numbers, not 'a'"),
        ({"std": (1, 0, 1)}, r"std must be above 0, not \(1, 0, 1\)"),
        ({"std": (-1,)}, r"std must be above 0, not \(-1,\)"),
        ({"scale": 0}, "scale must be above 0, not 0"),
        ({"scale": float("inf")}, "scale must be finite numbers, not inf"),
        ({"scale": (1, 2)}, r"scale must be one number, not \(1, 2\)"),
    ],
)
def test_impossible_numbers_are_refused(fields, error):
    with pytest.raises(SystolithError, match=f"^{error}$"):
        Form(**fields)


@pytest.mark.parametrize(
    ("form", "shape", "error"),
    [
        (Form(mean=(1, 2)), (3, 8, 8), "mean has 2 numbers, but the network has 3 channels"),
        (Form(std=(1, 2, 3)), (1, 8, 8), "std has 3 numbers, but the network has 1 channels"),
        (Form(bgr=True), (1, 8, 8), "bgr is for 3 channels, but the network has 1"),
        (Form(scale=2), (20,), "scale is for images, but the network takes vectors of 20 numbers"),
    ],
)
def test_what_does_not_go_with_a_network_is_refused(form, shape, error):
    with pytest.raises(SystolithError, match=f"^{error}$"):
        form.check(shape)
    Form(mean=(1,), std=(2,)).check((3, 8, 8))
    Form().check((20,))


def test_what_is_given_stands_above_what_is_told():
    told = Form(mean=(0.5,), std=(0.5,), scale=1, bgr=True, channels_last=True)
    assert Form().over(told) == told
    assert Form(bgr=False).over(told).mean == (0.5,)
    assert not Form(bgr=False).over(told).bgr
    # Mean, deviation and scale are of one making.
    assert Form(scale=255).over(told) == Form(None, None, 255, True, True)


def metadata(**entries):
    return {f"Image.{name}": value for name, value in entries.items()}


TOLD = {
    "bytes": (metadata(NominalPixelRange="NominalRange_0_255"), [51, 153, 255]),
    "case does not count": ({"image.nominalpixelrange": "NORMALIZED_0_1"}, [RED, GREEN, BLUE]),
    "both signs": (metadata(NominalPixelRange="Normalized_1_1"), [-0.6, 0.2, 1.0]),
    "studio": (
        metadata(NominalPixelRange="NominalRange_16_235"),
        [16 + 219 * RED, 16 + 219 * GREEN, 235],
    ),
    "blue first": (
        metadata(NominalPixelRange="NominalRange_0_255", BitmapPixelFormat="Bgr8"),
        [255, 153, 51],
    ),
    "only the order": (metadata(BitmapPixelFormat="Bgr8"), FORMS["torchvision's, blue first"][1]),
    "nothing": ({"author": "somebody"}, FORMS["torchvision"][1]),
    "nonsense": (metadata(NominalPixelRange="?", BitmapPixelFormat="?"), FORMS["torchvision"][1]),
}


@pytest.mark.parametrize("name", TOLD)
def test_a_file_tells_its_pixels_by_metadata(name, tmp_path):
    entries, wanted = TOLD[name]
    proto = onnx_model(
        [onnx_node("Conv", ["x", "w"], "y")], {"w": np.ones((4, 3, 1, 1))}, ("N", 3, 8, 7)
    )
    helper.set_model_props(proto, entries)
    model = read_model(proto, tmp_path)
    np.testing.assert_allclose(model.form.apply(PIXEL)[:, 0, 0], wanted, rtol=1e-5, atol=1e-5)
    assert bool(model.form_source) == (name not in ("nothing", "nonsense"))


@pytest.mark.parametrize(
    ("unsigned", "step", "zero", "wanted"),
    [
        (True, 1, 0, Form((0.0,), (1.0,), 255.0)),
        (False, 1, -128, Form((0.0,), (1.0,), 255.0)),
        (True, 1 / 255, 0, Form((0.0,), (1.0,), 1.0)),
        (True, 0.95 / 255, 0, Form((0.0,), (1.0,), 1.0)),
        (False, 1 / 128, 0, Form((0.5,), (0.5,), 1.0)),
        (True, 4.76 / 255, 114, None),  # ImageNet's
        (True, 0.5 / 255, 0, None),
    ],
)
def test_the_range_of_a_quantised_input_tells_its_pixels(unsigned, step, zero, wanted):
    form, source = told_form({}, ActivationScale(unsigned, step, zero))
    assert form == (wanted or Form())
    assert source == ("the range of its input" if wanted else "")
    told = {"Image.NominalPixelRange": "Normalized_1_1"}
    assert told_form(told, ActivationScale(unsigned, step, zero))[1] == "its metadata"


def test_a_file_of_vectors_tells_nothing(tmp_path):
    proto = onnx_model([onnx_node("Gemm", ["x", "w"], "y")], {"w": np.ones((5, 4))}, ("N", 5))
    helper.set_model_props(proto, {"Image.NominalPixelRange": "Normalized_1_1"})
    assert proto.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert read_model(onnx.load_from_string(proto.SerializeToString()), tmp_path).form == Form()
