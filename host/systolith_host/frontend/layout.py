"""Where the values of a file's tensors lie in this network's, which has channels first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["CHANNELS_LAST", "Factored", "Layout", "Padding", "laid_out", "vector_layout"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The order of a file's tensor, for one image.

    Parameters
    ----------
    axes : tuple of int
        Axis `i` of the file's image is axis `axes[i]` of this network's (channels, height, width).
    image : tuple of int, optional
        Of a vector: the shape of this network's image whose values it has in the file's order.
    """

    axes: tuple[int, int, int]
    image: Shape | None = None

    def __str__(self) -> str:
        """Return the order in words."""
        names = ", ".join(("channels", "height", "width")[axis] for axis in self.axes)
        return names if self.image is None else f"a row of {names}"

    def shape(self, shape: Shape) -> Shape:
        """Return the file's shape of a tensor that has `shape` here."""
        return shape if self.image is not None else tuple(shape[axis] for axis in self.axes)

    def inverse(self, shape: Shape) -> Shape:
        """Return the shape here of an image that has `shape` in the file."""
        return tuple(shape[self.axes.index(axis)] for axis in range(3))

    def order(self) -> np.ndarray:
        """Return, for each place of the file's vector, the place here; shape (features,)."""
        assert self.image is not None
        places = np.arange(int(np.prod(self.image))).reshape(self.image)
        return places.transpose(self.axes).reshape(-1)

    def into(self, values: np.ndarray) -> np.ndarray:
        """Return values of the file's tensor as this network has them.

        Parameters
        ----------
        values : ndarray, shape (N, ...)
            An image, or a vector; sides of 1 may stand for any number.

        Returns
        -------
        ndarray of the same type, shape (N, ...)
        """
        if self.image is None:
            return values.transpose(0, *(1 + self.axes.index(axis) for axis in range(3)))
        if values.shape[-1] == 1:
            return values
        return values[..., np.argsort(self.order())]


CHANNELS_LAST = Layout((1, 2, 0))
"""Images as (height, width, channels)."""


def laid_out(axes: Sequence[int]) -> Layout | None:
    """Return the layout of an image; None if it is this network's."""
    first, second, third = axes
    return Layout((first, second, third)) if tuple(axes) != (0, 1, 2) else None


def vector_layout(layout: Layout | None, image: Shape) -> Layout | None:
    """Return the layout of an image's values in a row; None if it is this network's order."""
    if layout is None:
        return None
    moved = [axis for axis in layout.axes if image[axis] != 1]
    return None if moved == sorted(moved) else Layout(layout.axes, image)


@dataclass(frozen=True)
class Padding:
    """Zeros around an image that the layer behind has to take in.

    Parameters
    ----------
    node : str
        That puts them there.
    sides : (top, bottom, left, right)
    integers : bool
        Whether it is a tensor of integers that is padded.
    """

    node: str
    sides: tuple[int, int, int, int] = (0, 0, 0, 0)
    integers: bool = False


@dataclass(frozen=True)
class Factored:
    """Channels that a Reshape has taken apart into several axes.

    Parameters
    ----------
    sizes : tuple of int
        Of the axes, as they lie in the tensor's channels.
    order : tuple of int
        Which of them the file has first, second, ...
    integers : bool
        Whether it is a tensor of integers.
    """

    sizes: tuple[int, ...]
    order: tuple[int, ...]
    integers: bool
