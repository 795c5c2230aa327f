"""The judge of files for several images at once: whether each image's outputs are its own."""

from pathlib import Path

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.frontend.differences import share
from systolith_host.frontend.onnx import OnnxModel
from systolith_host.frontend.reference import Session

__all__ = ["check_images_apart"]

_WAY_OUT = "here images are computed one at a time: export the network with a batch of 1"


def check_images_apart(
    path: Path, model: OnnxModel, x: np.ndarray, count: int, rounding: float
) -> None:
    """Run a file that wants several images at once twice, with other images next to the first.

    Parameters
    ----------
    path : Path
        The ONNX file.
    model : OnnxModel
        The network read from it.
    x : ndarray of float32, shape (1, channels, height, width) or (1, features)
    count : int
        Images that the file wants at once; nothing is run for 1.
    rounding : float
        Largest :func:`share` that two computations of the same output may have.

    Raises
    ------
    SystolithError
        If an output of the first image depends on the others, or no side of it is the images'.
    CannotRunError
        If onnxruntime fails.
    """
    if count == 1:
        return
    image = np.moveaxis(x, 1, -1) if model.channels_last else x
    names = list(model.files)
    session = Session(path, image.shape[1:], [], None, model.whole)
    rng, shape = np.random.default_rng(1), (count - 1, *image.shape[1:])
    others = rng.standard_normal(shape, np.float32) * np.abs(image).max()
    if model.whole is not None:  # the image's own values are integers
        others = rng.choice(image.reshape(-1), shape)
    alone = session.run(names, np.repeat(image, count, axis=0))
    among = session.run(names, np.concatenate([image, others]))
    for name, one, other in zip(names, alone, among, strict=True):
        if one.shape[:1] != (count,):
            raise SystolithError(
                f"{path}: output {name} of shape {'x'.join(map(str, one.shape))} has no side for "
                f"the {count} images of a batch; {_WAY_OUT}"
            )
        if not _same(one[0], other[0], rounding):
            raise SystolithError(
                f"{path}: output {name} of an image depends on the other images of a batch of "
                f"{count}; {_WAY_OUT}"
            )


def _same(one: np.ndarray, other: np.ndarray, rounding: float) -> bool:
    if one.dtype.kind != "f":
        return np.array_equal(one, other)
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(other)):
        return False
    return not finite.any() or share(other[finite], one[finite]) <= rounding
