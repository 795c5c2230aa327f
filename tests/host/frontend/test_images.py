"""Photographs as input."""

import numpy as np
import pytest
from PIL import Image

from systolith_host.errors import SystolithError
from systolith_host.frontend.images import (
    MEAN,
    STD,
    find_inputs,
    image_batch,
    load_image,
    sample_images,
)


def test_sample_photographs_become_normalised_input():
    for path in sample_images():
        image = load_image(path, 224)
        assert image.shape == (3, 224, 224)
        assert image.dtype == np.float32
        assert -2.2 < image.min() < -0.5
        assert 0.5 < image.max() < 2.7


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1"])
@pytest.mark.parametrize("size", [(400, 300), (30, 70), (1, 1)])
def test_any_mode_and_size_is_taken(tmp_path, mode, size):
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    Image.new(mode, size, 1).save(path)
    assert load_image(path, 32).shape == (3, 32, 32)


def test_values_are_normalised_and_the_middle_is_cut_out(tmp_path):
    image = Image.new("RGB", (512, 256), (255, 0, 0))
    image.paste((0, 255, 51), (128, 0, 384, 256))
    image.save(tmp_path / "image.png")
    values = load_image(tmp_path / "image.png", 224)
    expected = (np.array([0, 1, 0.2]) - MEAN) / np.array(STD)
    assert np.allclose(values, expected.reshape(3, 1, 1), atol=1e-6)


def test_orientation_of_the_camera_is_followed(tmp_path):
    image = Image.new("RGB", (64, 64))
    image.paste((255, 255, 255), (0, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    image.save(tmp_path / "image.png", exif=exif)
    values = load_image(tmp_path / "image.png", 32)[0]
    assert values[:, :8].max() < 0 < values[:, -8:].min()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_image_is_refused(tmp_path, content):
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(SystolithError, match=r"^.*image\.png: .*image") as caught:
        load_image(path, 32)
    assert "\n" not in str(caught.value)


def test_a_cut_image_is_refused(tmp_path):
    whole = tmp_path / "whole.png"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(SystolithError, match=r"^.*cut\.png: image cannot be read: "):
        load_image(cut, 32)


def test_missing_and_enormous_images_are_refused(tmp_path, monkeypatch):
    with pytest.raises(SystolithError, match=r"none\.png: no such file$"):
        load_image(tmp_path / "none.png", 32)
    Image.new("RGB", (40, 40)).save(tmp_path / "image.png")
    for limit in (1000, 100):  # a warning first, then an error
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(SystolithError, match=r"image has too many pixels; scale it down"):
            load_image(tmp_path / "image.png", 32)


def test_hidden_files_of_a_folder_are_no_inputs(tmp_path):
    for name in ("b.png", "a.npy", ".DS_Store", "._a.npy", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).touch()
    assert find_inputs([tmp_path]) == (tmp_path / "a.npy", tmp_path / "b.png")
    for name in ("a.npy", "b.png"):
        (tmp_path / name).unlink()
    with pytest.raises(SystolithError, match="the folder has no files"):
        find_inputs([tmp_path])


def test_a_batch_repeats_images_shifted():
    images = [np.arange(3 * 4 * 40, dtype=np.float32).reshape(3, 4, 40) + add for add in (0, 0.5)]
    batch = image_batch(images, 5)
    assert batch.shape == (5, 3, 4, 40)
    assert np.array_equal(batch[1], images[1])
    assert np.array_equal(batch[4], np.roll(images[0], 34, axis=2))
    assert len({image.tobytes() for image in batch}) == 5
