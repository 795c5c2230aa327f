"""Runs trained convolutions before fully connected layers whose weights are gathered.

The 13 convolutions are those of the trained network of prepare.py. Its own fully connected layers
are small, so VGG-16's follow here, with random weights: how many of fc6's weights are read depends
only on its inputs, and these are what trained convolutions leave of a photograph.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from prepare import OPTIONS, prepare

from systolith_host.network.weight_bits import WeightBits, bits_of, parse_weight_bits

__all__ = ["build", "table"]

SIDE = 224
"""Of the square images."""

FC = {"fc6": (512 * 7 * 7, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}
"""Inputs and outputs of the layers with random weights."""


def build(trained: Path, out: Path, seed: int = 0) -> None:
    """Write VGG-16 with a file's convolutions and random fully connected layers (He scaling)."""
    graph = onnx.load(trained).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes, used, value = [], [], "image"
    for node in graph.node:
        if node.op_type in ("Conv", "Relu", "MaxPool"):
            made = onnx.NodeProto()
            made.CopyFrom(node)
            made.input[0], value = value, node.output[0]
            nodes.append(made)
            used += [constants[name] for name in node.input[1:]]
        elif node.op_type == "MatMul":
            break
    number = 0
    for node in nodes:
        if node.op_type == "Conv":
            number += 1
            node.name = f"conv{number}"
    nodes.append(helper.make_node("Flatten", [value], ["features"]))
    value, rng = "features", np.random.default_rng(seed)
    for name, (inputs, outputs) in FC.items():
        weight = rng.standard_normal((outputs, inputs), np.float32) * np.float32(
            (2 / inputs) ** 0.5
        )
        used.append(numpy_helper.from_array(weight, f"{name}.weight"))
        nodes.append(
            helper.make_node("Gemm", [value, f"{name}.weight"], [f"{name}.out"], name, transB=1)
        )
        value = f"{name}.out"
        if name != "fc8":
            nodes.append(helper.make_node("Relu", [value], [f"{name}.relu"]))
            value = f"{name}.relu"
    made = helper.make_graph(
        nodes,
        "vgg16",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, FC["fc8"][1]])],
        used,
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=8), out)


def table(report: dict[str, Any], bits: WeightBits) -> str:
    """Return what the layers with random weights read and take, as lines.

    The ideal reads a weight for each output of each input that is not zero, at the bandwidth, and
    the array takes as many weights in a cycle as it has columns.

    Parameters
    ----------
    report : dict
        The JSON of `systolith run`, of one image.
    bits : WeightBits
        Bits of the weights.
    """
    config, memory = report["config"], report["memory"]
    rate = memory["bytes_per_cycle"] or config["bus_bytes"]
    rows = []
    for layer in (one for one in report["layers"] if one["name"] in FC):
        inputs, outputs = FC[layer["name"]]
        width = bits_of(bits, layer["name"], "fc")
        active = inputs - layer["skipped_bytes"] * 8 // width // outputs
        least = active * outputs * width / 8
        cycles = max(least / rate, active * outputs / config["cols"])
        share = f"{active:,} of {inputs:,}"
        rows.append((layer["name"], share, layer["bytes_read"], least, layer["cycles"], cycles))
    rows.append(("all", "", *(sum(row[n] for row in rows) for n in range(2, 6))))
    lines = [
        "layer  active inputs      bytes read       ideal  ratio      cycles     ideal  ratio",
        *(
            f"{name:5}  {share:15} {read:12,} {least:11,.0f}  {read / least:5.3f} "
            f"{cycles:11,} {ideal:9,.0f}  {cycles / ideal:5.3f}"
            for name, share, read, least, cycles, ideal in rows
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("vgg16-trained"), help="for the files")
    parser.add_argument(
        "--cache", type=Path, default=Path("downloads"), help="folder that keeps the packages"
    )
    parser.add_argument("--image", type=Path, help="a photograph; default: scikit-image's camera")
    parser.add_argument("--device", default="model", choices=("model", "rtl"))
    parser.add_argument("--config", default="default-gather")
    parser.add_argument("--weight-bits", default="8", help="of systolith run, such as fc=4")
    options = parser.parse_args()
    out = options.out
    if not (out / "LICENCES").is_file():
        prepare(out, options.cache)
    if not (path := out / "vgg16-random-fc.onnx").is_file():
        build(out / "vgg16.onnx", path)
    found = out / "gathered.json"
    run = [sys.executable, "-m", "systolith", "run", str(path), *OPTIONS]
    run += ["--image", str(options.image or out / "photographs" / "camera.png")]
    run += ["--calibrate", str(out / "photographs"), "--weight-bits", options.weight_bits]
    run += ["--device", options.device, "--config", options.config, "--json", str(found)]
    if status := subprocess.run(run).returncode:
        sys.exit(status)  # what failed has been told
    print(table(json.loads(found.read_text()), parse_weight_bits(options.weight_bits)))


if __name__ == "__main__":
    main()
