"""Trains a small VGG-style network on scikit-learn's digits, with NumPy alone, and exports ONNX."""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

__all__ = ["export", "load_data", "train"]

CHANNELS = (1, 8, 16, 32)
CLASSES = 10
HELD_OUT = 540

Parameters = dict[str, np.ndarray]


def load_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training images and labels, then held-out ones; images (N, 1, 8, 8) from 0 to 1."""
    digits: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = (digits.images[order, None] / 16).astype(np.float32)
    labels = digits.target[order]
    return images[HELD_OUT:], labels[HELD_OUT:], images[:HELD_OUT], labels[:HELD_OUT]


def initialise(rng: np.random.Generator) -> Parameters:
    """Return He-scaled weights: three 3x3 convolutions and a linear layer."""
    parameters = {}
    for number, (inputs, outputs) in enumerate(pairwise(CHANNELS), 1):
        scale = np.sqrt(2 / (9 * inputs))
        parameters[f"conv{number}.weight"] = rng.normal(0, scale, (outputs, inputs, 3, 3))
        parameters[f"conv{number}.bias"] = np.zeros(outputs)
    features = CHANNELS[-1] * 2 * 2
    parameters["fc.weight"] = rng.normal(0, np.sqrt(1 / features), (CLASSES, features))
    parameters["fc.bias"] = np.zeros(CLASSES)
    return {name: values.astype(np.float32) for name, values in parameters.items()}


def columns(x: np.ndarray) -> np.ndarray:
    """Return the 3x3 neighbourhoods of images (N, C, H, W) as (N, H, W, C * 9)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))  # type: ignore[arg-type]
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(*windows.shape[:1], *x.shape[2:], -1)


def forward(parameters: Parameters, x: np.ndarray) -> tuple[np.ndarray, list]:
    """Return the scores, shape (N, 10), and what the backward pass needs."""
    saved = []
    for number in (1, 2, 3):
        weight = parameters[f"conv{number}.weight"]
        patches = columns(x)
        sums = patches @ weight.reshape(len(weight), -1).T + parameters[f"conv{number}.bias"]
        y = np.maximum(sums, 0).transpose(0, 3, 1, 2)
        pooled, place = y, None
        if number > 1:
            n, c, height, width = y.shape
            blocks = y.reshape(n, c, height // 2, 2, width // 2, 2).transpose(0, 1, 2, 4, 3, 5)
            blocks = blocks.reshape(n, c, height // 2, width // 2, 4)
            place = blocks.argmax(axis=-1)
            pooled = blocks.max(axis=-1)
        saved.append((patches, y, place))
        x = pooled
    flat = x.reshape(len(x), -1)
    saved.append(flat)
    return flat @ parameters["fc.weight"].T + parameters["fc.bias"], saved


def backward(parameters: Parameters, saved: list, slope: np.ndarray) -> Parameters:
    """Return the gradient of every parameter from that of the scores."""
    gradient = {"fc.weight": slope.T @ saved[3], "fc.bias": slope.sum(axis=0)}
    down = (slope @ parameters["fc.weight"]).reshape(len(slope), CHANNELS[-1], 2, 2)
    for number in (3, 2, 1):
        patches, y, place = saved[number - 1]
        if place is not None:
            n, c, height, width = y.shape
            spread = np.zeros((*place.shape, 4), np.float32)
            np.put_along_axis(spread, place[..., None], down[..., None], axis=-1)
            spread = spread.reshape(n, c, height // 2, width // 2, 2, 2)
            down = spread.transpose(0, 1, 2, 4, 3, 5).reshape(y.shape)
        down = down * (y > 0)
        weight = parameters[f"conv{number}.weight"]
        flat = down.transpose(0, 2, 3, 1).reshape(-1, len(weight))
        gradient[f"conv{number}.weight"] = (flat.T @ patches.reshape(len(flat), -1)).reshape(
            weight.shape
        )
        gradient[f"conv{number}.bias"] = flat.sum(axis=0)
        turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        down = (columns(down) @ turned.reshape(len(turned), -1).T).transpose(0, 3, 1, 2)
    return gradient


def train(images: np.ndarray, labels: np.ndarray, epochs: int, seed: int = 0) -> Parameters:
    """Return parameters trained with Adam on cross entropy; prints the loss of each epoch."""
    rng = np.random.default_rng(seed)
    parameters = initialise(rng)
    mean = {name: np.zeros_like(values) for name, values in parameters.items()}
    square = {name: np.zeros_like(values) for name, values in parameters.items()}
    step = 0
    for epoch in range(epochs):
        losses = []
        for batch in np.array_split(rng.permutation(len(images)), len(images) // 50):
            scores, saved = forward(parameters, images[batch])
            odds = np.exp(scores - scores.max(axis=1, keepdims=True))
            odds /= odds.sum(axis=1, keepdims=True)
            chosen = (np.arange(len(batch)), labels[batch])
            losses.append(-np.log(odds[chosen] + 1e-9).mean())
            odds[chosen] -= 1
            step += 1
            for name, slope in backward(parameters, saved, odds / len(batch)).items():
                mean[name] += 0.1 * (slope - mean[name])
                square[name] += 0.001 * (slope**2 - square[name])
                rate = 0.002 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                parameters[name] -= (rate * mean[name] / (np.sqrt(square[name]) + 1e-8)).astype(
                    np.float32
                )
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    return parameters


def export(parameters: Parameters, path: Path) -> None:
    """Write the network as an ONNX file."""
    nodes, x = [], "image"
    for number in (1, 2, 3):
        names = [x, f"conv{number}.weight", f"conv{number}.bias"]
        nodes.append(helper.make_node("Conv", names, [f"c{number}"], f"conv{number}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"], f"relu{number}"))
        x = f"r{number}"
        if number > 1:
            sides: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
            nodes.append(helper.make_node("MaxPool", [x], [f"p{number}"], f"pool{number}", **sides))
            x = f"p{number}"
    nodes.append(helper.make_node("Flatten", [x], ["flat"], "flatten"))
    nodes.append(
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["scores"], "fc", transB=1)
    )
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(values, name) for name, values in parameters.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main() -> None:
    """Train, export, and keep the images for the next step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the files")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    images, labels, held_out, held_out_labels = load_data()
    parameters = train(images, labels, options.epochs)
    scores, _ = forward(parameters, held_out)
    accuracy = (scores.argmax(axis=1) == held_out_labels).mean()
    options.out.mkdir(parents=True, exist_ok=True)
    export(parameters, options.out / "digits.onnx")
    np.save(options.out / "calibration.npy", images[:200])
    np.savez(options.out / "held-out.npz", images=held_out, labels=held_out_labels)
    print(f"float accuracy on {HELD_OUT} held-out digits: {accuracy:.2%}")


if __name__ == "__main__":
    main()
