"""The state of reading an ONNX graph: tensors, nodes and weights so far, and problems."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from systolith_host.escape import layer_name
from systolith_host.frontend.constants import Constants
from systolith_host.frontend.host import end, on_host
from systolith_host.frontend.hosted import Hosted
from systolith_host.frontend.integers import QuantizedConstant, followed
from systolith_host.frontend.layout import Factored, Layout, Padding
from systolith_host.frontend.limits import LARGEST_ACTIVATION, LARGEST_ACTIVATIONS, LARGEST_SIDE
from systolith_host.frontend.loading import all_finite
from systolith_host.frontend.problems import InvalidError, Problem, UnsupportedError
from systolith_host.frontend.structure import keep_sides
from systolith_host.network.graph import (
    AveragePool,
    Conv,
    Flatten,
    LayerWeights,
    Linear,
    Node,
)
from systolith_host.network.scales import ActivationScale

__all__ = ["Handler", "Reader"]

_REARRANGES = frozenset("Flatten Identity Reshape Squeeze Transpose Unsqueeze".split())


@dataclass(eq=False)
class Reader:
    """Collects a network from ONNX nodes, in order.

    Parameters
    ----------
    name : str
        Of the network.
    input : str
        Its input tensor.
    shape : tuple of int
        The input's, for one image.
    constants : dict of str to ndarray
        Initialisers; grows by what is folded.
    inferred : mapping of str to tuple of int
        Shapes that onnx inferred, for one image; they stand in behind what cannot run.
    handlers : mapping of str to Handler
        By operator, the reader of its nodes.
    opset : int
        Version of the operators.
    hosted : Hosted, optional
        Takes the nodes that the array cannot compute; without it they are problems.
    """

    name: str
    input: str
    shape: tuple[int, ...]
    constants: dict[str, np.ndarray]
    inferred: dict[str, tuple[int, ...]]
    handlers: Mapping[str, "Handler"]
    opset: int
    hosted: Hosted | None = None
    final: frozenset[str] = frozenset()
    """ONNX's names of what Sigmoids at the very end give; those are the host's."""
    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, LayerWeights] = field(default_factory=dict)
    epilogue: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    scales: dict[str, ActivationScale] = field(default_factory=dict)
    quantized: dict[str, QuantizedConstant] = field(default_factory=dict)
    integers: dict[str, str] = field(default_factory=dict)
    """By tensors, ONNX's first names of their integers."""
    integer_names: set[str] = field(default_factory=set)
    """ONNX's names of all tensors of integers."""
    alias: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    """By ONNX's names of tensors behind the array's last, the operators that make them."""
    padded: dict[str, Padding] = field(default_factory=dict)
    """By ONNX's names of tensors, the zeros around them."""
    factored: dict[str, Factored] = field(default_factory=dict)
    """By ONNX's names of tensors, the axes that their channels were taken apart into."""
    layouts: dict[str, Layout] = field(default_factory=dict)
    """By ONNX's names of tensors, the order of their axes, where it is not this network's."""
    outputs: dict[str, str] = field(default_factory=dict)
    """By ONNX's names of the outputs, or of those that the host makes them of, the network's."""

    def __post_init__(self) -> None:
        self.shapes[self.input] = self.shape
        self.alias[self.input] = self.input
        self._names = {self.input}
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._elements = math.prod(self.shape)
        self._folder = Constants(self.constants, self.opset)
        self._roots: dict[str, str] = {}

    def read(self, proto: onnx.NodeProto) -> None:
        """Take in a node, or note why that cannot be done."""
        self._count += 1
        name = self._unique(proto)
        operator, number = proto.op_type, self._count - 1
        if self.hosted is not None:
            self.hosted.note(proto, number, name)
        if proto.domain not in ("", "ai.onnx", "com.microsoft"):
            self._fail(proto, name, f"operators of domain {proto.domain} are not supported")
            return
        try:
            if self._fold(proto):
                return
        except ValueError as error:
            self.problems.append(Problem(proto.name or name, operator, str(error)))
            return
        handler = self.handlers.get(operator, _unknown)
        if self.hosted is not None:
            why = self.hosted.claims(self, proto, number)
            if why is not None or handler is end:
                self._leave(proto, name, why or "has no counterpart on the accelerator")
                return
        inputs = [entry for entry in proto.input if entry]
        lost = any(entry not in self.alias and entry not in self.constants for entry in inputs)
        if lost and handler is not _unknown:
            if self.hosted is not None:
                self._leave(proto, name, "takes what only the host can hold")
            else:
                self._lose(proto)  # behind something whose shape nobody knows
            return
        try:
            if not on_host(self, proto):
                handler(self, proto, name)
                if operator in _REARRANGES and proto.input[0] in self.integer_names:
                    self.integer_names.add(proto.output[0])
            if self.hosted is not None:
                self.hosted.follow(self, proto)
        except InvalidError as error:
            self._fail(proto, name, str(error))
        except UnsupportedError as error:
            self._leave(proto, name, str(error))

    def source(
        self, proto: onnx.NodeProto, index: int = 0, *, padded: bool = False, moved: bool = False
    ) -> str:
        """Return the tensor that an input of a node stands for.

        Parameters
        ----------
        padded : bool
            Whether the caller looks at :meth:`padding`.
        moved : bool
            Whether the caller looks at :meth:`layout`.

        Raises
        ------
        UnsupportedError
            If it is a constant or missing, or padded or of another layout where that is not
            expected.
        """
        name = proto.input[index] if index < len(proto.input) else ""
        if name not in self.alias:
            raise UnsupportedError(f"its input {index} must not be constant")
        if name in self.padded and not padded:
            raise UnsupportedError(
                f"takes the output of {self.padded[name].node}; only a convolution or a pool right "
                "behind it can take the padding in"
            )
        if name in self.factored:
            raise UnsupportedError(
                "takes channels in several axes; only a Transpose of those and a Reshape back to "
                "an image can follow"
            )
        if name in self.layouts and not moved:
            raise UnsupportedError(
                f"takes {self.layouts[name]}, as a Transpose has made them; it must have channels, "
                "height, width"
            )
        return self.alias[name]

    def layout(self, proto: onnx.NodeProto, index: int = 0) -> Layout | None:
        """Return the order of an input's axes; None if it is this network's."""
        return self.layouts.get(proto.input[index])

    def file_shape(self, proto: onnx.NodeProto, index: int = 0) -> tuple[int, ...]:
        """Return the shape that an input has in the file, for one image."""
        whole = self.whole_shape(proto.input[index])
        if whole is None:
            raise UnsupportedError(f"its input {index} must not be constant")
        return whole[1:]

    def flattened(self, vector: str) -> str | None:
        """Return the image of one pixel that a vector was made of; None if there is none."""
        makers = (node.inputs[0] for node in self.nodes if node.output == vector)
        image = next(makers, None) if self.root(vector) != vector else None
        return image if image is not None and self.shapes[image][1:] == (1, 1) else None

    def padding(self, proto: onnx.NodeProto, index: int = 0) -> tuple[int, int, int, int]:
        """Return the zeros around an input: top, bottom, left, right."""
        return self.padded.get(proto.input[index], Padding("")).sides

    def image(
        self, proto: onnx.NodeProto, index: int = 0, *, padded: bool = False, moved: bool = False
    ) -> tuple[str, tuple[int, int, int]]:
        """Return an input tensor that must be an image, and its shape without padding."""
        name = self.source(proto, index, padded=padded, moved=moved)
        shape = self.shapes[name]
        if len(shape) != 3:
            raise UnsupportedError(f"its input must be an image (NxCxHxW), not Nx{_text(shape)}")
        return name, (shape[0], shape[1], shape[2])

    def constant(self, proto: onnx.NodeProto, index: int) -> np.ndarray | None:
        """Return an input that must be constant; None if it is not given."""
        if index >= len(proto.input) or not proto.input[index]:
            return None
        if proto.input[index] not in self.constants:
            raise UnsupportedError(f"its input {index} ({proto.input[index]}) must be constant")
        return self.constants[proto.input[index]]

    def root(self, tensor: str) -> str:
        """Return the tensor whose values a flattened one has: the one that has a scale."""
        return self._roots.get(tensor, tensor)

    def is_constant(self, proto: onnx.NodeProto, index: int) -> bool:
        """Return whether an input is constant."""
        return index < len(proto.input) and proto.input[index] in self.constants

    def add(
        self,
        proto: onnx.NodeProto,
        node: Node,
        shape: tuple[int, ...],
        layout: Layout | None = None,
    ) -> None:
        """Append a node that makes the first output, in this order of axes."""
        self.append(node, shape)
        if len(shape) == 1:
            keep_sides(proto, shape[0], self.inferred)
        self.call(proto.output[0], node.output, layout)

    def append(self, node: Node, shape: tuple[int, ...]) -> None:
        """Append a node whose output has no name in the file, or not yet."""
        if min(shape) < 1:
            raise UnsupportedError(f"its output would be empty ({_text(shape)})")
        size = math.prod(shape)
        if size > LARGEST_ACTIVATION or max(shape[1:], default=1) > LARGEST_SIDE:
            raise UnsupportedError(
                f"its output of {_text(shape)} is too large: at most {LARGEST_ACTIVATION:,} "
                f"elements, {LARGEST_SIDE:,} a side"
            )
        if self._elements + size > LARGEST_ACTIVATIONS:
            raise UnsupportedError(
                f"with it, all activations exceed {LARGEST_ACTIVATIONS:,} elements an image"
            )
        if isinstance(node, AveragePool):  # becomes a convolution with weights of its own
            self.take(shape[0] * math.prod(node.kernel))
        self._elements += size
        self.nodes.append(node)
        self.shapes[node.output] = shape
        if isinstance(node, Flatten):
            self._roots[node.output] = self.root(node.input)

    def rename(self, proto: onnx.NodeProto, source: str, layout: Layout | None = None) -> None:
        """Let the first output be another name of a tensor, in this order of axes."""
        self.call(proto.output[0], source, layout)

    def call(self, name: str, tensor: str, layout: Layout | None) -> None:
        """Let a name in the file stand for a tensor, in this order of axes."""
        self.alias[name] = tensor
        self.layouts.pop(name, None)
        if layout is not None:
            self.layouts[name] = layout

    def weighted(
        self,
        proto: onnx.NodeProto,
        node: Conv | Linear,
        shape: tuple[int, ...],
        weight: np.ndarray,
        bias: np.ndarray | None,
        scale: np.ndarray | None = None,
        layout: Layout | None = None,
    ) -> None:
        """Append a node with weights."""
        outputs = len(weight)
        values = np.zeros(outputs) if bias is None else np.asarray(bias).reshape(-1)
        if weight.dtype.kind != "f" or values.dtype.kind != "f" or values.size != outputs:
            raise UnsupportedError(
                f"weights and bias must be floats, with a bias for each of {outputs} outputs, not "
                f"{weight.dtype} and {values.dtype} of {values.size}"
            )
        self.take(weight.size, uniform=not any(weight.strides))
        with np.errstate(over="ignore"):
            weight = np.asarray(weight, np.float32)
        if not (all_finite(weight) and np.isfinite(values).all()):
            raise UnsupportedError("its weights or biases are not finite")
        self.add(proto, node, shape, layout)
        self.weights[node.name] = LayerWeights(weight, values.astype(np.float64), scale)

    def hold_integers(self, tensor: str, name: str) -> None:
        """Note that a name in the file stands for the integers of a tensor."""
        self.integers[tensor] = name
        self.integer_names.add(name)

    def keep(self, proto: onnx.NodeProto, *, padded: bool = False) -> None:
        """Let the first output be another name of the first input; `padded` as of `source`."""
        source = self.source(proto, padded=padded, moved=True)
        keep_sides(proto, math.prod(self.shapes[source]), self.inferred)
        self.rename(proto, source, self.layout(proto))

    def take(self, count: int, *, uniform: bool = False) -> None:
        """Count elements that are made of constants; refuse too many (UnsupportedError)."""
        try:
            self._folder.budget.take(count, uniform=uniform)
        except ValueError as error:
            raise UnsupportedError(str(error)) from None

    def _unique(self, proto: onnx.NodeProto) -> str:
        title = layer_name(proto.name) or f"{layer_name(proto.op_type)}_{self._count}"
        name = title
        while name in self._names:
            self._numbers[title] = self._numbers.get(title, 1) + 1
            name = f"{title}_{self._numbers[title]}"
        self._names.add(name)
        return name

    def _fold(self, proto: onnx.NodeProto) -> bool:
        """Compute a node whose inputs are constant; weights of integers remember their scales."""
        if not self._folder.fold(proto, self.whole_shape):
            return False
        name = proto.input[0] if proto.input else ""
        if name in self.quantized and proto.output[0] in self.constants:
            made = followed(proto, self.quantized[name], self.constants[name].ndim)
            if made is not None:
                self.quantized[proto.output[0]] = made
        return True

    def whole_shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape that a tensor has in the file, with one image; None if it has none."""
        if self.hosted is not None and self.hosted.holds(self, name):
            return self.hosted.shape_of(self, name)
        if name not in self.alias:
            return None
        if name in self.factored:
            factored = self.factored[name]
            axes = (factored.sizes[axis] for axis in factored.order)
            return (1, *axes, *self.shapes[self.alias[name]][1:])
        shape, layout = self.shapes[self.alias[name]], self.layouts.get(name)
        found = self.inferred.get(name, shape)  # of a vector that has got sides of 1
        if len(found) != len(shape) and math.prod(found) == math.prod(shape):
            return (1, *found)
        return (1, *(shape if layout is None else layout.shape(shape)))

    def _leave(self, proto: onnx.NodeProto, name: str, reason: str) -> None:
        """Let the host compute a node, or note why nobody can."""
        if self.hosted is None:
            return self._fail(proto, name, reason)
        try:
            self.hosted.take(self, proto, self._count - 1, name, reason)
        except UnsupportedError as error:
            self._fail(proto, name, str(error))

    def _fail(self, proto: onnx.NodeProto, name: str, reason: str) -> None:
        if self.hosted is not None:
            self.hosted.hopeless.add(self._count - 1)
        self.problems.append(Problem(proto.name or name, proto.op_type, reason))
        self._lose(proto)

    def _lose(self, proto: onnx.NodeProto) -> None:
        """Go on with the shapes that onnx inferred, to find what else is wrong."""
        layouts = (self.layouts.get(name) for name in proto.input)
        layout = next((each for each in layouts if each and each.image is None), None)
        for name in proto.output:
            shape = self.inferred.get(name, ())
            if len(shape) in (1, 3):  # what has got or lost sides of 1 may have others
                own = layout if len(shape) == 3 else None  # most nodes keep the order of axes
                self.shapes[name] = shape if own is None else own.inverse(shape)
                self.call(name, name, own)


Handler = Callable[[Reader, onnx.NodeProto, str], None]
"""Takes in a node of some operator under a name; raises UnsupportedError if it cannot."""


def _unknown(reader: Reader, proto: onnx.NodeProto, name: str) -> None:
    can = "convolutions, linear layers, pools, sums, concatenations and clamps"
    raise UnsupportedError(f"has no counterpart on the accelerator, which computes {can}")


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
