"""What MkDocs asks while it builds the manual: pages from the code, and links out of docs/."""

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("host", "sim", "hw", "tools")]

from manual.commands import command_line  # noqa: E402
from manual.instructions import instructions  # noqa: E402
from manual.results import origin, results  # noqa: E402
from manual.tables import configuration, error_codes, programs, registers, report  # noqa: E402

GENERATED = {
    "commands": command_line,
    "configuration": configuration,
    "error codes": error_codes,
    "instructions": instructions,
    "programs": programs,
    "registers": registers,
    "report": report,
    "results": results,
}
"""Text in place of the comment ``<!-- from the code: NAME -->`` of a page."""

MARK = re.compile(r"^<!-- from the code: (.+?) -->$", re.M)
LINK = re.compile(r"(?<!\!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
LOADED = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?://[^\"\s>]+)")

OUTSIDE = {
    **{
        f"examples/{page.parent.name}/README.md": f"examples/{page.parent.name}.md"
        for page in sorted(ROOT.glob("examples/*/README.md"))
    },
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
"""Pages of the repository outside docs/, and their places in the manual."""


def _known(record: logging.LogRecord) -> bool:
    """Return whether a complaint is to be heard.

    griffe reads sources without running them, and cannot follow the function that numba brings or a
    fallback replaces; no page shows it.
    """
    return "systolith_host.jit.njit" not in record.getMessage()


def on_startup(**_: Any) -> None:
    """Let griffe's only groundless complaint pass."""
    for name in ("griffe", "mkdocs.plugins.griffe"):
        logging.getLogger(name).addFilter(_known)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages to the navigation that are there in any number.

    A page of docs/ that mkdocs.yml does not name is an explanation.
    """
    decisions = sorted(
        path.relative_to(ROOT / "docs").as_posix()
        for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")
    )
    examples = [page for page in OUTSIDE.values() if page.startswith("examples/")]
    project = [page for page in OUTSIDE.values() if page.startswith("project/")]
    assert config.nav is not None
    named = set(_pages(config.nav))
    others = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in named)
    explanation = next(part for part in config.nav if "Explanation" in part)
    explanation["Explanation"] += others
    config.nav += [
        {"Decisions": ["decisions/README.md", *decisions]},
        {"Project": [*project, {"Examples": examples}]},
    ]
    return config


def _pages(nav: Any) -> Iterator[str]:
    """Return the pages that a navigation names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        yield from _pages(list(nav.values()))
    else:
        for part in nav:
            yield from _pages(part)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository outside docs/."""
    for source, place in OUTSIDE.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what comes from the code; turn links of the repository into links of the site."""
    markdown = MARK.sub(lambda match: GENERATED[match[1]](), markdown)
    place = page.file.src_uri
    source = next((one for one, other in OUTSIDE.items() if other == place), f"docs/{place}")

    def turned(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target or target.startswith(("mailto:", "/")):
            return match[0]
        wanted = normpath(f"{Path(source).parent.as_posix()}/{target}")
        if wanted.startswith("docs/"):
            there = wanted.removeprefix("docs/")
        elif wanted in OUTSIDE:
            there = OUTSIDE[wanted]
        elif (ROOT / wanted).exists():
            return f"{match[1]} (`{wanted}`)"
        else:
            raise PluginError(f"{source} links to {target}, which is not there")
        link = relpath(there, Path(place).parent.as_posix() or ".")
        return f"[{match[1]}]({link}{match[3] or ''})"

    markdown = LINK.sub(turned, markdown)
    note = origin(source)
    return markdown.replace("\n\n", f"\n\n{note}\n", 1) if note else markdown


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that would load something from elsewhere."""
    loaded: list[str] = LOADED.findall(output)
    if loaded:
        raise PluginError(f"{page.file.src_uri} loads {loaded}")
    return output
