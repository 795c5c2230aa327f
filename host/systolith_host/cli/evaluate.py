"""The command `systolith evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from systolith_host.cli import options, pixels
from systolith_host.cli.output import MISMATCH, check_targets, give
from systolith_host.cli.views.evaluation import evaluation_table
from systolith_host.flow.evaluate import evaluate as evaluate_request
from systolith_host.flow.quantisation import Quantisation
from systolith_host.flow.run import Request
from systolith_host.progress import ProgressLog
from systolith_host.runtime.choose import DEVICES, DeviceOptions
from systolith_host.terminal import error_console
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["evaluate"]


def evaluate(
    network: Annotated[
        str, typer.Argument(help="An ONNX file (model.onnx), or a built-in network.")
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR|FILE",
            help="A folder with one of its own for each class, called as the class or its index; "
            "or a NumPy file (.npz) with the arrays images and labels.",
        ),
    ],
    inputs: options.InputOption = None,
    labels: pixels.LabelsOption = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="At most so many images, spread over the data."),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="|".join(DEVICES), help="As of `systolith run`.")
    ] = "model",
    shape: options.ShapeOption = None,
    host_nodes: options.HostNodesOption = True,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(
            "--calibrate",
            metavar="FILE|DIR",
            help="Photographs, NumPy files or folders of them that the scales are calibrated on; "
            "repeat it for more. Default: 16 images of the data.",
        ),
    ] = None,
    calibration: options.MethodOption = None,
    equalise: options.EqualiseOption = None,
    correct_bias: options.CorrectOption = None,
    round_together: options.RoundOption = None,
    weight_bits: options.WeightBitsOption = None,
    mean: pixels.MeanOption = None,
    std: pixels.StdOption = None,
    scale: pixels.ScaleOption = None,
    bgr: pixels.BgrOption = None,
    layout: pixels.LayoutOption = None,
    weights: options.WeightsOption = None,
    seed: options.SeedOption = 0,
    config: options.AcceleratorOption = "default",
    batch: Annotated[int, typer.Option(min=1, max=256, help="Images per run of the device.")] = 8,
    board: options.BoardOption = None,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Also write it as JSON, with every image's class; - prints it instead.",
        ),
    ] = None,
) -> None:
    """Count how often a network is right: in floats, in integers, and on a device.

    The float network of an ONNX file runs in onnxruntime, the integers in the golden model, and the
    compiled program on the device, image after image; integers and device are compared.

    Exit status: 0 if device and golden model are equal, 1 if not, 2 if the command or a file is
    wrong.
    """
    check_targets(json)
    request = Request(
        network=network,
        config=load_config(config),
        calibrate=calibrate or (),
        weights=weights,
        seed=seed,
        quantisation=Quantisation(
            options.value_of(calibration),
            equalise,
            correct_bias,
            round_together,
            options.bits_of(weight_bits),
        ),
        size=options.size_of(shape),
        form=pixels.form_of(mean, std, scale, bgr, layout),
        host_nodes=host_nodes,
        inputs=options.inputs_of(inputs),
        labels=labels,
        batch=batch,
        device=device,
        options=DeviceOptions(memory=Memory(), workers=1, board=board),
    )
    with ProgressLog(error_console()) as log:
        evaluation = evaluate_request(request, data, limit, log)
    give(evaluation_table(evaluation), evaluation.to_dict(), json)
    if evaluation.mismatches:
        raise typer.Exit(MISMATCH)
