"""Geometry: which input pixels a tile of outputs needs, and the padding around them."""

from dataclasses import dataclass

from systolith_host.compiler.lower.operation import Operation
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.winograd import OUTPUTS, PATCH

__all__ = ["LARGEST_PADDING", "Shape", "Span", "input_span", "patches", "split"]

LARGEST_PADDING = 255


@dataclass(frozen=True)
class Span:
    """A tile's input pixels along one axis.

    Parameters
    ----------
    start, length : int
        Part of the tensor that is read.
    before, after : int
        Padding around it.
    skip : int
        Pixels, padding included, before the first that the kernel touches.
    """

    start: int
    length: int
    before: int
    after: int
    skip: int

    @property
    def size(self) -> int:
        """Pixels in the buffer."""
        return self.before + self.length + self.after

    def covers(self, size: int) -> bool:
        """Return whether it is all of an axis of so many pixels, and no padding."""
        return self.length == self.size == size


@dataclass(frozen=True)
class Shape:
    """The blocks of an operation on one accelerator.

    Parameters
    ----------
    in_blocks : int
        Blocks of ``rows`` input channels (1 if packed).
    out_blocks : int
        Blocks of ``cols`` output channels.
    source_blocks, target_blocks : int
        Blocks of ``block`` channels of input and output in memory.
    """

    in_blocks: int
    out_blocks: int
    source_blocks: int
    target_blocks: int

    @classmethod
    def of(cls, operation: Operation, config: AcceleratorConfig) -> "Shape":
        """Return the blocks of an operation."""
        packed = bool(operation.pixel_bytes)
        return cls(
            in_blocks=1 if packed else -(-operation.channels // config.rows),
            out_blocks=-(-operation.out_channels // config.cols),
            source_blocks=1 if packed else -(-operation.channels // config.block),
            target_blocks=-(-operation.out_channels // config.block),
        )


def patches(sums: int) -> int:
    """Return the patches side by side that give so many sums along an axis."""
    return -(-sums // OUTPUTS)


def input_span(
    operation: Operation,
    axis: int,
    first: int,
    count: int,
    config: AcceleratorConfig,
    *,
    winograd: bool = False,
) -> Span:
    """Return the input of `count` outputs from number `first` along an axis (0 is vertical).

    With `winograd` it is that of whole patches.
    """
    size = (operation.height, operation.width)[axis]
    origin = first * operation.window_stride[axis] * operation.stride[axis]
    low = origin - operation.padding[axis]
    sums = operation.sums(axis, count)
    if winograd:
        high = low + (patches(sums) - 1) * OUTPUTS + PATCH
    else:
        high = low + (sums - 1) * operation.stride[axis] + operation.extent[axis]
    # A tile of nothing but padding still reads one pixel: a LOAD is never empty.
    start = min(max(low, 0), size - 1)
    end = max(min(high, size), start + 1)
    if axis == 1 and operation.pixel_bytes:
        start -= start % (config.block // operation.pixel_bytes)
    before = max(-low, 0)
    return Span(start, end - start, before, max(high - end, 0), low - start + before)


def split(size: int, step: int) -> list[tuple[int, int]]:
    """Return (first, count) of the pieces of `step`, the last one smaller."""
    return [(first, min(step, size - first)) for first in range(0, size, step)]
