"""How commands print, and their exit statuses."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from systolith_host.errors import SystolithError
from systolith_host.terminal import SafeConsole, error_console

__all__ = [
    "HUNG_UP",
    "INTERRUPTED",
    "MISMATCH",
    "MISUSE",
    "STANDARD_OUTPUT",
    "TERMINATED",
    "check_targets",
    "complain",
    "give",
    "save",
    "show",
]

MISMATCH = 1
MISUSE = 2
HUNG_UP = 129
INTERRUPTED = 130
TERMINATED = 143
"""Exit statuses; 1 is for what was asked and is not so, a missed clock too."""

STANDARD_OUTPUT = Path("-")
"""The file of `--json -`."""

_TABLE_WIDTH = 150


def show(content: RenderableType) -> None:
    """Print to standard output."""
    # A narrow terminal wraps lines; it must not lose columns.
    width = max(SafeConsole().width, _TABLE_WIDTH)
    SafeConsole(width=width).print(content, soft_wrap=True)


def give(table: RenderableType, fields: Mapping[str, Any], target: Path | None) -> None:
    """Print a table, and write the same as JSON; for ``-`` print the JSON instead.

    Parameters
    ----------
    table : RenderableType
    fields : mapping of str to object
        JSON values.
    target : Path, optional
        File for the JSON.

    Raises
    ------
    SystolithError
        If the file cannot be written; the table is printed then.
    """
    text = json.dumps(fields, indent=2) + "\n"
    if target == STANDARD_OUTPUT:
        print(text, end="")
        return
    failure = None
    try:
        if target is not None:
            target.write_text(text)
    except OSError as error:
        failure = f"{target}: cannot be written: {error.strerror}"
    show(table)
    if failure is not None:
        raise SystolithError(failure)


def save(path: Path, text: str) -> None:
    """Write a text into a file.

    Raises
    ------
    SystolithError
        If it cannot be written.
    """
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None


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
        if path is None or path == STANDARD_OUTPUT:
            continue
        if path.is_dir():
            raise SystolithError(f"{path}: cannot be written: it is a folder")
        if not path.absolute().parent.is_dir():
            raise SystolithError(f"{path}: cannot be written: there is no folder {path.parent}")
