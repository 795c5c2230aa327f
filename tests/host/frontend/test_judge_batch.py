"""Files for several images at once: each image's outputs must be its own."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith_host.errors import SystolithError
from systolith_host.frontend.judge import judge
from systolith_host.frontend.onnx import read_onnx

N = helper.make_node


def saved(path, nodes, images, outputs=("y",), **constants):
    """Write conv - relu and these nodes, from r on."""
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    layers = [N("Conv", ["x", "w"], ["c"], "conv"), N("Relu", ["c"], ["r"], "relu")]
    graph = helper.make_graph(
        [*layers, *nodes],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [images, 3, 6, 6])],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [
            numpy_helper.from_array(values, name)
            for name, values in {"w": weight, **constants}.items()
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


MIXING = {
    "softmax over the images": [N("Softmax", ["r"], ["y"], axis=0)],
    "statistics of a batch": [
        N("ReduceMean", ["r", "first"], ["m"], "mean", keepdims=1),
        N("Sub", ["r", "m"], ["d"], "less"),
        N("Conv", ["d", "v"], ["y"], "last"),
    ],
}
JOINING = {
    "images joined": [N("Concat", ["r", "r"], ["y"], axis=0)],
    "largest of all": [N("ReduceMax", ["r", "first"], ["y"], keepdims=1)],
}
CONSTANTS = {"first": np.array([0]), "v": np.ones((2, 4, 1, 1), np.float32)}


@pytest.mark.parametrize("name", MIXING)
def test_an_output_that_depends_on_other_images_is_refused(name, tmp_path):
    path = saved(tmp_path / "net.onnx", MIXING[name], 3, **CONSTANTS)
    model = read_onnx(path, host_nodes=True)
    line = (
        r"net.onnx: output y of an image depends on the other images of a batch of 3; .*batch of 1$"
    )
    with pytest.raises(SystolithError, match=line):
        judge(path, model, 16)


@pytest.mark.parametrize("name", JOINING)
def test_an_output_without_a_side_for_the_images_is_refused(name, tmp_path):
    path = saved(tmp_path / "net.onnx", JOINING[name], 3, **CONSTANTS)
    model = read_onnx(path, host_nodes=True)
    with pytest.raises(SystolithError, match=r"output y of shape .* has no side for the 3 images"):
        judge(path, model, 16)


@pytest.mark.parametrize("images", [1, "N"])
@pytest.mark.parametrize("name", [*MIXING, *JOINING])
def test_for_one_image_the_same_nodes_run(name, images, tmp_path):
    path = saved(tmp_path / "net.onnx", {**MIXING, **JOINING}[name], images, **CONSTANTS)
    line = judge(path, read_onnx(path, host_nodes=True), 16)
    assert line.startswith("float network equals onnxruntime: ")


def test_images_of_a_batch_that_are_apart_run(tmp_path):
    nodes = [N("Softmax", ["r"], ["y"], axis=1), N("ArgMax", ["r"], ["best"], axis=1)]
    path = saved(tmp_path / "net.onnx", nodes, 3, ("y", "best"))
    line = judge(path, read_onnx(path, host_nodes=True), 16)
    assert line.startswith("float network equals onnxruntime: ")
