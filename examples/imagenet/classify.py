"""Photographs through a trained network on a device: what they show, by name."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from prepare import PHOTOGRAPHS, prepare

import systolith as sy

__all__ = ["classify"]

NETWORKS = ("mobilenet_v2", "efficientnet_lite0")


def classify(folder: Path, network: str, photographs: list[Path], device: str, config: str) -> None:
    """Print the classes of photographs, and what the device counted for the first."""
    net = sy.load(
        folder / f"{network}.onnx",
        calibrate=folder / "photographs",
        labels=folder / "labels.json",
        progress=True,
    )
    program = net.compile(config, progress=True)
    for path in photographs:
        run = program.run(path, device, judge=True, progress=True)
        ((first, *others),) = run.top(3)
        said = ", ".join(f"{guess.name} ({guess.value:.1f})" for guess in others)
        same = "as" if run.report.float_top[0] == first.class_index else "not as"
        print(f"{path.name:24} {first.name} ({first.value:.1f}), {said}; {same} in floats")
        if run.report.mismatches:
            raise SystemExit(f"{run.report.mismatches} values differ from the golden model's")
        if path == photographs[0] and run.report.cycles is not None:
            print(f"{'':24} {run.report.cycles:,} cycles of {run.report.device}")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("imagenet"), help="folder for the files")
    parser.add_argument(
        "--cache", type=Path, default=Path("downloads"), help="folder that keeps the packages"
    )
    parser.add_argument("--network", choices=NETWORKS, default=NETWORKS[0])
    parser.add_argument("--photographs", nargs="+", type=Path, help="default: scikit-image's")
    parser.add_argument("--device", default="model", help="model, emulator or rtl")
    parser.add_argument("--config", default="default")
    options = parser.parse_args()
    if not (options.out / "LICENCES").is_file():
        prepare(options.out, options.cache)
    own = [options.out / "photographs" / name for name in PHOTOGRAPHS]
    photographs = options.photographs or own
    classify(options.out, options.network, photographs, options.device, options.config)


if __name__ == "__main__":
    main()
