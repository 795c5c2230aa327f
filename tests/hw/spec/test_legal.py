"""Rules of a configuration for instructions, on integers; test_fetch.py has them in gateware."""

import pytest

from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.legal import broken_rule, rules, word_bytes
from systolith_sim.testing.configs import small_config

CONFIG = small_config(8, 4, bus_bytes=16, post_lanes=2, out_depth=1024)


def test_defaults_are_legal_for_every_opcode():
    for opcode in Opcode:
        assert broken_rule(Instruction(opcode, {}), CONFIG) is None
    assert rules(Opcode.CONV, CONFIG) == []


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


def test_words_have_the_size_of_their_buffer():
    assert [word_bytes(buffer, CONFIG) for buffer in Buffer] == [4, 4, 8]
