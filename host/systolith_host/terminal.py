"""The consoles that all commands print to: what a file's names hold does nothing to a terminal."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from systolith_host.escape import printable

__all__ = ["SafeConsole", "error_console"]


class SafeConsole(Console):
    """A console that reads no markup and shows control characters as escapes."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as rich does, then clean all text that is not rich's own control."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else printable(segment.text)
            yield segment if text is segment.text else Segment(text, segment.style)


def error_console() -> SafeConsole:
    """Return a console on standard error."""
    return SafeConsole(stderr=True)
