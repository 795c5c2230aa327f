"""Compares the golden model with onnxruntime, by layers or whole, on models that it quantised."""

import argparse
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from systolith_host.frontend.judge import Agreement, agreements
from systolith_host.frontend.onnx import read_onnx
from systolith_host.frontend.reference import Session
from systolith_host.frontend.zoo import ZOO, build_onnx
from systolith_host.network.golden import run_golden
from systolith_host.quantize.quantize import quantize_input, quantize_scaled

__all__ = ["compare", "compare_whole", "quantized_model"]

CALIBRATION_IMAGES = 4


class _Images(CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore  # it ends with None
        image = next(self._images, None)
        return None if image is None else {"input": image[None]}


def quantized_model(
    name: str, folder: Path, *, form: str, seed: int, size: int, per_channel: bool = True
) -> Path:
    """Return a well-known network, quantised by onnxruntime, as a file in a folder.

    Parameters
    ----------
    form : "QDQ" or "QOperator"
    """
    plain, ready = folder / f"{name}.onnx", folder / f"{name}.ready.onnx"
    onnx.save(build_onnx(name, seed=seed, size=size, classes=100), plain)
    quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
    images = np.random.default_rng(seed).standard_normal((CALIBRATION_IMAGES, 3, size, size))
    path = folder / f"{name}.{form}.onnx"
    quantize_static(
        str(ready),
        str(path),
        _Images(images.astype(np.float32)),
        quant_format=QuantFormat[form],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    return path


def compare(path: Path, x: np.ndarray, multiplier_width: int) -> Iterator[Agreement]:
    """Yield the agreement of each layer of a quantised ONNX file on inputs of shape (N, ...)."""
    model = read_onnx(path)
    qgraph = quantize_scaled(model.graph, model.weights, model.scales, multiplier_width)
    yield from agreements(path, model, qgraph, x)


def compare_whole(path: Path, x: np.ndarray, multiplier_width: int) -> Iterator[Agreement]:
    """Yield the agreement of the network's output, each side from its own layers; as `compare`."""
    model = read_onnx(path)
    graph = model.graph
    qgraph = quantize_scaled(graph, model.weights, model.scales, multiplier_width)
    found = run_golden(qgraph, quantize_input(qgraph, x))[qgraph.output]
    name = model.names[graph.output]
    session = Session(path, tuple(x.shape[1:]), [name], model.layouts)
    wanted = model.scales[graph.output].quantize(session.run([name], x)[0])
    difference = np.abs(found.reshape(-1).astype(int) - wanted.reshape(-1))
    different = int(np.count_nonzero(difference))
    yield Agreement("", "network", difference.size, different, int(difference.max()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96, help="pixels of a side")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 18, 24])
    parser.add_argument("--networks", nargs="+", default=sorted(ZOO))
    parser.add_argument(
        "--whole", action="store_true", help="networks, whose errors add up, instead of layers"
    )
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)
    print(
        "network        form       width  seeds  layers    values  different  worst layer  largest"
    )
    for name in options.networks:
        for form in ("QDQ", "QOperator"):
            rows: dict[int, list[Agreement]] = {width: [] for width in options.widths}
            for seed in range(options.seeds):
                with tempfile.TemporaryDirectory() as folder:
                    path = quantized_model(
                        name, Path(folder), form=form, seed=seed, size=options.size
                    )
                    shape = (1, 3, options.size, options.size)
                    x = np.random.default_rng(1000 + seed).standard_normal(shape, np.float32)
                    for width, found in rows.items():
                        found += (compare_whole if options.whole else compare)(path, x, width)
            for width, found in rows.items():
                values = sum(row.values for row in found)
                different = sum(row.different for row in found)
                worst = min(1 - row.different / row.values for row in found)
                largest = max(row.largest for row in found)
                print(
                    f"{name:14} {form:10} {width:5} {options.seeds:6} {len(found):7} {values:9,} "
                    f"{different / values:9.4%} {worst:12.3%} {largest:8}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
