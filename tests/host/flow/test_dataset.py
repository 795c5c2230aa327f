"""Images with classes: folders and arrays as people have them, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from systolith_host.errors import SystolithError
from systolith_host.flow.dataset import open_dataset
from systolith_host.flow.labels import Labels
from systolith_host.flow.log import SilentLog
from systolith_host.frontend.form import Form

SHAPE = (3, 8, 8)
NAMES = Labels(("cat", "tea pot", "dog"), "names.txt", {"n01": 2})


class Heard(SilentLog):
    """Keeps the lines."""

    def __init__(self):
        self.lines = []

    def message(self, text):
        self.lines.append(text)


def folders(root, names, count=2):
    """Write pictures whose red says which folder they are in."""
    for red, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (9, 9), (red, 0, 0)).save(root / name / f"{number}.png")
    return root


def opened(data, labels=NAMES, classes=3, shape=SHAPE):
    return open_dataset(data, shape, classes, labels, Form(scale=255))


FOLDERS = {
    "names": (("Tea_Pot", "cat"), NAMES, [1, 1, 0, 0]),
    "other names": (("n01",), NAMES, [2, 2]),
    "indices": (("2", "0"), None, [2, 2, 0, 0]),
    "torchvision's order": (("b", "a", "c"), None, [1, 1, 0, 0, 2, 2]),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_a_class(name, tmp_path):
    names, labels, wanted = FOLDERS[name]
    dataset = opened(folders(tmp_path, names), labels)
    ((images, found),) = dataset.batches(10, Heard())
    # The pictures say in which order the folders were named above.
    order = images[:, 0, 0, 0].round().astype(int)
    assert found.tolist() == [wanted[2 * index] for index in order]
    assert sorted(found) == sorted(wanted)
    assert images.dtype == np.float32


def test_batches_leave_out_what_cannot_be_read_and_say_so(tmp_path):
    root = folders(tmp_path, ("cat", "dog"), 3)
    (root / "cat" / "1.png").write_bytes(b"?")
    (root / "cat" / ".hidden").write_bytes(b"?")
    log = Heard()
    parts = list(opened(root).batches(2, log))
    assert [len(images) for images, _ in parts] == [2, 2, 1]
    assert np.concatenate([labels for _, labels in parts]).tolist() == [0, 0, 2, 2, 2]
    assert len(log.lines) == 1
    assert "1.png: not an image" in log.lines[0]
    assert len(opened(root).samples(4, log)) in (3, 4)


def test_a_limit_is_spread_over_the_classes(tmp_path):
    dataset = opened(folders(tmp_path, ("cat", "tea pot", "dog"), 4))
    assert sorted(dataset.limited(3).labels) == [0, 1, 2]
    assert dataset.limited(None) is dataset
    assert len(dataset.limited(1)) == 1
    assert dataset.limited(100) is dataset


def arrays(**changes):
    return {"images": np.ones((4, *SHAPE)), "labels": np.array([0, 1, 2, 0]), **changes}


def test_arrays_are_taken_as_they_are(tmp_path):
    np.savez(tmp_path / "d.npz", **arrays())
    pair = arrays()
    for data in (tmp_path / "d.npz", (pair["images"], pair["labels"])):
        ((images, labels), (rest, _)) = opened(data).batches(3, Heard())
        assert labels.tolist() == [0, 1, 2]
        assert images.shape == (3, *SHAPE)
        assert (rest == 1).all()


REFUSED = {
    "labels of floats": (arrays(labels=np.zeros(4)), "labels must be whole numbers, .* float64"),
    "labels of one-hot": (arrays(labels=np.eye(4, dtype=int)), r"labels must be .* shape \(4, 4\)"),
    "too few": (arrays(labels=np.array([0, 1])), "has 4 images, but 2 labels"),
    "class beyond": (arrays(labels=np.array([0, 1, 3, 0])), "labels must be from 0 to 2, .* 3"),
    "class below": (
        arrays(labels=np.array([0, -1, 3, 0])),
        "labels must be from 0 to 2, .* -1",
    ),
    "shape": (
        arrays(images=np.ones((4, 8, 8, 3))),
        "images: must hold numbers of shape",
    ),
    "objects": (arrays(labels=np.array([0, None, 1, 2])), "cannot be read: Object arrays"),
    "no labels": ({"images": np.ones((1, *SHAPE))}, "has no array 'labels'; it has images"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arrays_that_do_not_fit_are_refused(name, tmp_path):
    content, error = REFUSED[name]
    np.savez(tmp_path / "d.npz", **content)
    with pytest.raises(SystolithError, match=rf"d\.npz: {error}") as caught:
        opened(tmp_path / "d.npz")
    assert "\n" not in str(caught.value)


def test_folders_that_do_not_fit_are_refused(tmp_path):
    def error(data, *arguments):
        with pytest.raises(SystolithError) as caught:
            opened(data, *arguments)
        return str(caught.value).replace(str(tmp_path), "D")

    folders(tmp_path / "one", ("cat", "horse"))
    assert error(tmp_path / "one") == (
        "D/one: which of the 3 classes is the folder 'horse'? Folders have the name of a class, or "
        "its index (names.txt has no such)"
    )
    assert error(tmp_path / "one", None).endswith("(give --labels with its name)")
    folders(tmp_path / "two", ("tea pot", "tea_pot"))
    assert error(tmp_path / "two") == "D/two: tea pot and tea_pot are the same class, 1"
    (tmp_path / "flat").mkdir()
    assert error(tmp_path / "flat") == "D/flat: must have a folder for each class, with its images"
    (tmp_path / "flat" / "cat").mkdir()
    assert error(tmp_path / "flat") == "D/flat/cat: the folder has no files"
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04?")
    assert error(tmp_path / "x.npz").startswith("D/x.npz: cannot be read: ")
    assert error(tmp_path / "none").startswith("D/none: no such file; data is a folder with one")
    assert error(tmp_path / "one" / "cat" / "0.png").startswith("D/one/cat/0.png: data is a folder")
    assert error(3) == "data must be a folder, a file (.npz) or two arrays, not int"
