"""How commands print, and their exit statuses."""

from rich.console import Console, RenderableType

__all__ = ["INTERRUPTED", "MISMATCH", "MISUSE", "TERMINATED", "complain", "show"]

MISMATCH = 1
MISUSE = 2
INTERRUPTED = 130
TERMINATED = 143
"""Exit statuses; 1 is for what was asked and is not so, a missed clock too."""

_TABLE_WIDTH = 150


def show(content: RenderableType) -> None:
    """Print to standard output."""
    # A narrow terminal wraps lines; it must not lose columns.
    width = max(Console().width, _TABLE_WIDTH)
    Console(width=width).print(content, markup=False, highlight=False, soft_wrap=True)


def complain(text: str, what: str = "error") -> None:
    """Print an error or a warning, one line of it, to standard error."""
    Console(stderr=True).print(
        f"{what}: {text}", markup=False, highlight=False, soft_wrap=True, style="red"
    )
