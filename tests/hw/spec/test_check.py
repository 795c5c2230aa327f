"""The rules for a configuration: each names its field and value, and the limits are allowed."""

import re

import pytest

from systolith_hw.spec.check import RANGES
from systolith_hw.spec.config import AcceleratorConfig, ConfigError
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"].to_dict()


def config(**changes):
    return AcceleratorConfig(**{**TINY, **changes})


def test_every_number_has_a_range():
    assert list(RANGES) == [name for name in TINY if name != "name"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 4.0}, "rows must be of type int, not 4.0"),
        ({"rows": True}, "rows must be of type int, not True"),
        ({"name": 3}, "name must be of type str, not 3"),
        ({"rows": 1}, "rows must be between 2 and 128, not 1"),
        ({"rows": 129}, "rows must be between 2 and 128, not 129"),
        ({"cols": 1}, "cols must be between 2 and 128, not 1"),
        ({"cols": 6}, "cols must be a multiple or a divisor of rows, not 6 with 4 rows"),
        ({"act_depth": 15}, "act_depth must be between 16 and 1048576, not 15"),
        ({"weight_depth": 7}, "weight_depth must be between 8 and 1048576, not 7"),
        ({"param_depth": 4}, "param_depth must be between 8 and 65536, not 4"),
        ({"param_depth": 10}, "param_depth must be a multiple of cols (4), not 10"),
        ({"acc_depth": 3}, "acc_depth must be between 4 and 32768, not 3"),
        ({"acc_width": 19}, "acc_width must be between 20 and 32, not 19"),
        ({"acc_width": 33}, "acc_width must be between 20 and 32, not 33"),
        ({"post_lanes": 0}, "post_lanes must be between 1 and 4, not 0"),
        ({"post_lanes": 8}, "post_lanes must be between 1 and 4, not 8"),
        ({"post_lanes": 3}, "post_lanes must divide the channel block (4), not 3"),
        (
            {"rows": 6, "cols": 6, "param_depth": 60, "post_lanes": 3},
            "post_lanes must be a power of two, not 3",
        ),
        ({"multiplier_width": 7}, "multiplier_width must be between 8 and 24, not 7"),
        ({"multiplier_width": 25}, "multiplier_width must be between 8 and 24, not 25"),
        ({"bus_bytes": 2}, "bus_bytes must be between 4 and 64, not 2"),
        ({"bus_bytes": 12}, "bus_bytes must be a power of two, not 12"),
        ({"burst_beats": 0}, "burst_beats must be between 1 and 256, not 0"),
        ({"burst_beats": 12}, "burst_beats must be a power of two, not 12"),
        (
            {"bus_bytes": 64, "burst_beats": 128},
            "burst_beats must keep a burst within 4096 bytes, not 128 beats of 64 bytes",
        ),
        ({"addr_width": 15}, "addr_width must be between 16 and 48, not 15"),
        ({"addr_width": 49}, "addr_width must be between 16 and 48, not 49"),
        ({"outstanding_reads": 0}, "outstanding_reads must be between 1 and 64, not 0"),
        ({"outstanding_writes": 65}, "outstanding_writes must be between 1 and 64, not 65"),
        ({"queue_depth": 0}, "queue_depth must be between 1 and 64, not 0"),
        ({"winograd": 3}, "winograd must be between 4 and 128, not 3"),
        ({"winograd": 129}, "winograd must be between 4 and 128, not 129"),
        (
            {"winograd": 4},
            "winograd needs 36 pixels of acc_depth a patch: at most 1 with acc_depth 64, not 4",
        ),
        ({"gather": 3}, "gather must be between 4 and 65535, not 3"),
        ({"gather": 65536}, "gather must be between 4 and 65535, not 65536"),
        ({"gather": 66}, "gather must be a multiple of the channel block (4), not 66"),
        ({"nibbles": 2}, "nibbles must be between 0 and 1, not 2"),
        (
            {"rows": 3, "cols": 6, "param_depth": 12, "post_lanes": 1, "nibbles": 1},
            "nibbles needs an even number of rows, not 3",
        ),
        ({"out_depth": 3}, "out_depth must be between 4 and 65536, not 3"),
        ({"out_depth": 35}, "out_depth must hold a burst and four words (36 words), not 35"),
        (
            {"burst_beats": 1, "bus_bytes": 16, "out_depth": 11},
            "out_depth must hold a burst and four words (12 words), not 11",
        ),
    ],
)
def test_a_broken_rule_is_named_with_its_value(changes, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        config(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 2, "cols": 128, "param_depth": 256, "weight_depth": 4},
        {"rows": 128, "cols": 2, "weight_depth": 256},
        {"rows": 3, "cols": 6, "param_depth": 12, "post_lanes": 1},
        {"acc_width": 20, "multiplier_width": 24, "addr_width": 48},
        {"bus_bytes": 64, "burst_beats": 64, "out_depth": 1028},
        {"out_depth": 36},
        {"gather": 4},
        {"nibbles": 1},
        {"gather": 65532},
    ],
)
def test_the_limits_themselves_are_allowed(changes):
    made = config(**{"post_lanes": 2, "out_depth": 128, **changes})
    assert made == AcceleratorConfig.from_dict(made.to_dict())


@pytest.mark.parametrize(
    "name", ["a\nexec rm", "", "a" * 65, "[exec ls]", "$x", "../x", "a b", "\u0430", "a\n", "-x"]
)
def test_a_name_is_of_plain_characters(name):
    with pytest.raises(ConfigError, match=r"^name must be at most 64 letters, digits, .*, not "):
        config(name=name)


@pytest.mark.parametrize("name", ["a", "8x8", "ecp5-85f", "a_b.c+d", "Z" * 64])
def test_plain_names_are_taken(name):
    assert config(name=name).name == name
