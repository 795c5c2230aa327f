"""Arguments and options that several commands have."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import NETWORKS
from systolith_host.network.weight_bits import WeightBits, parse_weight_bits
from systolith_host.runtime.choose import DEVICES
from systolith_hw.spec.memory import LIMITS, Memory

__all__ = [
    "DEFAULT_LATENCY",
    "AcceleratorOption",
    "BandwidthOption",
    "BatchOption",
    "BoardOption",
    "CalibrateOption",
    "ConfigOption",
    "ClockOption",
    "CorrectOption",
    "DensityOption",
    "DeviceOption",
    "EqualiseOption",
    "FirstSeedOption",
    "FusePoolOption",
    "ImageOption",
    "InputOption",
    "JsonOption",
    "LatencyOption",
    "LimitOption",
    "Method",
    "MethodOption",
    "NetworkArgument",
    "PlacementJobsOption",
    "RoundOption",
    "HostNodesOption",
    "ShapeOption",
    "SeedOption",
    "SeedsOption",
    "TurnaroundOption",
    "WeightBitsOption",
    "WeightsOption",
    "bits_of",
    "size_of",
    "value_of",
]

DEFAULT_LATENCY = Memory().latency
"""Latency of the memory in cycles."""


class Method(str, Enum):
    """How calibration chooses ranges (quantize.calibrate.METHODS)."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"


NetworkArgument = Annotated[
    str,
    typer.Argument(
        help=f"A built-in network ({', '.join(NETWORKS)}) or an ONNX file (model.onnx).",
        show_default=True,
    ),
]
ImageOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--image",
        metavar="FILE|DIR",
        help="A photograph, inputs as a NumPy file (.npy), or a folder of these; repeat it for a "
        "batch. "
        "Default: scikit-learn's china.jpg, flower.jpg.",
    ),
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME=FILE",
        help="Another input of a network that has several, as a NumPy file (.npy): one for all "
        "images, or one for each. --image and --calibrate take files (.npz) of all inputs by "
        "name, too.",
    ),
]
CalibrateOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--calibrate",
        metavar="FILE|DIR",
        help="Photographs, NumPy files or folders of them that the scales are calibrated on; "
        "repeat it for more. Default: the images of the run.",
    ),
]
HostNodesOption = Annotated[
    bool,
    typer.Option(
        "--host-nodes/--no-host-nodes",
        help="Let the host compute, in floats by onnxruntime, the nodes of an ONNX file that the "
        "array cannot; or refuse the file and list them.",
    ),
]
ShapeOption = Annotated[
    str | None,
    typer.Option(
        "--shape",
        metavar="NxCxHxW",
        help="Shape of an ONNX file's input in the file's own order, e.g. 1x3x224x224, where the "
        "file leaves it open or another one is wanted. The first number is 1.",
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Torchvision's state dict of the network, .safetensors or .pth (.pth needs PyTorch). "
        "Default: random weights, He scaling.",
    ),
]
MethodOption = Annotated[
    Method | None,
    typer.Option(
        "--calibration",
        help="Range of a tensor: all values, all but 0.01 % at each end, or the one with the least "
        "squared error, all images counting alike; outputs keep all values. Default: mse; minmax "
        "for random weights without --calibrate.",
        show_default=False,
    ),
]
EqualiseOption = Annotated[
    bool | None,
    typer.Option(
        "--equalise/--no-equalise",
        help="Scale channels across layers where that measurably lowers the noise; the float "
        "network stays the same on the calibration images. Default: yes, but for random weights "
        "without --calibrate.",
        show_default=False,
    ),
]
CorrectOption = Annotated[
    bool | None,
    typer.Option(
        "--correct-bias/--no-correct-bias",
        help="Take the mean error of each channel on the calibration images out of its bias. "
        "Default: as --equalise.",
        show_default=False,
    ),
]
RoundOption = Annotated[
    bool | None,
    typer.Option(
        "--round-together/--round-nearest",
        help="Round the weights of a layer together, so that errors cancel on the calibration "
        "images, or each to the nearest. Default: as --equalise.",
        show_default=False,
    ),
]
WeightBitsOption = Annotated[
    str | None,
    typer.Option(
        metavar="BITS",
        help="4 for weights of 4 bits, or that of some layers or kinds of layers, as fc6=4,fc7=4 "
        "or linear=4. Two of them share a byte on accelerators with nibbles. Default: 8.",
    ),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="The accelerator: a preset (see `systolith configs`) or a TOML file. "
        "Default: default, or the one that --program was compiled for.",
    ),
]
AcceleratorOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="The accelerator: a preset (see `systolith configs`) or a TOML file.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(DEVICES),
        help="The RTL in a simulator; the cycle-exact model, without one; the program emulated "
        "in NumPy; a board behind litex_server; the Zynq board that this runs on.",
    ),
]
BoardOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder that `systolith build` wrote, for --device litex."),
]
JsonOption = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Also write the result as JSON; - prints it instead."
    ),
]
BatchOption = Annotated[int, typer.Option(min=1, max=256, help="Images per run.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the random weights.")]
BandwidthOption = Annotated[
    float | None,
    typer.Option(
        min=LIMITS["bytes_per_cycle"][0],
        max=LIMITS["bytes_per_cycle"][1],
        metavar="BYTES",
        help="Bandwidth of the memory in bytes per cycle. Default: the width of the bus.",
    ),
]
LatencyOption = Annotated[
    int,
    typer.Option(
        min=int(LIMITS["latency"][0]),
        max=int(LIMITS["latency"][1]),
        help="Latency of the memory in cycles.",
    ),
]
TurnaroundOption = Annotated[
    int,
    typer.Option(
        min=int(LIMITS["turnaround"][0]),
        max=int(LIMITS["turnaround"][1]),
        help="Cycles that the memory takes to change between reads and writes.",
    ),
]
FusePoolOption = Annotated[
    bool,
    typer.Option(
        help="Pool while a convolution drains, so that its own output never reaches memory. "
        "Without it every layer writes its output, and each of them is compared.",
    ),
]
DensityOption = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Share of the inputs of fully connected layers that differ from their zero point, "
        "0 to 1, as expected: all of them if it is not given. Or that of some layers, as "
        "fc6=0.108,fc7=0.25. It matters on accelerators that gather weights.",
    ),
]
ClockOption = Annotated[
    float, typer.Option(min=0.001, max=1e5, metavar="MHZ", help="Clock for the frames per second.")
]

SeedsOption = Annotated[int, typer.Option(min=1, max=64, help="Placements to try.")]
FirstSeedOption = Annotated[
    int,
    typer.Option(
        min=1, help="Seed of the first placement; with --seeds 1 it repeats one known to be good."
    ),
]
PlacementJobsOption = Annotated[
    int, typer.Option(min=1, help="Placements at the same time; 1 GB each.")
]
LimitOption = Annotated[
    float, typer.Option(min=10, metavar="SECONDS", help="Time limit of one place and route.")
]


def size_of(shape: str | None) -> tuple[int, ...] | None:
    """Return the input's size for one image from `--shape`, None if it is not given.

    Raises
    ------
    SystolithError
        If the text is no shape of one image or vector.
    """
    if shape is None:
        return None
    parts = shape.lower().split("x")
    if len(parts) not in (2, 4) or not all(part.isdecimal() and int(part) for part in parts):
        raise SystolithError(
            f"--shape must be numbers with x between them, e.g. 1x3x224x224 or 1x20, not {shape!r}"
        )
    if int(parts[0]) != 1:
        raise SystolithError(
            f"--shape must be that of one image (1x...), not {shape!r}; --batch says how many run"
        )
    return tuple(map(int, parts[1:]))


def bits_of(weight_bits: str | None) -> WeightBits:
    """Return what `--weight-bits` says; nothing if it is not given."""
    return {} if weight_bits is None else parse_weight_bits(weight_bits)


def inputs_of(texts: list[str] | None) -> dict[str, Path]:
    """Return the files of `--input` by the names of the inputs.

    Raises
    ------
    SystolithError
        If a text is no name and file, or a name is given twice.
    """
    found: dict[str, Path] = {}
    for text in texts or ():
        name, equals, file = text.rpartition("=")
        if not equals or not name or not file:
            raise SystolithError(f"--input must be NAME=FILE.npy, not {text!r}")
        if name in found:
            raise SystolithError(f"--input {name} is given twice")
        found[name] = Path(file)
    return found


def value_of(choice: Enum | None) -> str | None:
    """Return the text of a choice, None if it is left to the default."""
    return None if choice is None else str(choice.value)
