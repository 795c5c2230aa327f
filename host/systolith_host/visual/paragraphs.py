"""Paragraphs of the page."""

from collections.abc import Sequence
from html import escape

__all__ = ["how_to_read", "learn", "listed"]


def learn(text: str) -> str:
    """Return the message of a picture as a paragraph of HTML."""
    return f'<p class="learn">{escape(text)}</p>'


def how_to_read(text: str) -> str:
    """Return how a picture is to be read, as a paragraph of HTML."""
    return f'<p class="how">{escape(text)}</p>'


def listed(names: Sequence[str]) -> str:
    """Return names as a list in words."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
