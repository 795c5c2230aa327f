"""Pages of the manual of which a command writes a part, between two lines."""

from pathlib import Path

from systolith_host.errors import SystolithError

__all__ = ["split_page"]


def split_page(page: Path, begin: str, end: str) -> tuple[str, str]:
    """Return the parts of a page before the line `begin` and after the line `end`.

    Raises
    ------
    SystolithError
        If the page cannot be read, or has no such lines.
    """
    try:
        text = page.read_text("utf-8")
    except OSError as error:
        raise SystolithError(f"{page}: cannot be read: {error.strerror}") from None
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        marks = f"{begin.strip()} and {end.strip()}"
        raise SystolithError(f"{page}: has no lines {marks}, between which the table is")
    return before, after
