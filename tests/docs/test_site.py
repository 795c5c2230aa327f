"""The built manual: its links, what it loads, and that what comes from the code is in it."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
from typer.core import TyperGroup

import systolith
from systolith_host.cli.app import app
from systolith_hw.spec.isa import FIELDS
from systolith_hw.spec.registers import REGISTERS, ErrorCode

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from manual.results import RESULTS, origin  # noqa: E402


class Links(HTMLParser):
    """The anchors of a page, the links that it shows, and what it loads."""

    def __init__(self, page):
        super().__init__()
        self.anchors, self.links, self.loaded = {"", "__skip"}, [], []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors.update(filter(None, (values.get("id"), values.get("name"))))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "link" and values.get("href"):
            self.loaded.append(values["href"])
        if values.get("src"):
            self.loaded.append(values["src"])


@pytest.fixture(scope="module")
def pages(site):
    """Return what each page of the manual holds; 404.html has links from the server's root."""
    return {page: Links(page) for page in site.rglob("*.html") if page.name != "404.html"}


def outside(target):
    return re.match(r"[a-z]+:", target) is not None


def test_links_lead_to_pages_and_anchors(pages):
    broken = []
    for page, found in pages.items():
        for target in [*found.links, *found.loaded]:
            if outside(target):
                continue
            path, _, anchor = unquote(target).partition("#")
            there = (page.parent / path).resolve() if path else page
            if there.is_dir():
                there /= "index.html"
            if not there.is_file():
                broken.append((page.name, target))
            elif there in pages and anchor not in pages[there].anchors:
                broken.append((page.name, target))
    assert not broken


def test_pages_load_nothing_from_elsewhere(site, pages):
    loaded = {target for found in pages.values() for target in found.loaded if outside(target)}
    assert not [target for target in loaded if not target.startswith("data:")]
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?https?:", sheet.read_text())


def test_every_page_of_the_documentation_is_in_the_manual(site):
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        if name.stem == "README":
            name = name.with_name("index.html")
        assert (site / name).is_file()


def text(site, page):
    return (site / "reference" / page).read_text()


def test_the_command_line_is_complete(site):
    page = text(site, "commands.html")
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        assert f'id="systolith-{name}"' in page
        for option in command.params:
            if option.opts[0].startswith("-"):
                assert f"<code>{option.opts[0]}</code>" in page


def test_no_page_has_a_path_of_the_machine_that_built_it(site):
    assert "<code>host/systolith_host/fpga/ecp5_grid.csv</code>" in text(site, "commands.html")
    assert not [page.name for page in site.rglob("*.html") if str(ROOT) in page.read_text()]


def test_instructions_and_registers_are_complete(site):
    page = text(site, "instructions.html")
    for opcode, fields in FIELDS.items():
        assert f'aria-label="Bit fields of {opcode.name}"' in page
        for field in fields:
            assert f"<code>{field.name}</code>" in page
            assert f"<title>{field.name}: bits " in page
    page = text(site, "registers.html")
    for name in [*REGISTERS, *(code.name for code in ErrorCode)]:
        assert f"<code>{name}</code>" in page


def test_the_api_is_complete(site):
    page = text(site, "api.html")
    for name in systolith.__all__:
        if not name.startswith("__"):
            home = getattr(systolith, name).__module__
            assert f'id="systolith.{name}"' in page or f'id="{home}.{name}"' in page


def test_no_placeholder_is_left(site):
    for page in site.rglob("*.html"):
        assert "from the code:" not in page.read_text()


def test_stored_results_name_command_commit_and_date(site):
    for result in RESULTS:
        assert (ROOT / result.file).is_file()
        if result.file.startswith("docs/"):
            page = (site / result.file.removeprefix("docs/")).with_suffix(".html").read_text()
            assert "Stored result" in page
            assert f"<code>{result.command}</code>" in page
    page = (site / "results.html").read_text()
    assert "23,796,541" in page


def test_an_older_result_is_told(monkeypatch):
    said = {"log": "abc1234 2026-01-02", "rev-list": "3", "rev-parse": "false"}
    monkeypatch.setattr("manual.results._git", lambda *words: said[words[0]])
    assert "abc1234, 2026-01-02; 3 commits to gateware" in origin("docs/operators.md")
    said["rev-list"] = "0"
    assert "abc1234, 2026-01-02; no commit to gateware" in origin("docs/operators.md")
    said["rev-parse"] = "true"
    assert "unknown" in origin("docs/operators.md")
    monkeypatch.setattr("manual.results._git", lambda *words: None)
    assert "unknown" in origin("docs/operators.md")
    assert origin("docs/boards.md") == ""
