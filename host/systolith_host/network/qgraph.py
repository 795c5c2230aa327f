"""The integer network: tensors with scales and layers with integer parameters, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from systolith_host.network.mosaic import Grid
from systolith_host.program.part import HostPart

__all__ = [
    "QAdd",
    "QConcat",
    "QConv",
    "QGraph",
    "QHost",
    "QLayer",
    "QMaxPool",
    "QMosaic",
    "QTable",
    "QTake",
    "QTensor",
]


@dataclass(frozen=True)
class QTensor:
    """An activation tensor of one image.

    Parameters
    ----------
    name : str
    shape : tuple of int
        (channels, height, width); a vector is (channels, 1, 1).
    unsigned : bool
        uint8 if true, else int8.
    scale : float
        Real value of one step.
    zero_point : int
        Integer that stands for 0.0, in the tensor's own type.
    real : bool
        Whether it is of float32 instead, with scale 1: an input that only the host reads.
    """

    name: str
    shape: tuple[int, int, int]
    unsigned: bool
    scale: float
    zero_point: int
    real: bool = False


@dataclass(frozen=True)
class QTable:
    """A function of a layer's results, as a table of integers.

    The layer then requantises and clamps to values before the function, of a type and zero point
    of their own, and the function's value for each of them is looked up.

    Parameters
    ----------
    function : str
        Its name, for people.
    unsigned, scale, zero_point
        Of the values before the function, as in :class:`QTensor`.
    values : tuple of int
        256, in the output's own type: for the least value before the function, the next one, ...
    """

    function: str
    unsigned: bool
    scale: float
    zero_point: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class QConv:
    """A convolution, fully connected layer or mean, requantised per output channel.

    Output = requantize(sum over taps of (x - input zero point) * weight, bias, multiplier, shift)
    with the output's zero point, clamped to [low, high] (see systolith_hw.spec.numerics). Padding
    is the real value 0, that is the input's zero point.

    Parameters
    ----------
    name, input, output : str
        The layer and its tensors.
    kind : "conv", "fc" or "pool"
        A fully connected layer has a kernel of its input's height and width, stride 1, no padding.
        Average pools and changes of scale are "pool": they have weights, but not the network's.
    weight : ndarray of int8, shape (K, C / groups, R, S)
    bias : ndarray of int32, shape (K,)
        In units of input scale times weight scale; zero points not folded in.
    multiplier, shift : ndarray of int64, shape (K,)
    low, high : int
        Clamp in the output's own type; in that before the function, if there is one.
    stride, dilation : (vertical, horizontal)
    padding : (top, bottom, left, right)
    groups : int
        Divides input and output channels; each group's outputs see its inputs only.
    table : QTable, optional
        Function of the requantised values; zero point and clamp above are those before it.
    """

    name: str
    input: str
    output: str
    kind: Literal["conv", "fc", "pool"]
    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    low: int
    high: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    table: QTable | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The only input."""
        return (self.input,)


@dataclass(frozen=True)
class QMaxPool:
    """Max-pooling; input and output share scale, zero point and type.

    Padding never wins: it counts as the type's least value.

    Parameters
    ----------
    kernel, stride : (vertical, horizontal)
    padding : (top, bottom, left, right)
    """

    name: str
    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The only input."""
        return (self.input,)


@dataclass(frozen=True)
class QAdd:
    """The sum of two tensors of one shape, requantised.

    Output = requantize(factors[0] * (a - zero point of a) + factors[1] * (b - zero point of b), 0,
    multiplier, shift) with the output's zero point, clamped to [low, high].

    Parameters
    ----------
    inputs : (str, str)
        Tensors a and b.
    factors : (int, int)
        At most 16 bits each, sign included: -128 * 257 to 127 * 257.
    multiplier, shift, low, high, table
        As in :class:`QConv`, for all channels.
    """

    name: str
    inputs: tuple[str, str]
    output: str
    factors: tuple[int, int]
    multiplier: int
    shift: int
    low: int
    high: int
    table: QTable | None = None


@dataclass(frozen=True)
class QConcat:
    """Tensors one after the other along their channels; all share scale, zero point and type."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class QMosaic:
    """Images that together make a larger one; all share scale, zero point and type.

    Parameters
    ----------
    grids : tuple of Grid
        The pixels of the output that each input gives (see :mod:`~.mosaic`).
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    grids: tuple[Grid, ...]


@dataclass(frozen=True)
class QTake:
    """Some channels of a tensor and a grid of its pixels, with the same scale and type.

    Parameters
    ----------
    channels : tuple of int
        Of the input, in the order of the output's.
    rows, columns : (int, int, int)
        First, end and step.
    """

    name: str
    input: str
    output: str
    channels: tuple[int, ...]
    rows: tuple[int, int, int]
    columns: tuple[int, int, int]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The only input."""
        return (self.input,)


@dataclass(frozen=True)
class QHost:
    """A part of the network that the host computes in floats.

    Its inputs are dequantised, and its output is quantised, as the tensors' scales say.

    Parameters
    ----------
    part : HostPart
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    part: HostPart


QLayer = QConv | QMaxPool | QAdd | QConcat | QMosaic | QTake | QHost


@dataclass(frozen=True)
class QGraph:
    """An integer network.

    Parameters
    ----------
    name : str
    tensors : mapping of str to QTensor
        Every tensor by name.
    layers : tuple of QLayer
        In an order in which every input comes before its use.
    input, output : str
        Names of the network's input and output tensors.
    input_shape, output_shape : tuple of int
        Of one image as the network's users know it, (channels, height, width) or (features,);
        those of the tensors if empty.
    more : tuple of str
        Outputs besides that one; they may be the same tensor.
    """

    name: str
    tensors: Mapping[str, QTensor]
    layers: tuple[QLayer, ...]
    input: str
    output: str
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    more: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs, the first one first."""
        return (self.output, *self.more)
