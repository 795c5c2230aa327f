"""Runs the digits network, quantised, on a device and says how many digits it gets right."""

import argparse
import time
from pathlib import Path

import numpy as np

from systolith_host.compiler import compile_network
from systolith_host.frontend.onnx import read_onnx
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize, quantize_input
from systolith_host.runtime.backend import Observer
from systolith_host.runtime.choose import DeviceOptions, choose_backend
from systolith_host.runtime.jobs import plan_jobs
from systolith_hw.spec.presets import load_config

__all__ = ["evaluate"]


def evaluate(
    folder: Path, device: str, config_name: str, batch: int, count: int
) -> dict[str, float]:
    """Return the accuracy of the float network, the golden model and the device.

    Parameters
    ----------
    folder : Path
        With what train.py wrote.
    device : "emulator" or "rtl"
    config_name : str
        A preset or a TOML file.
    batch : int
        Images of a run of the accelerator.
    count : int
        Images in all; a multiple of `batch`.
    """
    config = load_config(config_name)
    images, labels = np.load(folder / "images.npy")[:count], np.load(folder / "labels.npy")[:count]
    model = read_onnx(folder / "digits.onnx")
    calibration = calibrate(model.graph, model.weights, np.load(folder / "calibration.npy"))
    qgraph = quantize(model.graph, model.weights, calibration, config.multiplier_width)
    program = compile_network(qgraph, config, batch)
    backend, observer = choose_backend(device, DeviceOptions(workers=1)), Observer(message=print)
    backend.prepare(program, observer)

    right = {"float": 0, "golden": 0, device: 0}
    for first in range(0, count, batch):
        part = slice(first, first + batch)
        *_, (_, scores) = run_float(model.graph, model.weights, images[part])
        tensors = run_golden(qgraph, quantize_input(qgraph, images[part]))
        jobs = plan_jobs(program.layers, tensors, sequential=True)
        outcomes = backend.run(program, jobs, observer)
        found = {"float": scores, "golden": tensors[qgraph.output], device: outcomes[-1].output}
        np.testing.assert_array_equal(found[device], found["golden"])
        for name, values in found.items():
            classes = values.reshape(batch, -1).argmax(axis=1)
            right[name] += int((classes == labels[part]).sum())
    return {name: number / count for name, number in right.items()}


def main() -> None:
    """Print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("."), help="where train.py wrote")
    parser.add_argument("--device", choices=("emulator", "rtl"), default="rtl")
    parser.add_argument("--config", default="tiny")
    parser.add_argument("--batch", type=int, default=60)
    parser.add_argument("--count", type=int, default=540)
    options = parser.parse_args()
    start = time.monotonic()
    accuracies = evaluate(
        options.folder, options.device, options.config, options.batch, options.count
    )
    for name, accuracy in accuracies.items():
        print(f"{name:9} {accuracy:.2%} of {options.count} held-out digits")
    print(f"{time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    main()
