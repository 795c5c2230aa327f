"""The ONNX files of `systolith lab zoo`: exports of PyTorch's networks, and the package onnx's."""

import contextlib
import importlib
import importlib.metadata
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from systolith_host.errors import SystolithError
from systolith_host.extras import need
from systolith_host.lab.pytorch import import_pair

__all__ = ["EXPORTERS", "NETWORKS", "Subject", "ZooFile", "subjects"]

EXPORTERS = ("TorchScript", "dynamo")
"""Both of PyTorch's."""

_FULL, _SMALL = (224, 224), (64, 64)


@dataclass(frozen=True)
class _Network:
    """Where a network of PyTorch's is: torchvision's function of that name, or a class of ours."""

    ours: str = ""
    full: tuple[int, int] = _FULL
    small: tuple[int, int] = _SMALL
    options: tuple[tuple[str, object], ...] = ()


NETWORKS: dict[str, _Network] = {
    "resnet18": _Network(),
    "resnet50": _Network(),
    "mobilenet_v2": _Network(),
    "mobilenet_v3_large": _Network(),
    "efficientnet_b0": _Network(),
    "regnet_y_400mf": _Network(),
    "shufflenet_v2_x1_0": _Network(),
    "squeezenet1_1": _Network(),
    "googlenet": _Network(options=(("aux_logits", False), ("init_weights", False))),
    "densenet121": _Network(),
    "mnasnet1_0": _Network(),
    "yolo_like": _Network("YoloLike", (320, 320)),
    "unet": _Network("UNet", (128, 128), (32, 32)),
    "ocr_like": _Network("OcrLike", (48, 320), (32, 64)),
}
"""By name: torchvision's, and those that it lacks."""

_IMAGES = 4
"""On which batch normalisation takes its statistics."""


@dataclass(frozen=True)
class ZooFile:
    """A file to be measured.

    Parameters
    ----------
    path : Path
    small : Path or None
        The same network for smaller images; None where its size is fixed.
    """

    path: Path
    small: Path | None


@dataclass(frozen=True)
class Subject:
    """A network by one exporter; `make` writes its files into a folder.

    Parameters
    ----------
    name : str
    source : str
        The exporter, or the package that carries the file.
    weights : str
        Where they come from, in words.
    make : callable
    """

    name: str
    source: str
    weights: str
    make: Callable[[Path], ZooFile]


def subjects(names: list[str]) -> list[Subject]:
    """Return the networks of these names, or all of them, by each exporter.

    Raises
    ------
    SystolithError
        If there is none of a name, or PyTorch is needed and not installed.
    """
    light = {path.stem: path for path in _light_folder().glob("light_*.onnx")}
    known = [*NETWORKS, *sorted(light)]
    for name in names:
        if name not in known:
            raise SystolithError(f"--network: no {name}; there are {', '.join(known)}")
    chosen = names or known
    if any(name in NETWORKS for name in chosen):
        need("lab zoo", "zoo")
    found = []
    for name in chosen:
        if name in light:
            source = f"onnx {importlib.metadata.version('onnx')}"
            file = ZooFile(light[name], None)
            found.append(Subject(name, source, "constant", lambda folder, file=file: file))
        else:
            found += [
                Subject(name, exporter, "random", partial(_export, name, exporter))
                for exporter in EXPORTERS
            ]
    return found


def _light_folder() -> Path:
    return Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def _export(name: str, exporter: str, folder: Path) -> ZooFile:
    network = NETWORKS[name]
    paths = [folder / f"{name}.{exporter}.{size}.onnx" for size in ("full", "small")]
    with _quiet():
        torch, _ = import_pair()  # the exporters import torchvision, too
        torch.manual_seed(0)
        model = _build(torch, name, network)
        _draw(torch, model, network.full)
        for path, size in zip(paths, (network.full, network.small), strict=True):
            image = torch.zeros(1, 3, *size)
            options = {"external_data": False, "verbose": False} if exporter == "dynamo" else {}
            dynamo = exporter == "dynamo"
            torch.onnx.export(model, (image,), str(path), dynamo=dynamo, **options)
    return ZooFile(*paths)


def _build(torch: Any, name: str, network: _Network) -> Any:
    if network.ours:
        models = importlib.import_module("systolith_host.lab.zoo.models")
        return getattr(models, network.ours)().eval()
    models = importlib.import_module("torchvision.models")
    return getattr(models, name)(weights=None, **dict(network.options)).eval()


def _draw(torch: Any, model: Any, size: tuple[int, int]) -> None:
    """Give a network random weights by He, and batch normalisation the statistics that it meets."""
    nn = torch.nn
    norms = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.05)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.7, 1.3)
            nn.init.normal_(layer.bias, std=0.1)
            layer.reset_running_stats()
            layer.momentum = None  # the mean of all batches
            norms.append(layer.train())
    coarse = torch.randn(_IMAGES, 3, *(max(side // 8, 1) for side in size))
    smooth = nn.functional.interpolate(coarse, size=size, mode="bilinear")
    with torch.no_grad():
        model(smooth + 0.3 * torch.randn(_IMAGES, 3, *size))
    for layer in norms:
        layer.eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' own reports of their progress to themselves."""
    level = logging.root.manager.disable
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere:
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(nowhere):
                yield
        finally:
            logging.disable(level)
