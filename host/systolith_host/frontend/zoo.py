"""Well-known networks as ONNX models with seeded random weights, for trying things out."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from systolith_host.errors import SystolithError

__all__ = ["ZOO", "build_onnx"]

_OPSET = 17


class _Builder:
    """Appends ONNX nodes; `x` is always the name of the tensor that a method continues."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.channels = {"input": 3}
        self._rng = np.random.default_rng(seed)

    def node(self, operator: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node whose output has its name; channels are those of its first input."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        self.channels[name] = self.channels[inputs[0]]
        return name

    def values(self, name: str, values: np.ndarray) -> str:
        """Append an initialiser."""
        self.initializers.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(
        self,
        name: str,
        x: str,
        channels: int,
        kernel: int,
        stride: int = 1,
        pad: int = 0,
        *,
        bias: bool = True,
        groups: int = 1,
    ) -> str:
        """Append a convolution with square kernel and He scaling."""
        inputs = self.channels[x] // groups
        scale = np.sqrt(2 / (inputs * kernel * kernel))
        shape = (channels, inputs, kernel, kernel)
        names = [x, self.values(f"{name}.weight", self._rng.standard_normal(shape) * scale)]
        if bias:
            values = self._rng.standard_normal(channels) * 0.05
            names.append(self.values(f"{name}.bias", values))
        self.node(
            "Conv",
            name,
            names,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            group=groups,
        )
        self.channels[name] = channels
        return name

    def norm(self, name: str, x: str, gain: float = 1.0) -> str:
        """Append a batch normalisation whose statistics are near those of a unit input."""
        count = self.channels[x]
        parts = {
            "scale": gain * self._rng.uniform(0.7, 1.3, count),
            "bias": self._rng.standard_normal(count) * 0.1,
            "mean": self._rng.standard_normal(count) * 0.1,
            "var": self._rng.uniform(0.8, 1.5, count),
        }
        names = [self.values(f"{name}.{part}", values) for part, values in parts.items()]
        return self.node("BatchNormalization", name, [x, *names])

    def relu(self, name: str, x: str) -> str:
        """Append a ReLU."""
        return self.node("Relu", name, [x])

    def max_pool(self, name: str, x: str, kernel: int, stride: int, pad: int = 0) -> str:
        """Append a max-pool."""
        return self.node(
            "MaxPool", name, [x], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4
        )

    def linear(self, name: str, x: str, inputs: int, features: int) -> str:
        """Append a fully connected layer as Gemm."""
        weight = self._rng.standard_normal((features, inputs), np.float32)
        weight *= np.float32(np.sqrt(2 / inputs))
        names = [x, self.values(f"{name}.weight", weight)]
        names.append(self.values(f"{name}.bias", self._rng.standard_normal(features) * 0.05))
        return self.node("Gemm", name, names, transB=1)


def _alexnet(b: _Builder, size: int, classes: int) -> str:
    x = b.relu("relu1", b.conv("conv1", "input", 64, 11, 4, 2))
    x = b.max_pool("pool1", x, 3, 2)
    x = b.relu("relu2", b.conv("conv2", x, 192, 5, 1, 2))
    x = b.max_pool("pool2", x, 3, 2)
    for number, channels in ((3, 384), (4, 256), (5, 256)):
        x = b.relu(f"relu{number}", b.conv(f"conv{number}", x, channels, 3, 1, 1))
    x = b.max_pool("pool5", x, 3, 2)
    side = (((size - 7) // 4 + 1 - 3) // 2 + 1 - 3) // 2 + 1
    side = (side - 3) // 2 + 1
    x = b.node("Flatten", "flatten", [x])
    x = b.relu("relu6", b.linear("fc6", b.node("Dropout", "drop6", [x]), 256 * side**2, 4096))
    x = b.relu("relu7", b.linear("fc7", b.node("Dropout", "drop7", [x]), 4096, 4096))
    return b.linear("fc8", x, 4096, classes)


def _vgg11_bn(b: _Builder, size: int, classes: int) -> str:
    return _vgg(b, size, classes, (1, 1, 2, 2, 2), norm=True)


def _vgg16(b: _Builder, size: int, classes: int) -> str:
    return _vgg(b, size, classes, (2, 2, 3, 3, 3), norm=False)


def _vgg(b: _Builder, size: int, classes: int, layers: Sequence[int], *, norm: bool) -> str:
    x = "input"
    for stage, (channels, count) in enumerate(
        zip((64, 128, 256, 512, 512), layers, strict=True), 1
    ):
        for index in range(1, count + 1):
            tag = f"{stage}_{index}"
            x = b.conv(f"conv{tag}", x, channels, 3, 1, 1)
            x = b.relu(f"relu{tag}", b.norm(f"norm{tag}", x) if norm else x)
        x = b.max_pool(f"pool{stage}", x, 2, 2)
    x = b.node("Flatten", "flatten", [x])
    x = b.relu("relu6", b.linear("fc6", x, 512 * (size // 32) ** 2, 4096))
    x = b.relu("relu7", b.linear("fc7", x, 4096, 4096))
    return b.linear("fc8", x, 4096, classes)


def _squeezenet(b: _Builder, size: int, classes: int) -> str:
    def pool(name: str, x: str) -> str:
        return b.node("MaxPool", name, [x], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    def fire(number: int, x: str, squeeze: int, expand: int) -> str:
        tag = f"fire{number}"
        x = b.relu(f"{tag}.relu", b.conv(f"{tag}.squeeze", x, squeeze, 1))
        small = b.relu(f"{tag}.relu1x1", b.conv(f"{tag}.expand1x1", x, expand, 1))
        large = b.relu(f"{tag}.relu3x3", b.conv(f"{tag}.expand3x3", x, expand, 3, 1, 1))
        x = b.node("Concat", tag, [small, large], axis=1)
        b.channels[x] = 2 * expand
        return x

    x = pool("pool1", b.relu("relu1", b.conv("conv1", "input", 64, 3, 2)))
    x = pool("pool3", fire(3, fire(2, x, 16, 64), 16, 64))
    x = pool("pool5", fire(5, fire(4, x, 32, 128), 32, 128))
    for number, squeeze, expand in ((6, 48, 192), (7, 48, 192), (8, 64, 256), (9, 64, 256)):
        x = fire(number, x, squeeze, expand)
    x = b.relu("relu10", b.conv("conv10", b.node("Dropout", "drop", [x]), classes, 1))
    return b.node("Flatten", "flatten", [b.node("GlobalAveragePool", "mean", [x])])


def _resnet18(b: _Builder, size: int, classes: int) -> str:
    x = b.conv("conv1", "input", 64, 7, 2, 3, bias=False)
    x = b.max_pool("pool1", b.relu("relu1", b.norm("norm1", x)), 3, 2, 1)
    for stage, channels in enumerate((64, 128, 256, 512), 1):
        for block in (1, 2):
            tag = f"layer{stage}_{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            if stride > 1:
                shortcut = b.conv(f"{tag}.down", x, channels, 1, stride, bias=False)
                shortcut = b.norm(f"{tag}.norm3", shortcut, 0.5)
            x = b.conv(f"{tag}.conv1", x, channels, 3, stride, 1, bias=False)
            x = b.relu(f"{tag}.relu1", b.norm(f"{tag}.norm1", x))
            x = b.conv(f"{tag}.conv2", x, channels, 3, 1, 1, bias=False)
            x = b.norm(f"{tag}.norm2", x, 0.5)
            x = b.relu(f"{tag}.relu2", b.node("Add", f"{tag}.add", [x, shortcut]))
    x = b.node("Flatten", "flatten", [b.node("GlobalAveragePool", "mean", [x])])
    return b.linear("fc", x, 512, classes)


def _resnet50(b: _Builder, size: int, classes: int) -> str:
    x = b.conv("conv1", "input", 64, 7, 2, 3, bias=False)
    x = b.max_pool("pool1", b.relu("relu1", b.norm("norm1", x)), 3, 2, 1)
    for stage, (channels, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(1, count + 1):
            tag = f"layer{stage}_{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            if block == 1:
                shortcut = b.conv(f"{tag}.down", x, 4 * channels, 1, stride, bias=False)
                shortcut = b.norm(f"{tag}.norm4", shortcut, 0.5)
            x = b.conv(f"{tag}.conv1", x, channels, 1, bias=False)
            x = b.relu(f"{tag}.relu1", b.norm(f"{tag}.norm1", x))
            x = b.conv(f"{tag}.conv2", x, channels, 3, stride, 1, bias=False)
            x = b.relu(f"{tag}.relu2", b.norm(f"{tag}.norm2", x))
            x = b.norm(f"{tag}.norm3", b.conv(f"{tag}.conv3", x, 4 * channels, 1, bias=False), 0.5)
            x = b.relu(f"{tag}.relu3", b.node("Add", f"{tag}.add", [x, shortcut]))
    x = b.node("Flatten", "flatten", [b.node("GlobalAveragePool", "mean", [x])])
    return b.linear("fc", x, 2048, classes)


def _densenet121(b: _Builder, size: int, classes: int) -> str:
    def layer(tag: str, x: str, channels: int, kernel: int) -> str:
        x = b.relu(f"{tag}.relu", b.norm(f"{tag}.norm", x))
        return b.conv(f"{tag}.conv", x, channels, kernel, 1, kernel // 2, bias=False)

    def join(tag: str, tensors: Sequence[str]) -> str:
        if len(tensors) == 1:
            return tensors[0]
        x = b.node("Concat", tag, tensors, axis=1)
        b.channels[x] = sum(b.channels[each] for each in tensors)
        return x

    x = b.conv("conv1", "input", 64, 7, 2, 3, bias=False)
    x = b.max_pool("pool1", b.relu("relu1", b.norm("norm1", x)), 3, 2, 1)
    for block, count in enumerate((6, 12, 24, 16), 1):
        made = [x]
        for number in range(1, count + 1):
            tag = f"block{block}_{number}"
            x = layer(f"{tag}.bottleneck", join(f"{tag}.join", made), 128, 1)
            made.append(layer(f"{tag}.growth", x, 32, 3))
        x = join(f"block{block}.join", made)
        if block < 4:
            x = layer(f"transition{block}", x, b.channels[x] // 2, 1)
            x = b.node(
                "AveragePool", f"transition{block}.pool", [x], kernel_shape=[2, 2], strides=[2, 2]
            )
    x = b.node("GlobalAveragePool", "mean", [b.relu("relu5", b.norm("norm5", x))])
    return b.linear("fc", b.node("Flatten", "flatten", [x]), 1024, classes)


def _mobilenet_v2(b: _Builder, size: int, classes: int) -> str:
    ends = [b.values("zero", np.array(0.0)), b.values("six", np.array(6.0))]

    def block(
        tag: str, x: str, channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> str:
        x = b.conv(
            f"{tag}.conv", x, channels, kernel, stride, kernel // 2, bias=False, groups=groups
        )
        return b.node("Clip", f"{tag}.relu6", [b.norm(f"{tag}.norm", x), *ends])

    x = block("first", "input", 32, 3, 2)
    number = 0
    stages = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)
    for factor, channels, count, first in (*stages, (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for index in range(count):
            number += 1
            tag, start, stride = f"block{number}", x, first if index == 0 else 1
            wide = factor * b.channels[x]
            if factor > 1:
                x = block(f"{tag}.expand", x, wide, 1)
            x = block(f"{tag}.depthwise", x, wide, 3, stride, wide)
            x = b.norm(f"{tag}.norm", b.conv(f"{tag}.project", x, channels, 1, bias=False), 0.5)
            if stride == 1 and b.channels[start] == channels:
                x = b.node("Add", f"{tag}.add", [start, x])
    x = b.node("GlobalAveragePool", "mean", [block("last", x, 1280, 1)])
    return b.linear("fc", b.node("Flatten", "flatten", [x]), 1280, classes)


ZOO: dict[str, tuple[Callable[[_Builder, int, int], str], str]] = {
    "alexnet": (_alexnet, "5 convolutions, 3 fully connected layers"),
    "densenet121": (_densenet121, "120 convolutions, 58 nested concatenations, 121 normalisations"),
    "mobilenet_v2": (_mobilenet_v2, "52 convolutions, 17 of them depthwise, 10 sums, a mean"),
    "resnet18": (_resnet18, "20 convolutions, 8 residual sums, a mean"),
    "resnet50": (_resnet50, "53 convolutions, 16 residual sums, a mean"),
    "squeezenet1_1": (_squeezenet, "26 convolutions, 8 concatenations, a mean"),
    "vgg11_bn": (_vgg11_bn, "8 convolutions with batch normalisation, 3 fully connected layers"),
    "vgg16": (_vgg16, "13 convolutions, 3 fully connected layers: the built-in one as a file"),
}
"""Builders and one line for people, by name; layers are shaped as torchvision's."""


def build_onnx(
    name: str, *, seed: int = 0, size: int = 224, classes: int = 1000
) -> onnx.ModelProto:
    """Return a network as an ONNX model with random weights that depend on the seed alone.

    Parameters
    ----------
    name : str
        One of :data:`ZOO`.
    seed : int
    size : int
        Pixels of the image's sides, at least 64.
    classes : int

    Raises
    ------
    SystolithError
        If there is no network of that name.
    """
    if name not in ZOO:
        raise SystolithError(f"network must be one of {', '.join(ZOO)}, not {name!r}")
    builder = _Builder(seed)
    output = ZOO[name][0](builder, size, classes)
    graph = helper.make_graph(
        builder.nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, size, size])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])],
        builder.initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
