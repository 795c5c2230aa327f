"""The C driver as a folder: its sources, the header of the hardware, and a Makefile."""

from importlib import resources
from pathlib import Path

from systolith_host.drivers.device_tree import device_tree
from systolith_host.drivers.header import HEADER_NAME, c_header
from systolith_host.errors import SystolithError
from systolith_host.package.zynq import ZynqBoard
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["PORTABLE", "write_driver"]

PORTABLE = ("systolith.c", "systolith_image.c", "systolith_tensor.c", "systolith_text.c")
"""The sources that need neither an operating system nor a library but memcpy."""


def write_driver(
    out: Path, config: AcceleratorConfig | None = None, board: ZynqBoard | None = None
) -> list[Path]:
    """Write the driver's files to a folder and return their paths.

    Parameters
    ----------
    out : Path
        Made if it is not there.
    config : AcceleratorConfig, optional
        As of :func:`~systolith_host.drivers.header.c_header`.
    board : ZynqBoard, optional
        One that a device tree overlay is written for, ``NAME.dtso``.

    Raises
    ------
    SystolithError
        If a file cannot be written.
    """
    source = resources.files("systolith_host.drivers").joinpath("c")
    texts = {each.name: each.read_text() for each in source.iterdir() if each.is_file()}
    texts[HEADER_NAME] = c_header(config)
    if board is not None:
        texts[f"{board.name}.dtso"] = device_tree(board)
    paths = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in sorted(texts.items()):
            (out / name).write_text(text)
            paths.append(out / name)
    except OSError as error:
        raise SystolithError(f"{out}: cannot be written: {error.strerror}") from None
    return paths
