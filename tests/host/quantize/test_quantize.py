"""Calibration, quantisation and the integer network in a file, on the miniature."""

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.weights import random_weights
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.network.graph import GraphBuilder, LayerWeights
from systolith_host.network.qgraph import QConv, QMaxPool
from systolith_host.network.store import load_qgraph, save_qgraph
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize, quantize_input

GRAPH = build_network("mini")


@pytest.fixture(scope="module")
def case():
    weights = random_weights(GRAPH, 5)
    images = np.random.default_rng(2).normal(size=(3, 3, 32, 32)).astype(np.float32)
    calibration = calibrate(GRAPH, weights, images)
    return weights, images, calibration, quantize(GRAPH, weights, calibration, 16)


def test_float_network_computes_convolutions_literally():
    builder = GraphBuilder("net", (2, 5, 6))
    builder.conv("c", 3, (3, 2), stride=(2, 1), padding=(1, 0, 0, 1), dilation=(1, 2))
    graph = builder.build()
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 2, 3, 2)).astype(np.float32)
    x = rng.normal(size=(2, 2, 5, 6)).astype(np.float32)
    tensors = dict(run_float(graph, {"c": LayerWeights(weight, np.ones(3, np.float32))}, x))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 1)))
    for n, k, p, q in np.ndindex(tensors["c"].shape):
        window = padded[n, :, 2 * p : 2 * p + 3, q : q + 3 : 2]
        assert tensors["c"][n, k, p, q] == pytest.approx((window * weight[k]).sum() + 1, abs=1e-5)


def test_calibration_covers_all_images(case):
    weights, images, calibration, _ = case
    tensors = dict(run_float(GRAPH, weights, images))
    assert calibration.ranges.keys() == GRAPH.shapes.keys()
    for name, values in tensors.items():
        assert calibration.ranges[name] == pytest.approx((values.min(), values.max()), rel=1e-4)
    assert np.allclose(calibration.output, tensors["fc6"], atol=1e-4)


def test_calibration_refuses_values_that_are_not_finite(case):
    weights, images, *_ = case
    layer = weights["conv2_1"]
    huge = LayerWeights(layer.weight * np.float32(1e38), layer.bias)
    with (
        np.errstate(all="ignore"),
        pytest.raises(SystolithError, match=r"^conv2_1: values overflow float32 on image 0"),
    ):
        calibrate(GRAPH, {**weights, "conv2_1": huge}, images)


def test_integer_network_has_the_layers_and_types(case):
    qgraph = case[3]
    names = [layer.name for layer in qgraph.layers]
    assert names == [
        *("conv1_1", "pool1", "conv2_1", "conv2_2", "pool2", "conv3_1", "pool3"),
        *("fc4", "fc5", "fc6"),
    ]
    layers = {layer.name: layer for layer in qgraph.layers}
    assert isinstance(layers["fc4"], QConv)
    assert (layers["fc4"].kind, layers["fc4"].weight.shape) == ("fc", (24, 16, 4, 4))
    assert layers["fc4"].input == "pool3"
    assert isinstance(layers["pool1"], QMaxPool)
    assert not qgraph.tensors["input"].unsigned
    assert qgraph.tensors["conv1_1"].unsigned
    assert qgraph.tensors["pool1"].scale == qgraph.tensors["conv1_1"].scale
    assert not qgraph.tensors["fc6"].unsigned
    assert (layers["fc6"].low, layers["fc6"].high) == (-128, 127)


@pytest.mark.parametrize("width", [10, 16, 24])
def test_integer_network_follows_the_float_one(case, width):
    weights, images, calibration, _ = case
    qgraph = quantize(GRAPH, weights, calibration, width)
    tensors = run_golden(qgraph, quantize_input(qgraph, images))
    target = qgraph.tensors["fc6"]
    values = (tensors["fc6"].reshape(3, 10).astype(float) - target.zero_point) * target.scale
    assert np.corrcoef(values.ravel(), calibration.output.ravel())[0, 1] > 0.995


def test_progress_is_told(case):
    weights, images, _, qgraph = case
    seen = []
    calibrate(GRAPH, weights, images, lambda *at: seen.append(at))
    assert seen[0][:2] == ("conv1_1", 0)
    assert all(done < total for _, done, total in seen)
    seen.clear()
    run_golden(qgraph, quantize_input(qgraph, images), lambda *at: seen.append(at))
    assert [name for name, _, _ in seen] == [layer.name for layer in qgraph.layers]


def test_golden_refuses_input_of_another_shape(case):
    with pytest.raises(ValueError, match=r"^input of conv1_1 must be int8 \(N, \*\(3, 32, 32\)\)"):
        run_golden(case[3], np.zeros((1, 3, 31, 32), np.int8))


def test_integer_network_survives_a_file(case, tmp_path):
    qgraph = case[3]
    save_qgraph(qgraph, tmp_path / "q.safetensors")
    again = load_qgraph(tmp_path / "q.safetensors")
    assert again.tensors == dict(qgraph.tensors)
    x = quantize_input(qgraph, case[1])
    first, second = run_golden(qgraph, x), run_golden(again, x)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_other_files_are_no_integer_network(tmp_path, case):
    path = tmp_path / "q.safetensors"
    with pytest.raises(SystolithError, match=r"cannot be read|damaged"):
        load_qgraph(path)
    path.write_bytes(b"12345678 nonsense")
    with pytest.raises(SystolithError, match=r"q\.safetensors: is damaged: "):
        load_qgraph(path)
    save_qgraph(case[3], path)
    path.write_bytes(path.read_bytes().replace(b"systolith integer network", b"s" * 25))
    with pytest.raises(SystolithError, match=r"is not a systolith integer network$"):
        load_qgraph(path)
