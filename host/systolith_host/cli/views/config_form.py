"""A configuration as a TOML file with comments, and the JSON schema of such files."""

import dataclasses
import inspect
import re
import textwrap
from functools import cache
from typing import Any

from systolith_hw.spec.check import RANGES
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.presets import PRESETS

__all__ = ["config_schema", "config_toml"]

_WIDTH = 100


@cache
def _descriptions() -> dict[str, str]:
    """Return the sentences on each field, from the configuration's own documentation."""
    text = inspect.cleandoc(AcceleratorConfig.__doc__ or "")
    text = text.split("----------\n", 1)[1].split("\nRaises\n", 1)[0]
    found = {}
    for names, body in re.findall(r"^(\S.*?) : \w+\n((?:    .*\n?)+)", text, re.M):
        plain = re.sub(r":\w+:`([^`]*)`", r"\1", " ".join(body.split())).replace("``", "")
        found |= dict.fromkeys(names.split(", "), plain)
    return found


def config_toml(config: AcceleratorConfig) -> str:
    """Return a TOML file with every field of a configuration, and what each means."""
    descriptions = _descriptions()
    lines = [
        "# A configuration of Systolith. Fields that a file leaves out are those of a preset, if",
        '# the file names it: base = "default"',
    ]
    said = ""
    for field in dataclasses.fields(config):
        if said != descriptions[field.name]:
            said = descriptions[field.name]
            lines += ["", *textwrap.wrap(said, _WIDTH, initial_indent="# ", subsequent_indent="# ")]
        value = getattr(config, field.name)
        lines.append(
            f'{field.name} = "{value}"' if field.name == "name" else f"{field.name} = {value}"
        )
    return "\n".join(lines) + "\n"


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of configuration files, for editors.

    It has each field's own range; rules between fields are checked when a file is read.
    """
    properties: dict[str, Any] = {
        "base": {
            "enum": list(PRESETS),
            "description": "A preset: fields that are missing are the preset's.",
        }
    }
    for field in dataclasses.fields(AcceleratorConfig):
        properties[field.name] = {"description": _descriptions()[field.name]}
        if field.name == "name":
            properties[field.name] |= {"type": "string"}
            continue
        low, high = RANGES[field.name]
        properties[field.name] |= {"type": "integer", "minimum": low, "maximum": high}
        if field.default is not dataclasses.MISSING:
            properties[field.name]["default"] = field.default
    required = [
        field.name
        for field in dataclasses.fields(AcceleratorConfig)
        if field.default is dataclasses.MISSING
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Systolith configuration",
        "description": "An accelerator, as a TOML file.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "anyOf": [{"required": ["base"]}, {"required": required}],
    }
