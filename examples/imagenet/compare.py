"""The noise of quantisation: Systolith's integers and onnxruntime's, from the same photographs."""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from prepare import prepare

import systolith as sy
from systolith_host.errors import SystolithError
from systolith_host.frontend.images import find_inputs, load_inputs
from systolith_host.frontend.onnx import read_onnx

__all__ = ["compare"]

NETWORKS = ("mobilenet_v2", "efficientnet_lite0")
METHODS = {
    "onnxruntime, MinMax": CalibrationMethod.MinMax,
    "onnxruntime, Entropy": CalibrationMethod.Entropy,
    "onnxruntime, Percentile": CalibrationMethod.Percentile,
}


class Samples(CalibrationDataReader):
    """Photographs for onnxruntime's calibration, one after the other."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self._left: Iterator[np.ndarray] = iter(images)
        self._name = name

    def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore  # it ends with None
        image = next(self._left, None)
        return None if image is None else {self._name: image[None]}


def scores_of(path: Path, images: np.ndarray) -> np.ndarray:
    """Return onnxruntime's scores of images, shape (N, classes)."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    made = [np.asarray(session.run(None, {name: image[None]})[0]).reshape(-1) for image in images]
    return np.stack(made)


def decibels(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the ratio of signal to noise of each image's scores, the mean of the scores left out.

    A constant that all scores have in common changes no class.
    """
    wanted = wanted - wanted.mean(axis=1, keepdims=True)
    found = found - found.mean(axis=1, keepdims=True)
    return 10 * np.log10((wanted**2).sum(axis=1) / ((found - wanted) ** 2).sum(axis=1))


def compare(model: Path, photographs: list[Path], judged: list[Path]) -> None:
    """Print a line for Systolith's defaults and one for each way of onnxruntime's to calibrate."""
    net = sy.load(model, calibrate=photographs)
    program = net.compile("default")
    form = read_onnx(model).form  # the mean and the like that the file tells
    images, shown = (
        np.concatenate([load_inputs(path, program.input_shape, form=form) for path in paths])
        for paths in (photographs, judged)
    )
    wanted = scores_of(model, shown)
    qgraph = program.quantised.qgraph
    output = qgraph.tensors[qgraph.output]
    golden = program.golden(judged)[qgraph.output].reshape(len(judged), -1)
    found = {"Systolith": (golden.astype(np.float64) - output.zero_point) * output.scale}
    with tempfile.TemporaryDirectory() as folder:
        ready, path = Path(folder) / "ready.onnx", Path(folder) / "quantised.onnx"
        # What onnxruntime advises before quantisation; it folds batch normalisation.
        quant_pre_process(model, ready, skip_symbolic_shape=True)
        name = onnxruntime.InferenceSession(model).get_inputs()[0].name
        for method, way in METHODS.items():
            quantize_static(
                ready,
                path,
                Samples(name, images),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                calibrate_method=way,
            )
            found[method] = scores_of(path, shown)
    for method, scores in found.items():
        ratios = decibels(wanted, scores)
        same = int((scores.argmax(axis=1) == wanted.argmax(axis=1)).sum())
        print(
            f"{model.stem:20} {method:24} {statistics.median(ratios):6.1f} dB median, "
            f"{ratios.min():5.1f} least, class as in floats {same}/{len(judged)}",
            flush=True,
        )


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("imagenet"), help="folder for the files")
    parser.add_argument(
        "--cache", type=Path, default=Path("downloads"), help="folder that keeps the packages"
    )
    parser.add_argument(
        "--photographs", nargs="+", type=Path, help="judged; default: those that calibrate"
    )
    options = parser.parse_args()
    try:
        judged = list(find_inputs(options.photographs or ()))
        for path in judged:
            load_inputs(path, (3, 224, 224))
    except SystolithError as error:
        parser.error(str(error))
    if not (options.out / "LICENCES").is_file():
        prepare(options.out, options.cache)
    own = sorted((options.out / "photographs").iterdir())
    for network in NETWORKS:
        compare(options.out / f"{network}.onnx", own, judged or own)


if __name__ == "__main__":
    main()
