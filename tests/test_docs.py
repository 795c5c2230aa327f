"""The commands, targets and files that the documentation names are there, as it writes them."""

import re
import shlex
from functools import cache
from pathlib import Path
from pkgutil import resolve_name

import pytest
import typer
import yaml
from typer.core import TyperGroup

from systolith_host.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*/*.md")])
ENDS = ("|", "||", ">", "2>&1", "&", "&&")
"""What ends the words of a command in a line of the shell."""

COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?systolith ")


@cache
def command_line():
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def code_lines(text):
    """Yield the lines of indented and fenced code, continued ones joined."""
    fenced = False
    pending = ""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if not fenced and not line.startswith("    "):
            continue
        line = pending + line.strip()
        pending = ""
        if line.endswith("\\"):
            pending = line[:-1]
            continue
        yield line


def mentions(text):
    """Return what stands between backticks."""
    return [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", text)]


def words(line):
    """Return the arguments of a command, without a comment or a redirection."""
    line = COMMAND.sub("", line)
    found = shlex.split(line, comments=True)
    return found[: next((i for i, word in enumerate(found) if word in ENDS), None)]


def commands_of(page):
    text = page.read_text()
    return [line for line in [*code_lines(text), *mentions(text)] if COMMAND.match(line)]


def problem(line):
    """Return what the command line does not know of a command, or None."""
    name, *arguments = words(line)
    if name.startswith("-"):
        known = {option for each in command_line().params for option in each.opts}
        return None if name in known else f"no option {name}"
    command = command_line().commands.get(name)
    if command is None:
        return f"no command {name}"
    if isinstance(command, TyperGroup) and arguments and not arguments[0].startswith("-"):
        inner, *arguments = arguments
        name = f"{name} {inner}"
        command = command.commands.get(inner)
        if command is None:
            return f"no command {name}"
    known = {"--help", "-h"}
    for each in command.params:
        known.update(each.opts, each.secondary_opts)
    for word in arguments:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in known:
            return f"{name} has no option {option}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_exist(page):
    wrong = {line: reason for line in commands_of(page) if (reason := problem(line))}
    assert not wrong


def test_commands_were_found_and_a_wrong_one_is_noticed():
    found = {words(line)[0] for page in PAGES for line in commands_of(page)}
    assert {"run", "compile", "check", "explore", "report", "build"} <= found
    assert problem("systolith run vgg16 --bandwith 8") == "run has no option --bandwith"
    assert problem("systolith walk") == "no command walk"
    assert problem("systolith lab walk") == "no command lab walk"
    assert problem("systolith lab speed --point 3") == "lab speed has no option --point"
    assert problem("systolith lab speed --points 3") is None


def complete_commands():
    """Commands on a line of their own: what a reader copies."""
    for page in PAGES:
        for line in code_lines(page.read_text()):
            if COMMAND.match(line) and "..." not in line:
                yield pytest.param(line, id=f"{page.name}: {line[:60]}")


@pytest.mark.parametrize("line", [*complete_commands()])
def test_a_command_that_stands_alone_is_complete(line):
    name, *arguments = words(line)
    if name.startswith("-"):
        return
    command = command_line().commands[name]
    if isinstance(command, TyperGroup):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)  # raises on what is missing or of the wrong kind


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))
    named = {}
    for workflow in (ROOT / ".github" / "workflows").iterdir():
        for job in yaml.safe_load(workflow.read_text())["jobs"].values():
            for line in [step["run"] for step in job["steps"] if "run" in step]:
                if line.startswith("make "):
                    wanted = line.partition(" PYTHON=")[0].split()[1:]
                    named.update(dict.fromkeys(wanted, workflow.name))
    assert {"setup", "lint", "test", "docs"} <= named.keys()
    for page in PAGES:
        text = page.read_text()
        for line in [*code_lines(text), *mentions(text)]:
            if match := re.match(r"make ([a-z][a-z-]*)\b", line):
                named.setdefault(match[1], page.name)
    assert {"run", "test"} <= named.keys()
    assert {target: page for target, page in named.items() if target not in targets} == {}


def test_links_lead_to_files():
    missing = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                missing.append(f"{page.relative_to(ROOT)}: {target}")
    assert not missing


def test_files_that_are_named_exist():
    root = re.compile(r"(?:hw|sim|host|tests|tools|docs|examples|configs)/[\w./-]+")
    missing = [
        f"{page.name}: {mention}"
        for page in PAGES
        for mention in mentions(page.read_text())
        if root.fullmatch(mention) and not (ROOT / mention).exists()
    ]
    assert not missing


SOURCES = [
    path
    for part in ("hw", "sim", "host", "tests", "tools", "examples")
    for path in (ROOT / part).rglob("*.*")
]


def expanded(mention):
    """Return a mention without braces: ``a/{b,c}`` is ``a/b`` and ``a/c``."""
    if match := re.fullmatch(r"(.*)\{([^{}]+)\}(.*)", mention):
        return [f"{match[1]}{part}{match[3]}" for part in match[2].split(",")]
    return [mention]


def missing_source(mention):
    """Return whether a mention is of a folder or source file, perhaps without its first folders,
    or of a Python name of ours, and there is none."""
    if re.fullmatch(r"(?:hw|sim|host)/[\w./-]+", mention):
        return not (ROOT / mention).exists()
    if re.fullmatch(r"[\w./-]+/[\w-]+\.(?:py|v|cpp|csv)", mention):
        return not any(str(path).endswith(f"/{mention}") for path in SOURCES)
    if re.fullmatch(r"systolith_(?:hw|sim|host)(?:\.\w+)+", mention):
        try:
            resolve_name(mention)
        except (ImportError, AttributeError):
            return True
    return False


def test_sources_and_names_that_are_mentioned_exist():
    missing = [
        f"{page.relative_to(ROOT)}: {each}"
        for page in PAGES
        for mention in mentions(page.read_text())
        for each in expanded(mention)
        if missing_source(each)
    ]
    assert not missing


@pytest.mark.parametrize(
    "mention",
    [
        *("hw/systolith_hw/nowhere", "hw/systolith_hw/{spec,nowhere}", "spec/nowhere.py"),
        *("systolith_hw.nowhere", "systolith_hw.spec.config.Nothing"),
    ],
)
def test_a_mention_of_what_is_not_there_is_noticed(mention):
    assert any(map(missing_source, expanded(mention)))


def test_mentions_of_what_is_there_pass():
    there = ["hw/systolith_hw/{spec,bus}", "spec/timing.py", "systolith_hw.spec.config", "make run"]
    assert not [each for mention in there for each in expanded(mention) if missing_source(each)]


def test_the_changelog_keeps_its_form():
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    releases = [line for line in lines if line.startswith("## ")]
    kinds = {line for line in lines if line.startswith("### ")}
    assert lines[0] == "# Changelog"
    assert releases[0] == "## [Unreleased]"
    dated = re.compile(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}")
    assert all(dated.fullmatch(line) for line in releases[1:])
    known = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    assert kinds <= {f"### {kind}" for kind in known}
