"""Photographs as network input: size, crop and normalisation as in torchvision."""

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from systolith_host.errors import SystolithError

__all__ = ["MEAN", "STD", "image_batch", "load_image", "sample_images"]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's red, green and blue, of values from 0 to 1."""

_RESIZE = 256 / 224
"""The shorter side is first made so much longer than the crop."""


def sample_images() -> tuple[Path, ...]:
    """Return the photographs that scikit-learn carries: china.jpg and flower.jpg."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise SystolithError("scikit-learn is not installed; name a photograph with --image")
    folder = Path(spec.origin).parent / "datasets" / "images"
    return (folder / "china.jpg", folder / "flower.jpg")


def load_image(path: Path, size: int) -> np.ndarray:
    """Return a photograph as network input.

    The shorter side is scaled to 256/224 of `size`, the middle of `size` x `size` is cut out, and
    the values are normalised with :data:`MEAN` and :data:`STD`.

    Returns
    -------
    ndarray of float32, shape (3, size, size)

    Raises
    ------
    SystolithError
        If the file is missing, damaged, or no image.
    """
    if not path.is_file():
        raise SystolithError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file).convert("RGB")
    except UnidentifiedImageError:
        raise SystolithError(f"{path}: not an image that can be read (JPEG, PNG, ...)") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise SystolithError(f"{path}: image has too many pixels; scale it down first") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise SystolithError(f"{path}: image cannot be read: {reason}") from None
    shorter = round(size * _RESIZE)
    scale = shorter / min(image.size)
    width, height = (max(shorter, int(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    pixels = np.asarray(image.crop((left, top, left + size, top + size)), np.float32) / 255
    normalised = (pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))


def image_batch(images: Sequence[np.ndarray], batch: int) -> np.ndarray:
    """Return `batch` inputs: the images in turn, each further round shifted sideways.

    Returns
    -------
    ndarray of float32, shape (batch, 3, height, width)
    """
    rounds = [divmod(index, len(images)) for index in range(batch)]
    return np.stack([np.roll(images[image], 17 * turn, axis=2) for turn, image in rounds])
