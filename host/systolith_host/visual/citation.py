"""The page's entry for BibTeX."""

from html import escape

from systolith_host.version import commit, version

__all__ = ["citation"]


def citation() -> str:
    """Return an entry for BibTeX that names this version and commit."""
    lines = [
        "@software{systolith,",
        "  title = {Systolith},",
        "  author = {{The Systolith authors}},",
        f"  version = {{{version()}}},",
    ]
    if made_of := commit():
        lines.append(f"  note = {{commit {made_of}}},")
    text = escape("\n".join([*lines, "}"]))
    return f"<h3>To cite it</h3><pre class='scroll'>{text}</pre>"
