"""Text of others, made safe for the language that it goes into: one function for each.

XML is written by ElementTree, HTML escaped by the standard library's :func:`html.escape`, JSON in
a page by plotly (no ``<`` stays in it). Names of configurations cannot hold anything special
(:mod:`systolith_hw.spec.config`), names of layers neither (:func:`layer_name`).
"""

import re

__all__ = ["LAYER_NAME", "comment", "layer_name", "printable", "slug", "tcl_word"]

LAYER_NAME = re.compile(r"[\w$()][\w.$()*;#@=+-]*")
"""The characters of layers' names: none that HTML, Tcl, spreadsheets or rich interpret."""

_OTHERS = re.compile(r"[^\w.$()*;#@=+-]+")


def printable(text: str) -> str:
    r"""Return text for a terminal: control characters as escapes, newline and tab as they are.

    An escape sequence in a file's names would otherwise colour, move or retitle; characters that
    change the direction of writing would show another name.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def comment(text: str) -> str:
    """Return text for a comment of a line, of Tcl, Verilog or a Makefile."""
    # At the end of a line, a backslash would take in the next.
    return printable(" ".join(text.split())).rstrip("\\")


def tcl_word(text: str) -> str:
    """Return a word of Tcl that stands for just this text: braced where it can be, else quoted."""
    if not re.search(r"[{}\\]", text):
        return f"{{{text}}}"
    quoted = re.sub(r'[\\"$\[\]{}]', r"\\\g<0>", text)
    return f'"{quoted}"'


def layer_name(text: str) -> str:
    """Return a name that :data:`LAYER_NAME` matches whole, or "" if nothing is left of it."""
    title = re.sub(r"\.{2,}", ".", _OTHERS.sub(".", text))
    return title.strip(".").lstrip(".*;#@=+-")


def slug(text: str) -> str:
    """Return what can name a file or an element of a page."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).lstrip(".")
