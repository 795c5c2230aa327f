"""The command line as a page of the manual."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from systolith_host.cli.app import app

__all__ = ["command_line"]

ROOT = Path(__file__).parents[2]


def command_line() -> str:
    """Return a section for each command: its use, arguments, options and examples."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return "\n\n".join(_sections("systolith", group, 2))


def _sections(name: str, group: TyperGroup, level: int) -> Iterator[str]:
    for word, command in group.commands.items():
        full = f"{name} {word}"
        yield f"{'#' * level} {full.removeprefix('systolith ')} {{ #{full.replace(' ', '-')} }}"
        yield _text(command.help or "")
        if isinstance(command, TyperGroup):
            yield from _sections(full, command, level + 1)
            continue
        yield _usage(full, command)
        yield from _parameters(command)
        if command.epilog:
            yield _examples(command.epilog)


def _text(help_text: str) -> str:
    return re.sub(r"\[/?(?:bold|italic)\]", "", help_text).strip()


def _usage(name: str, command: Any) -> str:
    arguments = [one for one in command.params if not one.opts[0].startswith("-")]
    words = [
        f"{one.name.upper()}{'...' if one.nargs < 0 or one.multiple else ''}" for one in arguments
    ]
    words = [
        word if one.required else f"[{word}]" for word, one in zip(words, arguments, strict=True)
    ]
    return f"```text\n{' '.join([name, *words, '[OPTIONS]'])}\n```"


def _parameters(command: Any) -> Iterator[str]:
    rows = []
    for one in command.params:
        if getattr(one, "hidden", False):
            continue
        flags = [*one.opts, *one.secondary_opts]
        if not one.opts[0].startswith("-"):
            flags = [one.name.upper()]
        names = " ".join(f"`{flag}`" for flag in flags)
        if one.metavar and one.opts[0].startswith("-"):
            names += f" {_cell(one.metavar)}"
        default = one.default
        shown = "" if default in (None, False, True, ()) or callable(default) else f"`{default}`"
        shown = shown.replace(f"{ROOT}{os.sep}", "")
        if one.required:
            shown = "required"
        rows.append(f"| {names} | {_cell(_text(one.help or ''))} | {_cell(shown)} |")
    if rows:
        yield "\n".join(["| option | meaning | default |", "|---|---|---|", *rows])


def _cell(text: str) -> str:
    """Return text that neither ends a cell of a table nor starts an element."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _examples(epilog: str) -> str:
    lines = [_text(line) for line in epilog.splitlines()]
    commands = [line for line in lines if line.startswith("systolith ")]
    others = [line for line in lines if line and line not in commands and line != "Examples:"]
    parts = [" ".join(others)] if others else []
    if commands:
        parts.append("```bash\n" + "\n".join(commands) + "\n```")
    return "\n\n".join(parts)
