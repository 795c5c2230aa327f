"""The rules by which a configuration refuses instructions, beyond the limits of single fields."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from math import gcd
from operator import add, and_, or_
from typing import Any

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, Buffer, Instruction, Opcode, buffers_of
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
    early : mapping of str to function
        Further values that ``kept`` finds by these names; each function computes one from the
        fields. The gateware has them in registers in the cycle in which it has the fields.
    """

    text: str
    kept: Callable[[Mapping[str, Any]], Any]
    early: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)

    def keeps(self, fields: Mapping[str, Any]) -> bool:
        """Return whether an instruction with these fields keeps the rule."""
        return bool(self.kept({**fields, **{name: of(fields) for name, of in self.early.items()}}))


def word_bytes(buffer: Buffer, config: AcceleratorConfig) -> int:
    """Return the bytes of a memory word that goes into this buffer; a PARAM entry is one word."""
    sizes = {
        Buffer.ACT: config.block,
        Buffer.WEIGHT: config.cols,
        Buffer.PARAM: PARAM_BYTES,
        Buffer.TABLE: PARAM_BYTES,
    }
    return sizes[buffer]


def _aligned(unit: int) -> Callable[[Mapping[str, Any]], Any]:
    """Return the test that all runs of a region begin at multiples of `unit`, a power of two."""
    return lambda f: ((f["addr"] | f["run_pitch"] | f["plane_pitch"]) & (unit - 1)) == 0


def rules(opcode: Opcode, config: AcceleratorConfig) -> list[Rule]:
    """Return the rules for instructions of this opcode."""
    if opcode is Opcode.CONV:
        return [
            *(_patch_rules(config) if config.winograd else []),
            *(_unit_rules(config) if config.gather else []),
        ]
    if opcode is Opcode.STORE:
        unit = gcd(config.bus_bytes, config.block)
        return [
            *(_result_rules() if config.winograd else []),
            *(_stacked_rules(config) if config.gather else []),
            Rule(f"addr and pitches must be multiples of {unit}", _aligned(unit)),
            Rule(
                f"blocks must be at most {config.col_groups}",
                lambda f: (f["blocks"] <= config.col_groups) | f.get("stacked", 0),
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
    for buffer in buffers_of(config):
        unit = gcd(config.bus_bytes, word_bytes(buffer, config))

        def kept(f: Mapping[str, Any], buffer: Buffer = buffer, unit: int = unit) -> Any:
            return (f["buffer"] != int(buffer)) | _aligned(unit)(f)

        text = f"addr and pitches must be multiples of {unit} for {buffer.name}"
        table.append(Rule(text, kept))
    if config.nibbles:
        takes = _where("nibbles")(lambda f: f["buffer"] == int(Buffer.WEIGHT))
        table.append(Rule("nibbles takes weights", takes))
    return table + (_gather_rules() if config.gather else [])


def _product(a: Any, b: Any, bits: int) -> Any:
    """Return the product of numbers of so many bits, without one of a part's few multipliers."""
    return reduce(add, [((b >> k) & 1) * (a << k) for k in range(bits)])


def _patch_rules(config: AcceleratorConfig) -> list[Rule]:
    """Return the rules for CONVs of a configuration with ``winograd``."""
    most = config.winograd
    bits = most.bit_length()

    def low(f: Mapping[str, Any], name: str) -> Any:
        return f[name] & ((1 << bits) - 1)

    def across_and_down(f: Mapping[str, Any]) -> Any:
        return _product(low(f, "n_count"), low(f, "s_count"), bits)

    def quotients(f: Mapping[str, Any]) -> Any:
        # Bit k: there are k times r_count patches. So no second product follows the first one.
        r_is = [f["r_count"] == r for r in range(most + 1)]
        patches_are = [f["patches"] == patches for patches in range(most + 1)]
        return reduce(
            or_,
            [
                reduce(or_, [r_is[r] & patches_are[k * r] for r in range(1, most // k + 1)]) << k
                for k in range(1, most + 1)
            ],
        )

    def patches(f: Mapping[str, Any]) -> Any:
        fits = ((f["patches / r"] >> f["n x s"]) & 1) == 1
        return (f["n_count"] <= most) & (f["s_count"] <= most) & fits

    return [
        Rule(
            f"winograd takes patches of {PATCH} by {PATCH} pixels",
            _where_winograd(lambda f: (f["x_count"] == PATCH) & (f["y_count"] == PATCH)),
        ),
        Rule(
            f"winograd takes n x s x r patches, at most {most}",
            _where_winograd(patches),
            {"n x s": across_and_down, "patches / r": quotients},
        ),
        Rule("winograd takes no shift", _where_winograd(lambda f: f["shift"] == 0)),
    ]


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


def _gather_rules() -> list[Rule]:
    """Return the rules for LOADs of a configuration with ``gather``."""
    gathers = _where("gather")
    return [
        Rule("scan takes activations", _where("scan")(lambda f: f["buffer"] == int(Buffer.ACT))),
        Rule("gather takes weights", gathers(lambda f: f["buffer"] == int(Buffer.WEIGHT))),
        Rule("gather takes a single plane", gathers(lambda f: f["planes"] == 1)),
        Rule("gather takes a ring of units", gathers(lambda f: f["units"] != 0)),
    ]


def _unit_rules(config: AcceleratorConfig) -> list[Rule]:
    """Return the rules for CONVs of a configuration with ``gather``."""
    gathers = _where("gather")
    single = ("x_count", "y_count", "n_count", "r_count", "c_count")
    table = [
        Rule(
            "gather takes passes of one pixel, s_count for each unit",
            gathers(lambda f: reduce(and_, [f[name] == 1 for name in single])),
        ),
        Rule("gather takes a ring of units", gathers(lambda f: f["units"] != 0)),
        Rule("gather takes no shift", gathers(lambda f: f["shift"] == 0)),
        Rule("unsigned takes gather", _where("unsigned")(lambda f: f["gather"] == 1)),
    ]
    if config.winograd:
        table.append(Rule("gather takes no winograd", gathers(lambda f: f["winograd"] == 0)))
    return table


def _stacked_rules(config: AcceleratorConfig) -> list[Rule]:
    """Return the rules for STOREs of a configuration with ``gather``."""
    single = [f"{level}_count" for level in ("dx", "dy", "x", "y", "n")]
    stacked = _where("stacked")
    table = [
        Rule(
            "stacked drains single sums",
            stacked(lambda f: reduce(and_, [f[name] == 1 for name in single])),
        )
    ]
    if config.winograd:
        table.append(Rule("stacked takes no winograd", stacked(lambda f: f["winograd"] == 0)))
    return table


def _where(option: str) -> Callable[[Callable[[Mapping[str, Any]], Any]], Any]:
    """Return what makes a test hold for instructions with a flag only."""
    return lambda kept: lambda f: (f[option] == 0) | kept(f)


_where_winograd = _where("winograd")


def broken_rule(instruction: Instruction, config: AcceleratorConfig) -> Rule | None:
    """Return the first rule that an instruction breaks, or None if it keeps them all."""
    for rule in rules(instruction.opcode, config):
        if not rule.keeps(instruction.fields):
            return rule
    return None
