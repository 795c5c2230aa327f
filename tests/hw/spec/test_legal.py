"""Rules of a configuration for instructions, on integers; test_fetch.py has them in gateware."""

from itertools import product

import pytest

from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.legal import broken_rule, rules, word_bytes
from systolith_sim.testing.configs import small_config

CONFIG = small_config(8, 4, bus_bytes=16, post_lanes=2, out_depth=1024)


def test_defaults_are_legal_for_every_opcode():
    for opcode in Opcode:
        assert broken_rule(Instruction(opcode, {}), CONFIG) is None
    assert rules(Opcode.CONV, CONFIG) == []


@pytest.mark.requirement("ISA-1")
@pytest.mark.parametrize(
    ("opcode", "fields", "text"),
    [
        (Opcode.LOAD, {"lane": 2}, "lane must be below 2"),
        (Opcode.LOAD, {"pixel_bytes": 3}, r"pixel_bytes must be one of (0, 1, 2)"),
        (Opcode.LOAD, {"addr": 6}, "addr and pitches must be multiples of 4 for ACT"),
        (
            Opcode.LOAD,
            {"buffer": Buffer.PARAM, "run_pitch": 4},
            "addr and pitches must be multiples of 8 for PARAM",
        ),
        (Opcode.STORE, {"plane_pitch": 1}, "addr and pitches must be multiples of 4"),
        (Opcode.STORE, {"blocks": 2}, "blocks must be at most 1"),
        (Opcode.STORE, {"param_base": 3}, "param_base must be a multiple of 2"),
        (Opcode.STORE, {"low": 0, "high": -1}, "low must be at most high"),
    ],
)
def test_each_rule_is_named_when_it_is_broken(opcode, fields, text):
    rule = broken_rule(Instruction(opcode, fields), CONFIG)
    assert rule is not None
    assert rule.text == text


PATCHES = {"winograd": 1, "x_count": 6, "y_count": 6, "n_count": 3, "s_count": 2, "patches": 6}
RESULTS = {
    **{"winograd": 1, "dx_count": 6, "dy_count": 6, "x_count": 3, "y_count": 2},
    **{"width": 10, "height": 8, "pool": 1, "low": 0, "high": 0},
}


@pytest.mark.parametrize(
    ("opcode", "fields", "text"),
    [
        (Opcode.CONV, PATCHES, None),
        (Opcode.CONV, PATCHES | {"s_count": 3}, "winograd takes n x s x r patches, at most 6"),
        (
            Opcode.CONV,
            PATCHES | {"s_count": 3, "patches": 9},
            "winograd takes n x s x r patches, at most 6",
        ),
        (Opcode.CONV, PATCHES | {"x_count": 5}, "winograd takes patches of 6 by 6 pixels"),
        (Opcode.CONV, PATCHES | {"shift": 1}, "winograd takes no shift"),
        (Opcode.STORE, RESULTS, None),
        (Opcode.STORE, RESULTS | {"dy_count": 5}, "winograd drains windows of 6 by 6 lanes"),
        (Opcode.STORE, RESULTS | {"width": 64, "x_count": 16}, None),
        (
            Opcode.STORE,
            RESULTS | {"width": 68, "x_count": 17},
            "winograd drains at most 16 patches across",
        ),
        (
            Opcode.STORE,
            RESULTS | {"width": 14},
            "winograd drains x by y patches for width by height sums",
        ),
        (Opcode.STORE, RESULTS | {"height": 7}, "winograd pools an even width and height"),
        (Opcode.STORE, RESULTS | {"height": 7, "pool": 0}, None),
    ],
)
def test_instructions_with_patches_have_rules_of_their_own(opcode, fields, text):
    config = small_config(8, 4, bus_bytes=16, post_lanes=2, acc_depth=256, winograd=6)
    rule = broken_rule(Instruction(opcode, fields), config)
    assert (rule.text if rule else None) == text
    direct = broken_rule(Instruction(opcode, fields | {"winograd": 0}), config)
    assert direct is None


SCAN = {"scan": 1, "buffer": Buffer.ACT}
RUNS = {"gather": 1, "buffer": Buffer.WEIGHT, "units": 3, "runs": 700}
UNITS = {"gather": 1, "unsigned": 1, "units": 3, "s_count": 200}
STACK = {"stacked": 1, "blocks": 255}


@pytest.mark.parametrize(
    ("opcode", "fields", "text"),
    [
        (Opcode.LOAD, SCAN, None),
        (Opcode.LOAD, SCAN | {"buffer": Buffer.WEIGHT}, "scan takes activations"),
        (Opcode.LOAD, RUNS, None),
        (Opcode.LOAD, RUNS | {"buffer": Buffer.PARAM}, "gather takes weights"),
        (Opcode.LOAD, RUNS | {"planes": 2}, "gather takes a single plane"),
        (Opcode.LOAD, RUNS | {"units": 0}, "gather takes a ring of units"),
        (Opcode.CONV, UNITS, None),
        *(
            (
                Opcode.CONV,
                UNITS | {f"{level}_count": 2},
                "gather takes passes of one pixel, s_count for each unit",
            )
            for level in "xynrc"
        ),
        (Opcode.CONV, UNITS | {"units": 0}, "gather takes a ring of units"),
        (Opcode.CONV, UNITS | {"shift": 1}, "gather takes no shift"),
        (Opcode.CONV, {"unsigned": 1}, "unsigned takes gather"),
        (
            Opcode.CONV,
            UNITS | {"winograd": 1, "patches": 1},
            "winograd takes patches of 6 by 6 pixels",
        ),
        (Opcode.STORE, STACK, None),
        (Opcode.STORE, STACK | {"stacked": 0}, "blocks must be at most 1"),
        *(
            (Opcode.STORE, STACK | {f"{level}_count": 2}, "stacked drains single sums")
            for level in ("dx", "dy", "x", "y", "n")
        ),
        (
            Opcode.STORE,
            STACK | RESULTS | {"blocks": 1, "dx_count": 6},
            "stacked drains single sums",
        ),
    ],
)
def test_instructions_that_gather_have_rules_of_their_own(opcode, fields, text):
    config = small_config(
        8, 4, bus_bytes=16, post_lanes=2, acc_depth=256, winograd=6, out_depth=1024, gather=64
    )
    rule = broken_rule(Instruction(opcode, fields), config)
    assert (rule.text if rule else None) == text


@pytest.mark.parametrize("buffer", Buffer)
def test_nibbles_are_those_of_weights(buffer):
    config = small_config(functions=1, nibbles=1)
    rule = broken_rule(Instruction(Opcode.LOAD, {"buffer": buffer, "nibbles": 1}), config)
    assert (rule.text if rule else None) == (
        None if buffer is Buffer.WEIGHT else "nibbles takes weights"
    )
    assert broken_rule(Instruction(Opcode.LOAD, {"buffer": buffer}), config) is None


@pytest.mark.parametrize("most", [6, 28])
def test_the_patches_of_a_tile_are_the_product_of_its_counts(most):
    config = small_config(4, 4, acc_depth=36 * most, winograd=most)
    counts = (1, 2, 3, 5, 7, most, most + 1, 2 * most, 33, 64 + 2, 128 + 1)
    for n, s, r in product(counts, repeat=3):
        for patches in {n * s * r, n * s * r % 32, most, 1}:
            if patches < 256:
                tile = {"n_count": n, "s_count": s, "r_count": r, "patches": patches}
                rule = broken_rule(Instruction(Opcode.CONV, PATCHES | tile), config)
                legal = n * s * r == patches <= most
                assert (rule is None) == legal, tile


def test_words_have_the_size_of_their_buffer():
    assert [word_bytes(buffer, CONFIG) for buffer in Buffer] == [4, 4, 8, 8]
