"""Image files of every pixel format as 8-bit gray or RGB."""

import struct

import numpy as np
import pytest
from PIL import Image

from systolith_host.errors import SystolithError
from systolith_host.frontend.decode import decode_image
from systolith_host.frontend.images import load_image, load_inputs

BYTES = np.arange(64 * 64, dtype=np.int64).reshape(64, 64) % 256


def opened(path, gray=True):
    image, overlaid = decode_image(path, gray=gray)
    return np.asarray(image), overlaid


def mode_of(path):
    with Image.open(path) as file:
        return file.mode


def _tiff(path, values, *, bits=16, photometric=1):
    """Write a TIFF by hand: Pillow writes neither 12 bits nor white as 0."""
    if bits == 12:
        pairs = values.reshape(-1, 2)
        data = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs.tolist())
    else:
        data = values.astype("<u2").tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 277: 1, 278: height}
    tags |= {273: 8 + 2 + 12 * 9 + 4, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4 + data)


@pytest.mark.parametrize(
    ("mode", "dtype", "ending"),
    [
        ("I;16", "<u2", "png"),
        ("I;16", "<u2", "tiff"),
        ("I;16B", ">u2", "tiff"),
        ("I", "<i4", "tiff"),
        ("I", "<i4", "pgm"),
    ],
)
@pytest.mark.parametrize("gray", [True, False])
def test_integers_of_more_bits_give_the_values_of_the_same_picture_in_8(
    tmp_path, mode, dtype, ending, gray
):
    wide, narrow = tmp_path / f"wide.{ending}", tmp_path / "narrow.png"
    values = (257 * BYTES).astype(dtype)
    Image.frombytes(mode, (64, 64), values.tobytes()).save(wide)
    Image.fromarray(BYTES.astype(np.uint8)).save(narrow)
    assert mode_of(wide).startswith("I")
    for shape in ((16, 16), (20, 12)):
        assert np.array_equal(
            load_image(wide, *shape, gray=gray), load_image(narrow, *shape, gray=gray)
        )


def test_values_between_two_steps_are_rounded_to_the_nearest(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "wide.png")
    found, _ = opened(tmp_path / "wide.png")
    assert np.abs(found / 255 - values / 65535).max() <= 0.5 / 255 + 1e-12


def test_floats_from_0_to_1_are_scaled(tmp_path):
    Image.fromarray((BYTES / 255).astype(np.float32)).save(tmp_path / "float.tiff")
    assert mode_of(tmp_path / "float.tiff") == "F"
    found, overlaid = opened(tmp_path / "float.tiff")
    assert np.array_equal(found, BYTES)
    assert not overlaid


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((8, 8), 1.5, np.float32), "values from 1.5 to 1.5; those of an image in floats "),
        (np.full((8, 8), -0.1, np.float32), "values from -0.1 to -0.1; "),
        (np.full((8, 8), np.nan, np.float32), "some values are not finite; "),
        (np.full((8, 8), 70000, np.int32), "values from 70000 to 70000; .* between 0 and 65535; "),
        (np.full((8, 8), -1, np.int32), "values from -1 to -1; "),
    ],
)
def test_values_outside_of_the_scale_are_refused_with_one_line(tmp_path, values, reason):
    path = tmp_path / "image.tiff"
    Image.fromarray(values).save(path)
    with pytest.raises(
        SystolithError, match=rf"^.*image\.tiff: image cannot be read: {reason}.*\.npy"
    ) as caught:
        load_inputs(path, (1, 8, 8))
    assert "\n" not in str(caught.value)


def test_a_tiff_of_12_bits_is_scaled_by_4095(tmp_path):
    values = np.arange(4096).reshape(64, 64)
    _tiff(tmp_path / "image.tiff", values, bits=12)
    found, _ = opened(tmp_path / "image.tiff")
    assert np.array_equal(found, np.rint(values / 4095 * 255))


def test_a_tiff_of_16_bits_whose_white_is_0_is_inverted(tmp_path):
    _tiff(tmp_path / "image.tiff", 257 * BYTES, photometric=0)
    assert np.array_equal(opened(tmp_path / "image.tiff")[0], 255 - BYTES)


def test_two_levels_are_black_and_white(tmp_path):
    Image.fromarray(BYTES % 2 == 1).save(tmp_path / "image.png")
    assert mode_of(tmp_path / "image.png") == "1"
    assert np.array_equal(opened(tmp_path / "image.png")[0], BYTES % 2 * 255)


def test_a_palette_stands_for_its_colours(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "image.png")
    found, overlaid = opened(tmp_path / "image.png", gray=False)
    assert (found == (10, 200, 30)).all()
    assert not overlaid


def test_inks_become_colours(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "image.jpg", quality=100)
    found, _ = opened(tmp_path / "image.jpg", gray=False)
    assert np.abs(found.astype(int) - (255, 0, 0)).max() <= 3
    found, _ = opened(tmp_path / "image.jpg")
    assert np.abs(found.astype(int) - 76).max() <= 3


@pytest.mark.parametrize("gray", [True, False])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_are_laid_over_white_and_said(tmp_path, mode, gray):
    values = np.zeros((8, 8, len(mode)), np.uint8)
    values[..., 0] = 40
    values[..., -1] = 255
    values[:4, :, -1] = 0
    values[4:6, :, -1] = 51
    path = tmp_path / "image.png"
    Image.fromarray(values).save(path)
    assert mode_of(path) == mode
    found, overlaid = opened(path, gray)
    assert overlaid
    assert (found[:4] == 255).all()
    if mode == "LA":
        assert (found[4:6] == 212).all()  # 255 + 0.2 * (40 - 255)
        assert (found[6:] == 40).all()
    elif not gray:
        assert (found[4:6] == (212, 204, 204)).all()
        assert (found[6:] == (40, 0, 0)).all()
    told = []
    load_image(path, 8, overlaid=told.append)
    assert told == [path]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_opaque_pixels_are_as_without_transparency(tmp_path, mode):
    image = Image.fromarray(BYTES.astype(np.uint8)).convert(mode)
    image.save(tmp_path / "image.png")
    found, overlaid = opened(tmp_path / "image.png")
    assert np.array_equal(found, BYTES)
    assert not overlaid
    told = []
    load_image(tmp_path / "image.png", 8, overlaid=told.append)
    assert told == []


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_a_transparent_entry_of_a_palette_is_white(tmp_path, transparency):
    image = Image.new("P", (8, 8), 1)
    image.paste(0, (0, 0, 4, 8))
    image.putpalette([90, 80, 70, 10, 200, 30])
    image.save(tmp_path / "image.png", transparency=transparency)
    found, overlaid = opened(tmp_path / "image.png", gray=False)
    assert overlaid
    assert (found[:, 4:] == 255).all()
    assert (found[:, :4] == (90, 80, 70)).all()


def test_a_transparent_value_of_16_bits_is_white(tmp_path):
    values = np.full((8, 8), 257 * 50, np.uint16)
    values[:, 4:] = 1234
    Image.fromarray(values).save(tmp_path / "image.png", transparency=1234)
    found, overlaid = opened(tmp_path / "image.png")
    assert overlaid
    assert (found[:, 4:] == 255).all()
    assert (found[:, :4] == 50).all()


@pytest.mark.parametrize("ending", ["png", "tiff"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_every_format_is_turned_as_the_camera_says(tmp_path, mode, ending):
    values = np.zeros((8, 6), np.uint8)
    values[:2] = 255
    if mode == "I;16":
        image = Image.fromarray(257 * values.astype(np.uint16))
    else:
        image = Image.fromarray(values).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    image.save(tmp_path / f"image.{ending}", exif=exif)
    found, _ = opened(tmp_path / f"image.{ending}")
    assert np.array_equal(found, np.rot90(values, -1))
