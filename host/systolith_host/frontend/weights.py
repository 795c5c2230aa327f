"""Weights of the built-in networks: torchvision's files, or seeded random ones."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.frontend.vgg import torchvision_keys
from systolith_host.network.graph import Graph, LayerWeights, weight_shape

__all__ = ["load_weights", "random_weights"]

Progress = Callable[[str, int, int], None]
"""Called with what is under way, the elements done, and all elements."""

_SUFFIXES = (".safetensors", ".pth", ".pt")
_FLOATS = ("float16", "float32", "float64")


def random_weights(
    graph: Graph, seed: int, progress: Progress | None = None
) -> dict[str, LayerWeights]:
    """Return random weights with He scaling, and small biases, that depend on the seed alone.

    Each layer draws from a generator of its own, made of the seed and the layer's name.
    """
    weights: dict[str, LayerWeights] = {}
    sizes = {node.name: int(np.prod(weight_shape(graph, node))) for node in graph.weighted}
    done = 0
    for node in graph.weighted:
        if progress is not None:
            progress(node.name, done, sum(sizes.values()))
        shape = weight_shape(graph, node)
        rng = np.random.default_rng([seed, *node.name.encode()])
        weight = rng.standard_normal(shape, np.float32)
        weight *= np.float32(np.sqrt(2 / np.prod(shape[1:])))
        bias = rng.standard_normal(shape[0], np.float32) * np.float32(0.05)
        weights[node.name] = LayerWeights(weight, bias)
        done += sizes[node.name]
    return weights


def load_weights(
    path: Path, graph: Graph, progress: Progress | None = None
) -> dict[str, LayerWeights]:
    """Read the weights of a built-in network from a torchvision state dict.

    Parameters
    ----------
    path : Path
        A .safetensors file, or a .pth or .pt file, which needs PyTorch.
    graph : Graph
        A built-in network.

    Raises
    ------
    SystolithError
        If the file cannot be read, or a tensor is missing, is not wanted, or has the wrong shape,
        the wrong type or values that are not finite; the message names the key.
    """
    if not path.is_file():
        raise SystolithError(f"{path}: no such file")
    if path.suffix == ".safetensors":
        try:
            with safe_open(str(path), framework="numpy") as file:
                shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}

                def read(key: str) -> np.ndarray:
                    try:
                        return file.get_tensor(key)
                    except (TypeError, SafetensorError):
                        kind = file.get_slice(key).get_dtype()
                        raise SystolithError(
                            f"{path}: {key}: values must be one of {', '.join(_FLOATS)}, not {kind}"
                        ) from None

                return _collect(path, graph, shapes, read, progress)
        except (SafetensorError, OSError) as error:
            raise SystolithError(
                f"{path}: not a safetensors file, or damaged: {_one_line(error)}"
            ) from None
    if path.suffix in _SUFFIXES:
        state = _load_torch(path)
        shapes = {key: tuple(value.shape) for key, value in state.items()}
        return _collect(path, graph, shapes, lambda key: _to_numpy(path, key, state), progress)
    raise SystolithError(
        f"{path}: weights must be a {', '.join(_SUFFIXES)} file of a torchvision VGG"
    )


def _collect(
    path: Path,
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], np.ndarray],
    progress: Progress | None,
) -> dict[str, LayerWeights]:
    """Check every key and shape before anything is read, then read and check the values."""
    wanted: dict[str, tuple[int, ...]] = {}
    prefixes = torchvision_keys(graph.name)
    for node in graph.weighted:
        shape = weight_shape(graph, node)
        wanted[f"{prefixes[node.name]}.weight"] = shape
        wanted[f"{prefixes[node.name]}.bias"] = shape[:1]
    if any(key.endswith("running_mean") for key in shapes):
        raise SystolithError(
            f"{path}: has batch normalisation; give the weights of the plain {graph.name}"
        )
    for key, shape in wanted.items():
        if key not in shapes:
            raise SystolithError(
                f"{path}: {key} is missing; is this a torchvision state dict of {graph.name}?"
            )
        if shapes[key] != shape:
            raise SystolithError(
                f"{path}: {key}: shape must be {shape} in {graph.name}, not {shapes[key]}"
            )
    for key in shapes:
        if key not in wanted:
            raise SystolithError(f"{path}: {key} is no weight of {graph.name}")
    weights: dict[str, LayerWeights] = {}
    total = sum(int(np.prod(shape)) for shape in wanted.values())
    done = 0
    for node in graph.weighted:
        if progress is not None:
            progress(node.name, done, total)
        parts = []
        for key in (f"{prefixes[node.name]}.weight", f"{prefixes[node.name]}.bias"):
            values = read(key)
            if values.dtype.name not in _FLOATS:
                raise SystolithError(
                    f"{path}: {key}: values must be one of {', '.join(_FLOATS)}, not {values.dtype}"
                )
            values = np.ascontiguousarray(values, np.float32)
            if not np.isfinite(values).all():
                raise SystolithError(f"{path}: {key}: has values that are not finite")
            parts.append(values)
            done += values.size
        weights[node.name] = LayerWeights(*parts)
    return weights


def _load_torch(path: Path) -> dict[str, Any]:
    need(f"{path}: {path.suffix}", "torch", otherwise=", or give the weights as .safetensors")
    import torch  # pyright: ignore[reportMissingImports]  # optional

    try:
        # weights_only: a file from anywhere must not run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling can fail in any way
        if "weights_only" in str(error):
            raise SystolithError(
                f"{path}: holds more than tensors, which is not loaded because it could run code; "
                "save the plain state dict"
            ) from None
        raise SystolithError(
            f"{path}: not a PyTorch state dict, or damaged: {_one_line(error)}"
        ) from None
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise SystolithError(f"{path}: must be a state dict (names and tensors, nothing else)")
    return dict(state)


def _to_numpy(path: Path, key: str, state: Mapping[str, Any]) -> np.ndarray:
    try:
        return state[key].detach().numpy()
    except TypeError:
        raise SystolithError(
            f"{path}: {key}: values must be one of {', '.join(_FLOATS)}, not {state[key].dtype}"
        ) from None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
