"""How commands print, and their exit statuses."""

from pathlib import Path

from rich.console import RenderableType

from systolith_host.errors import SystolithError
from systolith_host.terminal import SafeConsole, error_console

__all__ = [
    "HUNG_UP",
    "INTERRUPTED",
    "MISMATCH",
    "MISUSE",
    "TERMINATED",
    "check_targets",
    "complain",
    "show",
]

MISMATCH = 1
MISUSE = 2
HUNG_UP = 129
INTERRUPTED = 130
TERMINATED = 143
"""Exit statuses; 1 is for what was asked and is not so, a missed clock too."""

_TABLE_WIDTH = 150


def show(content: RenderableType) -> None:
    """Print to standard output."""
    # A narrow terminal wraps lines; it must not lose columns.
    width = max(SafeConsole().width, _TABLE_WIDTH)
    SafeConsole(width=width).print(content, soft_wrap=True)


def complain(text: str, what: str = "error") -> None:
    """Print an error or a warning, one line of it, to standard error."""
    error_console().print(f"{what}: {text}", soft_wrap=True, style="red")


def check_targets(*paths: Path | None) -> None:
    """Refuse files that cannot be written, before the work whose results they are to take.

    Raises
    ------
    SystolithError
        If a file's folder is not there, or the path is one.
    """
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise SystolithError(f"{path}: cannot be written: it is a folder")
        if not path.absolute().parent.is_dir():
            raise SystolithError(f"{path}: cannot be written: there is no folder {path.parent}")
