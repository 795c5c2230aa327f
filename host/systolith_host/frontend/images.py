"""Photographs as network input: size, crop and normalisation as in torchvision."""

import importlib.util
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.frontend.form import MEAN, STD, Form, Piece

__all__ = [
    "MEAN",
    "STD",
    "check_inputs",
    "find_inputs",
    "image_batch",
    "load_array",
    "load_arrays",
    "load_image",
    "load_inputs",
    "sample_images",
]

_RESIZE = 256 / 224
"""Length of the shorter side over the crop's, before the crop."""

_BY_SYSTEMS = ("Thumbs.db", "desktop.ini")
"""Files that Windows puts into folders of photographs; those of others begin with a dot."""

_LAST = "; for arrays with channels last say --layout nhwc (channels_last in Python)"
"""Added to the error of an array that would fit so."""

_WITHOUT = ", or give inputs as NumPy files (--image FILE.npy)"


def sample_images() -> tuple[Path, ...]:
    """Return the photographs that scikit-learn carries: china.jpg and flower.jpg."""
    need("calibrating without --image", "images", otherwise=_WITHOUT)
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "images"
    return (folder / "china.jpg", folder / "flower.jpg")


def find_inputs(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return files, and those of folders in the order of their names.

    Hidden files of folders, such as ``.DS_Store``, are left out.

    Raises
    ------
    SystolithError
        If something is missing, or a folder has no files.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            files = sorted(
                entry
                for entry in path.iterdir()
                if entry.is_file() and entry.name[0] != "." and entry.name not in _BY_SYSTEMS
            )
            if not files:
                raise SystolithError(f"{path}: the folder has no files")
            found += files
        elif path.is_file():
            found.append(path)
        else:
            raise SystolithError(f"{path}: no such file")
    return tuple(found)


def load_inputs(
    path: Path,
    shape: tuple[int, ...],
    overlaid: Callable[[Path], None] | None = None,
    *,
    form: Form | None = None,
    piece: Piece | None = None,
) -> np.ndarray:
    """Return a file as inputs of a network.

    A NumPy file (.npy) holds one input or several, which are taken as they are; anything else is
    a photograph, for :func:`load_image`.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Of the network's input for one image: (channels, height, width) or (features,).
    overlaid : callable, optional
        As in :func:`load_image`.
    form : Form, optional
        What the network expects; torchvision's normalisation if not given.
    piece : Piece, optional
        Of a photograph; its middle if not given.

    Returns
    -------
    ndarray of float32, shape (N, *shape)

    Raises
    ------
    SystolithError
        If the file cannot be used.
    """
    row = None if form is None else form.row
    if form is not None and row is not None:
        if path.suffix == ".npz":
            return row.pack(load_arrays(path), str(path))
        main = load_inputs(path, row.image, overlaid, form=form.alone, piece=piece)
        return row.around(main, str(path))
    if path.suffix == ".npy":
        return check_inputs(load_array(path), shape, str(path), form)
    if path.suffix == ".npz":
        raise SystolithError(
            f"{path}: arrays by name are for networks of several inputs; this one has one: give a "
            "single array (.npy)"
        )
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise SystolithError(
            f"{path}: the network takes {'x'.join(map(str, shape))} numbers, which no photograph "
            "gives; use a NumPy file (.npy)"
        )
    gray = shape[0] == 1
    return load_image(
        path, shape[1], shape[2], gray=gray, overlaid=overlaid, form=form, piece=piece
    )[None]


def load_array(path: Path) -> np.ndarray:
    """Return the array of a NumPy file (.npy); raise a SystolithError if it has none."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise SystolithError(f"{path}: not a NumPy array: {reason}") from None


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a NumPy file (.npz) by name; raise a SystolithError if it has none."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise SystolithError(f"{path}: not a file of NumPy arrays: {reason}") from None


def check_inputs(
    values: np.ndarray, shape: tuple[int, ...], what: str, form: Form | None = None
) -> np.ndarray:
    """Return an array as inputs of a network, its numbers being those that the file takes.

    Parameters
    ----------
    values : ndarray, shape `shape` or (N, *shape)
    shape : tuple of int
        Of the network's input for one image.
    what : str
        The name of the array in errors.
    form : Form, optional
        What the network expects. If its file has images as (height, width, channels), arrays of
        that shape become channels first; if both fit, they are the file's. Integers become the real
        numbers that they stand for in the file.

    Returns
    -------
    ndarray of float32, shape (N, *shape)

    Raises
    ------
    SystolithError
        If shape or type are others, or numbers are not finite as float32, or not integers where
        the file takes those.
    """
    form = form or Form()
    if form.row is not None:
        return form.row.around(check_inputs(values, form.row.image, what, form.alone), what)
    channels_last = bool(form.channels_last)
    own = (*shape[1:], shape[0]) if channels_last else shape
    if channels_last and own in (values.shape, values.shape[1:]):
        values = np.moveaxis(values, -1, -3)
    several = values[None] if values.shape == shape else values
    kinds = "fiu" if form.whole is None else "bfiu"
    if several.shape[1:] != shape or several.size < 1 or several.dtype.kind not in kinds:
        last = (*shape[1:], shape[0])
        hint = "" if last not in (values.shape, values.shape[1:]) else _LAST
        raise SystolithError(
            f"{what}: must hold numbers of shape {own}, or several of them, not "
            f"{values.dtype} of shape {values.shape}{hint}"
        )
    if form.whole is not None:
        return form.whole.check(several, what)
    with np.errstate(over="ignore"):
        several = np.ascontiguousarray(several, np.float32)
    if not np.isfinite(several).all():
        raise SystolithError(f"{what}: has values that are not finite")
    return several


def load_image(
    path: Path,
    size: int,
    width: int | None = None,
    *,
    gray: bool = False,
    overlaid: Callable[[Path], None] | None = None,
    form: Form | None = None,
    piece: Piece | None = None,
) -> np.ndarray:
    """Return a photograph as network input.

    Pixels become 8-bit gray or RGB as :func:`decode_image` says. The photograph is scaled until
    256/224 of the wanted size fits into it, the middle is cut out, and the values are normalised
    as `form` says: by default with ImageNet's mean and deviation; gray values are only scaled to 1.

    Parameters
    ----------
    path : Path
    size : int
        Height in pixels.
    width : int, optional
        As the height if not given.
    gray : bool
        One channel instead of red, green and blue.
    overlaid : callable, optional
        Called with the path if the photograph has transparent pixels, which are laid over white.
    form : Form, optional
    piece : Piece, optional
        Another piece than the middle.

    Returns
    -------
    ndarray of float32, shape (3, size, width) or (1, size, width)

    Raises
    ------
    SystolithError
        If the file is missing, damaged, no image, or its values lie outside of the scale.
    """
    if not path.is_file():
        raise SystolithError(f"{path}: no such file")
    need(f"{path}: a photograph", "images", "PIL", otherwise=_WITHOUT)
    from PIL import Image, UnidentifiedImageError

    from systolith_host.frontend.decode import decode_image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image, transparent = decode_image(path, gray=gray)
    except UnidentifiedImageError:
        raise SystolithError(f"{path}: not an image that can be read (JPEG, PNG, ...)") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise SystolithError(f"{path}: image has too many pixels; scale it down first") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise SystolithError(f"{path}: image cannot be read: {reason}") from None
    if transparent and overlaid is not None:
        overlaid(path)
    piece = piece or Piece()
    sides = (width or size, size)
    least = tuple(round(side * _RESIZE * piece.zoom) for side in sides)
    scale = max(short / side for short, side in zip(least, image.size, strict=True))
    across, down = (
        max(short, int(side * scale)) for short, side in zip(least, image.size, strict=True)
    )
    image = image.resize((across, down), Image.Resampling.BILINEAR)
    left = round((across - sides[0]) * piece.across)
    top = round((down - sides[1]) * piece.down)
    cut = image.crop((left, top, left + sides[0], top + sides[1]))
    pixels = np.asarray(cut, np.float32) / 255
    if piece.mirrored:
        pixels = pixels[:, ::-1]
    return (form or Form()).apply(pixels[..., None] if gray else pixels)


def image_batch(images: Sequence[np.ndarray], batch: int, *, shifted: bool = True) -> np.ndarray:
    """Return `batch` inputs: the images in turn, each further round shifted along its last axis.

    Rows of several inputs are only repeated.

    Returns
    -------
    ndarray of float32, shape (batch, channels, height, width) or (batch, features)
    """
    rounds = [divmod(index, len(images)) for index in range(batch)]
    step = 17 if shifted else 0
    return np.stack([np.roll(images[image], step * turn, axis=-1) for turn, image in rounds])
