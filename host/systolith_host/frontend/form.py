"""How a photograph's pixels become a network's input."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.frontend.row import Row
from systolith_host.frontend.whole import Whole

__all__ = ["MEAN", "STD", "Form", "Piece"]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's red, green and blue, of values from 0 to 1."""


@dataclass(frozen=True)
class Form:
    """The input that a network expects: (pixel * scale - mean) / std, pixels being from 0 to 1.

    What is not given, a network's file may tell.

    Parameters
    ----------
    mean, std : tuple of float, optional
        For each channel in the network's order, or one for all. By default ImageNet's where there
        are three channels and `scale` is 1, otherwise 0 and 1.
    scale : float, optional
        The value of white: 255 for networks that take bytes; 1 by default.
    bgr : bool, optional
        Whether the channels are blue, green, red.
    channels_last : bool, optional
        Whether arrays are (height, width, channels); by default as the network's file has them.
    whole : Whole, optional
        What integers stand for, where the network's file takes those; only the file tells it.
    row : Row, optional
        All inputs, where the network's file has several; only the file tells it.

    Raises
    ------
    SystolithError
        If nothing can be normalised by the numbers.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float | None = None
    bgr: bool | None = None
    channels_last: bool | None = None
    whole: Whole | None = field(default=None, repr=False)
    row: Row | None = field(default=None, repr=False)

    @property
    def alone(self) -> "Form":
        """The form of the main input of several."""
        whole = None if self.row is None else self.row.entries[self.row.main].whole
        return dataclasses.replace(self, row=None, whole=whole)

    def __post_init__(self) -> None:
        """Make tuples of numbers, and refuse those by which nothing can be normalised."""
        for name in ("mean", "std", "scale"):
            given = getattr(self, name)
            if given is None:
                continue
            try:
                numbers = tuple(map(float, np.atleast_1d(given)))
            except (TypeError, ValueError):
                raise SystolithError(f"{name} must be numbers, not {given!r}") from None
            if not (numbers and np.isfinite(numbers).all()):
                raise SystolithError(f"{name} must be finite numbers, not {given!r}")
            if name != "mean" and min(numbers) <= 0:
                raise SystolithError(f"{name} must be above 0, not {given!r}")
            if name == "scale" and len(numbers) > 1:
                raise SystolithError(f"scale must be one number, not {given!r}")
            object.__setattr__(self, name, numbers if name != "scale" else sum(numbers))

    @property
    def named(self) -> tuple[str, ...]:
        """The names of what is given for photographs."""
        fields = ("mean", "std", "scale", "bgr")
        return tuple(name for name in fields if getattr(self, name) is not None)

    def __str__(self) -> str:
        """Describe what photographs become."""
        scale = self.scale or 1.0
        text = f"0 to {scale:g}"
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            neutral = 0.0 if name == "mean" else 1.0
            if numbers is not None and any(number != neutral for number in numbers):
                text += f", {name} {', '.join(f'{number:g}' for number in numbers)}"
        return text + (", channels blue, green, red" if self.bgr else "")

    def over(self, told: "Form") -> "Form":
        """Return this, completed by what a network's file tells.

        Mean, standard deviation and scale belong together: if any of them is given here, those that
        are not given are the default.
        """
        own = {"mean", "std", "scale"}.intersection(self.named)
        base = dataclasses.replace(told, mean=None, std=None, scale=None) if own else told
        given = {name: value for name, value in vars(self).items() if value is not None}
        return dataclasses.replace(base, **given)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse what does not go with a network's input.

        Parameters
        ----------
        shape : tuple of int
            (channels, height, width) or (features,).

        Raises
        ------
        SystolithError
            If it does not.
        """
        if self.named and len(shape) != 3:
            raise SystolithError(
                f"{self.named[0]} is for images, but the network takes vectors of {shape[0]:,} "
                "numbers"
            )
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers is not None and len(numbers) not in (1, shape[0]):
                raise SystolithError(
                    f"{name} has {len(numbers)} numbers, but the network has {shape[0]} channels"
                )
        if self.bgr and shape[0] != 3:
            raise SystolithError(f"bgr is for 3 channels, but the network has {shape[0]}")

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels from 0 to 1, shape (height, width, channels), as an input, channels first.

        Returns
        -------
        ndarray of float32, shape (channels, height, width)
        """
        channels = pixels.shape[-1]
        self.check((channels, *pixels.shape[:2]))
        scale = self.scale or 1.0
        plain = channels != 3 or scale != 1
        mean = self.mean or ((0.0,) if plain else MEAN)
        std = self.std or ((1.0,) if plain else STD)
        if self.bgr:
            pixels = pixels[..., ::-1]
            mean = mean if self.mean is not None else mean[::-1]
            std = std if self.std is not None else std[::-1]
        made = pixels.astype(np.float32) * np.float32(scale)
        made = (made - np.array(mean, np.float32)) / np.array(std, np.float32)
        if self.whole is not None:
            made = self.whole.real(self.whole.integers(made))
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
