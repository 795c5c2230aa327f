"""Small ONNX models for tests, judged by onnxruntime."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from systolith_host.frontend.onnx import OnnxModel, read_onnx
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize, quantize_input, quantize_scaled

__all__ = [
    "float_output",
    "integer_output",
    "onnx_model",
    "onnx_node",
    "onnxruntime_output",
    "read_model",
    "signal_to_noise",
]


def onnx_node(
    operator: str, inputs: Sequence[str], output: str, **attributes: Any
) -> onnx.NodeProto:
    """Return a node with one output, named after it."""
    return helper.make_node(operator, list(inputs), [output], output, **attributes)


def onnx_model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, np.ndarray | float] | None = None,
    shape: Sequence[int | str] = ("N", 3, 8, 7),
    *,
    opset: int = 17,
) -> onnx.ModelProto:
    """Return a model from "x" of some shape to the last node's output.

    Parameters
    ----------
    nodes : sequence of NodeProto
    constants : mapping of str to ndarray or float
        Its initialisers; numbers of 64 bits become float32.
    shape : sequence of int or str
    opset : int
    """
    tensors = []
    for name, values in (constants or {}).items():
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        tensors.append(numpy_helper.from_array(array, name))
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def onnxruntime_output(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """Return onnxruntime's outputs for inputs, node by node as the file says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return np.asarray(session.run(None, {"x": x})[0])


def read_model(proto: onnx.ModelProto, folder: Path) -> OnnxModel:
    """Read a model by way of a file."""
    path = folder / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return read_onnx(path)


def float_output(model: OnnxModel, x: np.ndarray) -> np.ndarray:
    """Return the float network's outputs for inputs."""
    tensors = run_float(model.graph, model.weights, x, scales=model.scales)
    return next(values for name, values in tensors if name == model.graph.output)


def integer_output(model: OnnxModel, x: np.ndarray, *, width: int = 16) -> np.ndarray:
    """Return the integer network's outputs, in real values, for its calibration inputs.

    Parameters
    ----------
    model : OnnxModel
    x : ndarray of float32, shape (N, ...)
    width : int
        Of the multipliers.
    """
    if model.scales:
        qgraph = quantize_scaled(model.graph, model.weights, model.scales, width)
    else:
        found = calibrate(model.graph, model.weights, x)
        qgraph = quantize(model.graph, model.weights, found, width)
    tensor = qgraph.tensors[qgraph.output]
    output = run_golden(qgraph, quantize_input(qgraph, x))[qgraph.output]
    real = (output.astype(np.float64) - tensor.zero_point) * tensor.scale
    return real.reshape(len(x), *model.graph.shapes[model.graph.output])


def signal_to_noise(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return by how much values stand above their errors, in decibels."""
    signal = float((wanted.astype(np.float64) ** 2).sum())
    noise = float(((found.reshape(wanted.shape).astype(np.float64) - wanted) ** 2).sum())
    return 10 * math.log10(signal / noise) if signal and noise else math.inf if not noise else 0.0
