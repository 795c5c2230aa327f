"""An operation: one step of the accelerator, with its packed weights and parameters."""

from dataclasses import dataclass

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import NIBBLE_BITS
from systolith_hw.spec.winograd import KERNEL, MACS_PER_PRODUCT

__all__ = ["LARGEST_SIDE", "LARGEST_TAPS", "Operation"]

LARGEST_SIDE = (1 << 16) - 1
LARGEST_TAPS = 255


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """A convolution on the array and a maximum over windows of its requantised sums.

    The defaults are those of an operation on single pixels: one tap, no padding, no window.

    A convolution without pooling has windows of one sum; a pool on its own is a convolution with
    identity weights.

    Parameters
    ----------
    name, kind : str
    covers : tuple of str
        Layers of the network that it computes.
    inputs : tuple of str
        Tensors that it reads; all but those of a gathering have one shape.
    output : str
        Tensor that it makes.
    channels, height, width : int
        Of the largest input.
    out_channels, out_height, out_width : int
        Of the results, windows applied.
    repeat : (int, int)
        Rows and pixels of the output that each result becomes.
    rows_apart, pixels_apart : bool
        Whether something stands between rows, or between pixels, of the output in memory.
    taps : (int, int)
        Passes per block of input channels, vertically and horizontally; a packed operation's
        horizontal passes take `block / pixel_bytes` kernel columns each.
    tap_step : (int, int)
        Pixels from tap to tap.
    extent : (int, int)
        Pixels from the first that the kernel touches to the last, both included.
    stride : (int, int)
    padding : (int, int)
        Top and left; the rest follows from the output's size.
    pad_value : int
    window, window_stride : (int, int)
    pixel_bytes : int
        Of a packed input, else 0.
    reach : tuple of int
        For each block of output channels the first block of input channels that it needs; empty if
        it needs all of them.
    sweeps : tuple of (int, bool)
        Terms of the sum, in order: the number of an input, all of whose blocks in reach go through
        the array, and whether the sums are shifted before (see CONV's `shift`).
    zero_point, low, high : int
        Of the output, or of the values before the function, as int8 in the accelerator.
    differences : (int, int)
        Least and largest value of the first input less its zero point.
    nibbles : bool
        All weights are -8 to 7, and two of them share a byte of memory.
    table : ndarray of int8, shape (256,), optional
        The function's results for the values from -128 on, as they are in the accelerator.
    weights : ndarray of int8, shape (weight groups, passes, vertical, horizontal, rows, cols)
        Passes are input blocks in reach, for one sweep after the other. Weight groups repeat over
        the output blocks.
    params : ndarray of uint8, shape (output channels, padded to cols, 8)
    macs, activations : int
        Multiply-accumulates of one image, and its elements that must move: those of each input
        tensor that a tap or window touches, once, and all of the output.
    weight_elements : int
        Weights that must move: those of the network, or the one diagonal that stands for all.
    """

    name: str
    kind: str
    covers: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str
    channels: int
    height: int
    width: int
    out_channels: int
    out_height: int
    out_width: int
    taps: tuple[int, int] = (1, 1)
    tap_step: tuple[int, int] = (1, 1)
    extent: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    pad_value: int = 0
    window: tuple[int, int] = (1, 1)
    window_stride: tuple[int, int] = (1, 1)
    pixel_bytes: int = 0
    reach: tuple[int, ...]
    sweeps: tuple[tuple[int, bool], ...]
    zero_point: int
    low: int
    high: int
    weights: np.ndarray
    params: np.ndarray
    macs: int
    activations: int
    weight_elements: int
    differences: tuple[int, int] = (-255, 255)
    nibbles: bool = False
    repeat: tuple[int, int] = (1, 1)
    rows_apart: bool = False
    pixels_apart: bool = False
    table: np.ndarray | None = None

    def compulsory_bytes(self, batch: int = 1) -> int:
        """Return the least traffic: bytes that must be read or written, once.

        No order of the work moves less; whole blocks, words and bursts, halos, parameters and
        instructions come on top.
        """
        return batch * self.activations + -(-self.weight_elements * self.weight_bits // 8)

    @property
    def weight_bits(self) -> int:
        """Bits of a weight in memory."""
        return NIBBLE_BITS if self.nibbles else 8

    @property
    def fits_nibbles(self) -> bool:
        """Whether each weight fits a nibble."""
        least, most = -(1 << (NIBBLE_BITS - 1)), (1 << (NIBBLE_BITS - 1)) - 1
        return bool(least <= self.weights.min() and self.weights.max() <= most)

    def products(self, config: AcceleratorConfig) -> int:
        """Return the fewest multiplications of an image: one a MAC, or a quarter with Winograd."""
        if not (config.winograd and self.winograd):
            return self.macs
        return -(-self.macs // MACS_PER_PRODUCT)

    @property
    def input(self) -> str:
        """The first input."""
        return self.inputs[0]

    @property
    def reached(self) -> int:
        """Blocks of input channels that an output block takes in a sweep, at most."""
        return self.weights.shape[1] // len(self.sweeps)

    @property
    def linear(self) -> bool:
        """Whether one output pixel takes each input pixel once, in the order of memory."""
        return (
            not self.pixel_bytes
            and not self.reach
            and len(self.sweeps) == 1
            and self.taps == self.extent == (self.height, self.width)
            and self.padding == (0, 0)
            and (self.out_height, self.out_width) == self.window == self.repeat == (1, 1)
        )

    @property
    def winograd(self) -> bool:
        """Whether Winograd's convolution can give it: 3x3 taps without gaps, at every pixel."""
        return (
            self.taps == self.extent == (KERNEL, KERNEL)
            and self.stride == (1, 1)
            and self.window == self.window_stride
            and self.window in ((1, 1), (2, 2))
            and not self.pixel_bytes
            and not self.linear
            and len(self.sweeps) == 1
            and self.repeat == (1, 1)
        )

    def sums(self, axis: int, count: int) -> int:
        """Return the sums along an axis (0 vertical) that `count` windows need."""
        return (count - 1) * self.window_stride[axis] + self.window[axis]
