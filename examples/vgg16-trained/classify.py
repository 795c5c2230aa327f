"""Runs a photograph through a trained VGG-16, as its package ships it, by `systolith run`."""

import argparse
import subprocess
import sys
from pathlib import Path

from prepare import OPTIONS, prepare


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("vgg16-trained"), help="for the files")
    parser.add_argument(
        "--cache", type=Path, default=Path("downloads"), help="folder that keeps the packages"
    )
    parser.add_argument("--image", type=Path, help="a photograph; default: scikit-image's camera")
    parser.add_argument("--device", default="model", help="model, emulator or rtl")
    parser.add_argument("--config", default="default")
    options = parser.parse_args()
    out = options.out
    if not (out / "LICENCES").is_file():
        prepare(out, options.cache)
    run = [sys.executable, "-m", "systolith", "run", str(out / "vgg16.onnx"), *OPTIONS, "--noise"]
    run += ["--image", str(options.image or out / "photographs" / "camera.png")]
    run += ["--calibrate", str(out / "photographs"), "--labels", str(out / "labels.txt")]
    run += ["--output", str(out / "probabilities.npy")]
    sys.exit(
        subprocess.run([*run, "--device", options.device, "--config", options.config]).returncode
    )


if __name__ == "__main__":
    main()
