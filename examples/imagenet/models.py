"""MobileNetV2 and EfficientNet-Lite0 as ONNX files, from the arrays of their state dicts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["efficientnet_lite0", "mobilenet_v2"]

State = Mapping[str, np.ndarray]

SIDE = 224

MOBILENET = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
"""Factor of the expansion, output channels, blocks, stride of the first block."""

EFFICIENTNET = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 40, 2, 2), (6, 80, 3, 2),
    (6, 112, 3, 1), (6, 192, 4, 2), (6, 320, 1, 1),
)  # fmt: skip
"""The same; the kernels are those of the weights."""


class _Writer:
    """Collects nodes; `same` pads as TensorFlow does: more behind than in front."""

    def __init__(self, name: str, state: State, *, same: bool, epsilon: float) -> None:
        self.name, self.state, self.same, self.epsilon = name, state, same, epsilon
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        for key, values in (("zero", 0), ("six", 6)):
            self.constants[key] = np.array(values, np.float32)

    def convolution(self, x: str, key: str, norm: str, stride: int = 1, relu: bool = True) -> str:
        """Append a convolution, its batch normalisation and a ReLU6; return the output."""
        weight = self.state[f"{key}.weight"]
        kernel = weight.shape[2]
        pads = {"pads": [kernel // 2] * 4}
        if self.same:
            pads = {"auto_pad": "SAME_UPPER"}
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, **pads}
        if weight.shape[1] == 1:
            attributes["group"] = len(weight)
        self.constants[f"{key}.weight"] = weight
        x = self._node("Conv", [x, f"{key}.weight"], key, **attributes)
        parts = [f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        self.constants |= {part: self.state[part] for part in parts}
        x = self._node("BatchNormalization", [x, *parts], norm, epsilon=self.epsilon)
        return self._node("Clip", [x, "zero", "six"], f"{key}.relu6") if relu else x

    def add(self, x: str, y: str, name: str) -> str:
        """Append a sum."""
        return self._node("Add", [x, y], name)

    def finish(self, x: str, classifier: str) -> onnx.ModelProto:
        """Append mean and classifier, and return the model."""
        x = self._node("GlobalAveragePool", [x], "mean")
        x = self._node("Flatten", [x], "flatten")
        parts = [f"{classifier}.weight", f"{classifier}.bias"]
        self.constants |= {part: self.state[part] for part in parts}
        self.nodes.append(
            helper.make_node("Gemm", [x, *parts], ["scores"], name=classifier, transB=1)
        )
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1000])],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        onnx.checker.check_model(model)
        return model

    def _node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        node = helper.make_node(operator, inputs, [f"{name}.out"], name=name, **attributes)
        self.nodes.append(node)
        return node.output[0]


def mobilenet_v2(state: State) -> onnx.ModelProto:
    """Return torchvision's MobileNetV2 with the weights of a state dict."""
    writer = _Writer("mobilenet_v2", state, same=False, epsilon=1e-5)
    x = writer.convolution("image", "features.0.0", "features.0.1", 2)
    number, channels = 0, 32
    for factor, outputs, blocks, stride in MOBILENET:
        for block in range(blocks):
            number += 1
            key, place, start = f"features.{number}.conv", 0, x
            if factor > 1:
                x = writer.convolution(x, f"{key}.0.0", f"{key}.0.1")
                place = 1
            step = stride if block == 0 else 1
            x = writer.convolution(x, f"{key}.{place}.0", f"{key}.{place}.1", step)
            x = writer.convolution(x, f"{key}.{place + 1}", f"{key}.{place + 2}", relu=False)
            if step == 1 and channels == outputs:
                x = writer.add(start, x, f"features.{number}.add")
            channels = outputs
    x = writer.convolution(x, "features.18.0", "features.18.1")
    return writer.finish(x, "classifier.1")


def efficientnet_lite0(state: State) -> onnx.ModelProto:
    """Return EfficientNet-Lite0, padded as in TensorFlow, with the weights of a state dict."""
    writer = _Writer("efficientnet_lite0", state, same=True, epsilon=1e-3)
    x = writer.convolution("image", "_conv_stem", "_bn0", 2)
    number, channels = 0, 32
    for factor, outputs, blocks, stride in EFFICIENTNET:
        for block in range(blocks):
            key, start = f"_blocks.{number}", x
            if factor > 1:
                x = writer.convolution(x, f"{key}._expand_conv", f"{key}._bn0")
            step = stride if block == 0 else 1
            x = writer.convolution(x, f"{key}._depthwise_conv", f"{key}._bn1", step)
            x = writer.convolution(x, f"{key}._project_conv", f"{key}._bn2", relu=False)
            if step == 1 and channels == outputs:
                x = writer.add(start, x, f"{key}.add")
            channels, number = outputs, number + 1
    x = writer.convolution(x, "_conv_head", "_bn1")
    return writer.finish(x, "_fc")
