"""Image files of every pixel format as 8-bit gray or RGB."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

__all__ = ["decode_image"]

_INTEGERS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's formats of more than 8 bits; its `convert` cuts them at 255."""

_FULL_SCALE = 65535
"""White of an integer format, unless the file says that it has fewer bits."""

_BITS, _PHOTOMETRIC = 258, 262
"""Tags of TIFF; a photometric interpretation of 0 means that white is 0."""

_WAY_OUT = "scale it, or use a NumPy file (.npy), which is taken as it is"


def decode_image(path: Path, *, gray: bool = False) -> tuple[Image.Image, bool]:
    """Return an image file upright, in 8-bit gray or RGB, laid over white.

    Gray integers of more than 8 bits are scaled by 65535 (a TIFF of 12 bits by 4095) and rounded
    to 8 bits, floats by 1; Pillow itself keeps the upper byte of 16-bit colours. The colours of
    transparent pixels are arbitrary: they show white, as in a viewer.

    Parameters
    ----------
    path : Path
        The first image is taken if it holds several.
    gray : bool
        One channel instead of red, green and blue.

    Returns
    -------
    image : PIL.Image.Image
        Of mode L or RGB.
    overlaid : bool
        Whether any pixel was transparent.

    Raises
    ------
    ValueError
        If values lie outside of the scale, or the pixel format cannot be converted.
    OSError, SyntaxError, EOFError, Image.DecompressionBombError
        From Pillow, if the file cannot be read.
    """
    # Opened by name, Pillow 13.0 would map an uncompressed TIFF with the turned image's rows.
    with path.open("rb") as data, Image.open(data) as file:
        image = ImageOps.exif_transpose(file)
        tags = getattr(file, "tag_v2", {})
    overlaid = False
    if image.mode == "F" or image.mode in _INTEGERS:
        image, overlaid = _scaled(image, tags)
    elif image.has_transparency_data:
        layer = image.convert("LA") if image.mode == "La" else image
        layer = layer.convert("RGBA")
        overlaid = layer.getchannel("A").getextrema() != (255, 255)
        if overlaid:
            image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("L" if gray else "RGB"), overlaid


def _scaled(image: Image.Image, tags: Mapping[int, Any]) -> tuple[Image.Image, bool]:
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"some values are not finite; {_WAY_OUT}")
    full = 1 if image.mode == "F" else _FULL_SCALE
    if image.mode.startswith("I;16"):
        full = 2 ** tags.get(_BITS, (16,))[0] - 1
    low, high = values.min(), values.max()
    if low < 0 or high > full:
        raise ValueError(
            f"values from {low:g} to {high:g}; those of an image in "
            f"{'floats' if image.mode == 'F' else 'integers'} must lie between 0 and {full}; "
            f"{_WAY_OUT}"
        )
    if tags.get(_PHOTOMETRIC) == 0:
        values = full - values
    clear = values == image.info.get("transparency", np.nan)
    values[clear] = full
    return Image.fromarray(np.rint(values * (255 / full)).astype(np.uint8)), bool(clear.any())
