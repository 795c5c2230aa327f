"""PyTorch and torchvision, imported as a pair that need not be built for the same device."""

import importlib
import sys
from typing import Any

__all__ = ["import_pair"]

_kept: list[Any] = []


def import_pair() -> tuple[Any, Any]:
    """Return PyTorch and torchvision.

    A torchvision built for CUDA cannot load its own operators next to a PyTorch for processors, and
    its import fails for want of two of them. Detectors use those, classifiers do not: they are
    declared then, without anything that computes them.
    """
    torch = importlib.import_module("torch")
    try:
        return torch, importlib.import_module("torchvision")
    except RuntimeError as error:
        if _kept or "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)  # the declarations last as long as this
    return torch, importlib.import_module("torchvision")
