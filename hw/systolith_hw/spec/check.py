"""The rules for the fields of a configuration, checked when it is made."""

import dataclasses
import re
from typing import TYPE_CHECKING

from systolith_hw.spec.errors import SystolithError
from systolith_hw.spec.winograd import LANES, LEAST_PATCHES, MOST_PATCHES

if TYPE_CHECKING:  # the configuration checks itself by these rules
    from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["MOST_INPUTS", "RANGES", "ConfigError", "check_fields", "least_out_depth"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""Names go into Tcl, Verilog, XML, HTML and file names: no character may have a meaning there."""

MOST_INPUTS = (1 << 16) - 1
"""Most inputs of a layer that gathers its weights: a LOAD has so many runs."""

RANGES = {
    "rows": (2, 128),
    "cols": (2, 128),
    "act_depth": (16, 1 << 20),
    "weight_depth": (4, 1 << 20),
    "param_depth": (4, 1 << 16),
    "acc_depth": (4, 1 << 15),
    "acc_width": (20, 32),
    "post_lanes": (1, 128),
    "multiplier_width": (8, 24),
    "out_depth": (4, 1 << 16),
    "bus_bytes": (4, 64),
    "addr_width": (16, 48),
    "burst_beats": (1, 256),
    "outstanding_reads": (1, 64),
    "outstanding_writes": (1, 64),
    "queue_depth": (1, 64),
    "winograd": (0, MOST_PATCHES),
    "functions": (0, 1),
    "gather": (0, MOST_INPUTS),
    "nibbles": (0, 1),
}
"""Least and largest value of each field, whatever the others are; some rules are narrower."""


class ConfigError(SystolithError, ValueError):
    """A configuration cannot be built; the message names the field, the rule and the value."""


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def least_out_depth(bus_bytes: int, burst_beats: int, block: int) -> int:
    """Return the smallest ``out_depth``, in words of `block` bytes: a burst and four words.

    A burst of a single beat counts as two, since the queue behind it holds at least two beats.
    """
    return -(-bus_bytes * max(2, burst_beats) // block) + 4


def check_fields(config: "AcceleratorConfig") -> None:
    """Check that the fields of a configuration keep the rules that its class states.

    Raises
    ------
    ConfigError
        If one breaks a rule.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        wanted = str if field.name == "name" else int
        if type(value) is not wanted:
            raise ConfigError(f"{field.name} must be of type {wanted.__name__}, not {value!r}")
    if not _NAME.fullmatch(config.name):
        raise ConfigError(
            "name must be at most 64 letters, digits, '.', '_', '+' and '-' and begin with a "
            f"letter or digit, not {config.name[:80]!r}"
        )
    narrower = {
        "weight_depth": (2 * config.rows, RANGES["weight_depth"][1]),
        "param_depth": (2 * config.cols, RANGES["param_depth"][1]),
        "post_lanes": (1, config.block),
        "winograd": (LEAST_PATCHES if config.winograd else 0, MOST_PATCHES),
        "gather": (config.block if config.gather else 0, MOST_INPUTS),
    }
    for field_name, (low, high) in (RANGES | narrower).items():
        value = getattr(config, field_name)
        if not low <= value <= high:
            raise ConfigError(f"{field_name} must be between {low} and {high}, not {value}")
    if max(config.rows, config.cols) % min(config.rows, config.cols):
        raise ConfigError(
            "cols must be a multiple or a divisor of rows, "
            f"not {config.cols} with {config.rows} rows"
        )
    if config.param_depth % config.cols:
        raise ConfigError(
            f"param_depth must be a multiple of cols ({config.cols}), not {config.param_depth}"
        )
    if config.block % config.post_lanes:
        raise ConfigError(
            f"post_lanes must divide the channel block ({config.block}), not {config.post_lanes}"
        )
    for field_name in ("post_lanes", "bus_bytes", "burst_beats"):
        if not _is_power_of_two(getattr(config, field_name)):
            raise ConfigError(
                f"{field_name} must be a power of two, not {getattr(config, field_name)}"
            )
    if config.burst_bytes > 4096:
        raise ConfigError(
            "burst_beats must keep a burst within 4096 bytes, "
            f"not {config.burst_beats} beats of {config.bus_bytes} bytes"
        )
    least = least_out_depth(config.bus_bytes, config.burst_beats, config.block)
    if config.out_depth < least:
        raise ConfigError(
            f"out_depth must hold a burst and four words ({least} words), not {config.out_depth}"
        )
    if LANES * config.winograd > config.acc_depth:
        raise ConfigError(
            f"winograd needs {LANES} pixels of acc_depth a patch: at most "
            f"{config.acc_depth // LANES} with acc_depth {config.acc_depth}, not {config.winograd}"
        )
    if config.gather % config.block:
        raise ConfigError(
            f"gather must be a multiple of the channel block ({config.block}), not {config.gather}"
        )
    if config.nibbles and config.rows % 2:
        raise ConfigError(f"nibbles needs an even number of rows, not {config.rows}")
