"""PyTorch's modules as ONNX models, in memory."""

import importlib
import io
import sys
import warnings
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError

__all__ = ["export_module", "is_module"]

_OPSET = 17


def is_module(source: Any) -> bool:
    """Return whether something is a torch.nn.Module; PyTorch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def export_module(module: Any, calibrate: Any, shape: Any) -> bytes:
    """Return a module as an ONNX model, in evaluation mode and for any number of images.

    The module is left as it was. PyTorch warns of branches that depend on values (TracerWarning).

    Parameters
    ----------
    module : torch.nn.Module
    calibrate : Any
        As of :func:`systolith.load`; an array of it says the input's shape.
    shape : tuple of int or None
        Of the input for one image.

    Raises
    ------
    SystolithError
        If nothing says the input's shape, the module is not of float32, or PyTorch cannot export
        it.
    """
    # Optional, so it has no types: they would be checked on some machines only.
    torch: Any = importlib.import_module("torch")

    shape = _input_shape(calibrate) if shape is None else shape
    sizes = tuple(shape) if isinstance(shape, list | tuple) else ()
    if len(sizes) not in (1, 3) or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise SystolithError(
            f"input_shape must be (channels, height, width) or (features,), not {shape!r}"
        )
    name = type(module).__name__
    first = next(module.parameters(), None)
    if first is not None and first.dtype != torch.float32:
        raise SystolithError(
            f"{name}: its parameters must be float32, not {first.dtype}: call .float() on it"
        )
    modes = [(each, each.training) for each in module.modules()]
    example = torch.zeros((1, *sizes), device=None if first is None else first.device)
    file = io.BytesIO()
    try:
        module.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter about its own future
            # A branch on values is exported as the example took it: the caller is to know.
            warnings.filterwarnings("always", category=torch.jit.TracerWarning)
            torch.onnx.export(
                module,
                (example,),
                file,
                input_names=["input"],
                output_names=["output"],
                dynamic_axes={"input": {0: "N"}, "output": {0: "N"}},
                opset_version=_OPSET,
                dynamo=False,
            )
    except Exception as error:  # whatever the module or the exporter raises
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise SystolithError(f"{name}: PyTorch cannot export it to ONNX: {reason}") from None
    finally:
        for each, training in modes:
            each.training = training
    return file.getvalue()


def _input_shape(calibrate: Any) -> Any:
    first = calibrate[0] if isinstance(calibrate, list | tuple) and calibrate else calibrate
    size = np.shape(first) if hasattr(first, "__array__") else ()
    if len(size) not in (1, 2, 3, 4):
        raise SystolithError(
            "a torch module does not say its input's shape: give input_shape=(3, 224, 224), or "
            "calibrate= with arrays"
        )
    return tuple(size[1:] if len(size) in (2, 4) else size)
