"""What an ONNX file tells of the pixels that it wants: by its metadata, or its input's range."""

from collections.abc import Mapping

from systolith_host.frontend.form import Form
from systolith_host.frontend.whole import Whole
from systolith_host.network.scales import ActivationScale

__all__ = ["told_form"]

_RANGES = {
    "nominalrange_0_255": Form(mean=(0.0,), std=(1.0,), scale=255.0),
    "normalized_0_1": Form(mean=(0.0,), std=(1.0,), scale=1.0),
    "normalized_1_1": Form(mean=(0.5,), std=(0.5,), scale=1.0),
    "nominalrange_16_235": Form(mean=(-16.0,), std=(1.0,), scale=219.0),
}
"""Forms by ONNX's values of Image.NominalPixelRange."""

_ENDS = {
    "nominalrange_0_255": (0.0, 255.0),
    "normalized_0_1": (0.0, 1.0),
    "normalized_1_1": (-1.0, 1.0),
}
"""Ends of the ranges of quantised inputs that tell the form; ImageNet's reach beyond 2."""

_TOLERANCE = 0.1
"""Of an end, relative to the upper one: calibration images need not be black or white."""


_BYTES = {"uint8": Form(mean=(0.0,), scale=255.0), "int8": Form(mean=(128.0,), scale=255.0)}
"""Forms by the types of inputs whose integers stand for themselves: a pixel's bytes."""


def told_form(
    metadata: Mapping[str, str], scale: ActivationScale | None, whole: Whole | None = None
) -> tuple[Form, str]:
    """Return what a file tells of its input, and by what, in words; empty ones for nothing.

    Parameters
    ----------
    metadata : mapping of str to str
        The model's; ONNX's keys Image.NominalPixelRange and Image.BitmapPixelFormat count, whose
        case does not.
    scale : ActivationScale, optional
        Of the input of a file that was quantised before.
    whole : Whole, optional
        What the input's integers stand for, if the file takes those.
    """
    said = {key.casefold(): value.casefold() for key, value in metadata.items()}
    order = said.get("image.bitmappixelformat", "")
    bgr = order.startswith("bgr") if order.startswith(("bgr", "rgb")) else None
    name = said.get("image.nominalpixelrange", "")
    by = "its metadata"
    if name not in _RANGES:
        name = _range_of(scale)
        by = by if bgr is not None and not name else "the range of its input"
    plain = whole is not None and whole.scale == 1
    if not name and bgr is None and not plain:
        return Form(), ""
    form = _RANGES.get(name, Form())
    if plain and not name:
        assert whole is not None
        by = by if bgr is not None else "the type of its input"
        form = _BYTES.get(whole.type, _BYTES["uint8"])
    return Form(form.mean, form.std, form.scale, bgr), by


def _range_of(scale: ActivationScale | None) -> str:
    if scale is None:
        return ""
    low, high = ((end - scale.zero_point) * scale.scale for end in (scale.low, scale.high))
    for name, (bottom, top) in _ENDS.items():
        if max(abs(low - bottom), abs(high - top)) <= _TOLERANCE * top:
            return name
    return ""
