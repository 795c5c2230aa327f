"""The rules by which a configuration refuses instructions, beyond the limits of single fields."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import gcd
from operator import and_, or_
from typing import Any

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, Buffer, Instruction, Opcode
from systolith_hw.spec.winograd import OUTPUTS, PATCH, STRIP_PATCHES

__all__ = ["Rule", "broken_rule", "rules", "word_bytes"]


@dataclass(frozen=True)
class Rule:
    """A rule that a legal instruction keeps.

    Parameters
    ----------
    text : str
        The rule in words, for messages.
    kept : function
        Takes the values of the fields by name and returns whether they keep the rule. The values
        are integers or, in the gateware, signals; the function uses operators that both have.
    """

    text: str
    kept: Callable[[Mapping[str, Any]], Any]


def word_bytes(buffer: Buffer, config: AcceleratorConfig) -> int:
    """Return the bytes of a memory word that goes into this buffer; a PARAM entry is one word."""
    sizes = {Buffer.ACT: config.block, Buffer.WEIGHT: config.cols, Buffer.PARAM: PARAM_BYTES}
    return sizes[buffer]


def _aligned(unit: int) -> Callable[[Mapping[str, Any]], Any]:
    """Return the test that all runs of a region begin at multiples of `unit`, a power of two."""
    return lambda f: ((f["addr"] | f["run_pitch"] | f["plane_pitch"]) & (unit - 1)) == 0


def rules(opcode: Opcode, config: AcceleratorConfig) -> list[Rule]:
    """Return the rules for instructions of this opcode."""
    if opcode is Opcode.CONV:
        return _patch_rules(config) if config.winograd else []
    if opcode is Opcode.STORE:
        unit = gcd(config.bus_bytes, config.block)
        return [
            *(_result_rules() if config.winograd else []),
            Rule(f"addr and pitches must be multiples of {unit}", _aligned(unit)),
            Rule(
                f"blocks must be at most {config.col_groups}",
                lambda f: f["blocks"] <= config.col_groups,
            ),
            Rule(
                f"param_base must be a multiple of {config.post_lanes}",
                lambda f: (f["param_base"] & (config.post_lanes - 1)) == 0,
            ),
            Rule("low must be at most high", lambda f: f["low"] <= f["high"]),
        ]
    sizes = (0, *config.pack_sizes)
    table = [
        Rule(f"lane must be below {config.row_groups}", lambda f: f["lane"] < config.row_groups),
        Rule(
            f"pixel_bytes must be one of {sizes}",
            lambda f: reduce(or_, [f["pixel_bytes"] == size for size in sizes]),
        ),
    ]
    for buffer in Buffer:
        unit = gcd(config.bus_bytes, word_bytes(buffer, config))

        def kept(f: Mapping[str, Any], buffer: Buffer = buffer, unit: int = unit) -> Any:
            return (f["buffer"] != int(buffer)) | _aligned(unit)(f)

        text = f"addr and pitches must be multiples of {unit} for {buffer.name}"
        table.append(Rule(text, kept))
    return table


def _patch_rules(config: AcceleratorConfig) -> list[Rule]:
    """Return the rules for CONVs of a configuration with ``winograd``."""
    most = config.winograd

    def patches(f: Mapping[str, Any]) -> Any:
        small = [f[f"{level}_count"] <= most for level in "nsr"]
        n, s, r = (f[f"{level}_count"] & 0xFF for level in "nsr")
        return reduce(and_, small) & (n * s * r == f["patches"]) & (f["patches"] <= most)

    texts = {
        f"winograd takes patches of {PATCH} by {PATCH} pixels": lambda f: (
            (f["x_count"] == PATCH) & (f["y_count"] == PATCH)
        ),
        f"winograd takes n x s x r patches, at most {most}": patches,
        "winograd takes no shift": lambda f: f["shift"] == 0,
    }
    return [Rule(text, _where_winograd(kept)) for text, kept in texts.items()]


def _result_rules() -> list[Rule]:
    """Return the rules for STOREs of a configuration with ``winograd``."""

    def pieces(f: Mapping[str, Any], size: str) -> Any:
        return (f[size] + (OUTPUTS - 1)) >> (OUTPUTS.bit_length() - 1)

    texts = {
        f"winograd drains windows of {PATCH} by {PATCH} lanes": lambda f: (
            (f["dx_count"] == PATCH) & (f["dy_count"] == PATCH)
        ),
        f"winograd drains at most {STRIP_PATCHES} patches across": lambda f: (
            f["x_count"] <= STRIP_PATCHES
        ),
        "winograd drains x by y patches for width by height sums": lambda f: (
            (pieces(f, "width") == f["x_count"]) & (pieces(f, "height") == f["y_count"])
        ),
        "winograd pools an even width and height": lambda f: (
            (f["pool"] == 0) | (((f["width"] | f["height"]) & 1) == 0)
        ),
    }
    return [Rule(text, _where_winograd(kept)) for text, kept in texts.items()]


def _where_winograd(
    kept: Callable[[Mapping[str, Any]], Any],
) -> Callable[[Mapping[str, Any]], Any]:
    return lambda f: (f["winograd"] == 0) | kept(f)


def broken_rule(instruction: Instruction, config: AcceleratorConfig) -> Rule | None:
    """Return the first rule that an instruction breaks, or None if it keeps them all."""
    for rule in rules(instruction.opcode, config):
        if not rule.kept(instruction.fields):
            return rule
    return None
