"""Tables of the manual that come from the code: configuration, registers, report, program file."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from systolith_host.cli.views.config_form import config_schema
from systolith_host.program import program
from systolith_hw.spec import registers as spec
from systolith_hw.spec.presets import PRESETS

__all__ = ["configuration", "error_codes", "programs", "registers", "report", "table"]

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "report.schema.json"


def table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def configuration() -> str:
    """Return the fields of a configuration with their ranges and the presets' values."""
    fields = {k: v for k, v in config_schema()["properties"].items() if k not in ("base", "name")}
    meaning = [
        (
            f"`{name}`",
            field["description"],
            f"{field['minimum']:,} to {field['maximum']:,}",
            field.get("default", "needed"),
        )
        for name, field in fields.items()
    ]
    values = [
        (f"`{name}`", *(getattr(config, name) for config in PRESETS.values())) for name in fields
    ]
    return "\n\n".join(
        [
            table(("field", "meaning", "range", "default"), meaning),
            "## The presets",
            table(("field", *(f"`{name}`" for name in PRESETS)), values),
        ]
    )


def registers() -> str:
    """Return the register map."""
    rows = [
        (f"`0x{one.offset:03x}`", f"`{one.name}`", one.width, one.access, one.doc)
        for one in spec.REGISTERS.values()
    ]
    states = [
        (engine.name, engine.value, ", ".join(f"{i} {s}" for i, s in enumerate(names)))
        for engine, names in spec.ENGINE_STATES.items()
    ]
    return "\n\n".join(
        [
            table(("offset", "name", "bits", "access", "meaning"), rows),
            "## States of the engines",
            table(("engine", "number", "states"), states),
            _after(spec, "ENGINE_STATES: "),
        ]
    )


def error_codes() -> str:
    """Return the error codes with what they say of ERROR_INFO."""
    rows = [
        (code.value, f"`{code.name}`", _plain(_after(spec, f"    {code.name} = ")))
        for code in spec.ErrorCode
    ]
    return table(("code", "name", "meaning"), rows)


def _after(module: Any, start: str) -> str:
    """Return the string that stands behind an assignment in a module's source."""
    lines = inspect.getsource(module).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(start))
    rest = "\n".join(lines[at:])
    match = re.match(r'[^\n]*(?:\{\n.*?\n\})?\n\s*"""(.*?)"""', rest, re.S)
    return "" if match is None else _plain(inspect.cleandoc(match[1]))


def _plain(text: str) -> str:
    return text.replace("``", "`")


def report() -> str:
    """Return the members of a report's JSON."""
    schema = json.loads(SCHEMA.read_text())
    rows = list(_members(schema, schema["$defs"], ""))
    return table(("member", "type", "meaning"), rows)


def _members(node: Any, defs: Any, path: str) -> Iterator[tuple[str, str, str]]:
    for name, member in node.get("properties", {}).items():
        said = member.get("description", "")
        member = _resolved(member, defs)
        kind = member.get("type", "" if "const" not in member else f"always {member['const']}")
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        items = _resolved(member.get("items", {}), defs)
        full = f"{path}{name}" + ("[]" if kind == "array" else "")
        yield f"`{full}`", kind, said or member.get("description", "")
        if name == "config" or (path and name in ("convolutions", "fully_connected")):
            continue
        yield from _members(member, defs, f"{full}.")
        yield from _members(items, defs, f"{full}.")


def _resolved(node: Any, defs: Any) -> Any:
    if "$ref" in node:
        return {**node, **defs[node["$ref"].rsplit("/", 1)[1]]}
    for option in node.get("anyOf", node.get("oneOf", [])):
        if "$ref" in option or "properties" in option:
            return {**node, **_resolved(option, defs)}
    return node


def programs() -> str:
    """Return the entries of a program file, from the records that are saved."""
    parts = []
    for record in (program.Program, program.LayerProgram, program.Place):
        text = inspect.cleandoc(record.__doc__ or "")
        first, _, rest = text.partition("\n\n")
        rows = [
            (f"`{names}`", kind, _plain(re.sub(r":\w+:`([^`]*)`", r"`\1`", body)))
            for names, kind, body in re.findall(
                r"^(\w[\w, ]*?) : (.*)\n((?:    .*\n?)*)", rest, re.M
            )
        ]
        parts += [f"## {record.__name__}", first, table(("field", "type", "meaning"), rows)]
    return "\n\n".join(parts)
