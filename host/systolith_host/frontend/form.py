"""How a photograph's pixels become a network's input."""

from dataclasses import dataclass

import numpy as np

from systolith_host.errors import SystolithError

__all__ = ["MEAN", "STD", "Form", "Piece"]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's red, green and blue, of values from 0 to 1."""


@dataclass(frozen=True)
class Form:
    """The input that a network expects: (pixel * scale - mean) / std, pixels being from 0 to 1.

    Parameters
    ----------
    mean, std : tuple of float, optional
        For each channel in the network's order, or one for all. By default ImageNet's where there
        are three channels and `scale` is 1, otherwise 0 and 1.
    scale : float
        The value of white: 255 for networks that take bytes.
    bgr : bool
        Whether the channels are blue, green, red.
    channels_last : bool, optional
        Whether arrays are (height, width, channels); None for the order of the network's file.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float = 1.0
    bgr: bool = False
    channels_last: bool | None = None

    def __post_init__(self) -> None:
        """Refuse numbers by which nothing can be normalised."""
        for name, numbers in (("mean", self.mean or ()), ("std", self.std or ())):
            if not all(np.isfinite(number) for number in numbers):
                raise SystolithError(f"{name} must be finite, not {list(numbers)}")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise SystolithError(f"scale must be above 0, not {self.scale}")
        if not all(number > 0 for number in self.std or ()):
            raise SystolithError(f"std must be above 0, not {list(self.std or ())}")

    def check(self, channels: int) -> None:
        """Refuse numbers that are not as many as a network's channels, or one.

        Raises
        ------
        SystolithError
            If they are not.
        """
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers is not None and len(numbers) not in (1, channels):
                raise SystolithError(
                    f"{name} has {len(numbers)} numbers, but the network has {channels} channels"
                )

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels from 0 to 1, shape (height, width, channels), as an input, channels first.

        Returns
        -------
        ndarray of float32, shape (channels, height, width)
        """
        channels = pixels.shape[-1]
        self.check(channels)
        plain = channels != 3 or self.scale != 1
        mean = self.mean or ((0.0,) if plain else MEAN)
        std = self.std or ((1.0,) if plain else STD)
        if self.bgr:
            pixels = pixels[..., ::-1]
            mean = mean if self.mean is not None else mean[::-1]
            std = std if self.std is not None else std[::-1]
        made = pixels.astype(np.float32) * np.float32(self.scale)
        made = (made - np.array(mean, np.float32)) / np.array(std, np.float32)
        return np.ascontiguousarray(made.transpose(2, 0, 1))


@dataclass(frozen=True)
class Piece:
    """A piece of a photograph.

    Parameters
    ----------
    across, down : float
        Where it lies in the scaled photograph: 0 is left and top, 1 right and bottom.
    zoom : float
        Size of the scaled photograph relative to that of which the middle is taken.
    mirrored : bool
    """

    across: float = 0.5
    down: float = 0.5
    zoom: float = 1.0
    mirrored: bool = False
