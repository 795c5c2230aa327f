"""Layouts of instructions: the specification's fields, as wide as what they may hold."""

import pytest
from amaranth.hdl import Shape

from systolith_hw.interface.layouts import (
    COUNTER_BITS,
    PROGRESS_LAYOUT,
    address_bits,
    instruction_layout,
    packed_instruction_layout,
)
from systolith_hw.spec.isa import COUNTERS, FIELDS, INSTRUCTION_BYTES, Opcode, fields_of
from systolith_sim.testing.configs import small_config


@pytest.mark.parametrize("opcode", FIELDS)
def test_an_instruction_in_memory_has_every_field_in_order(opcode):
    layout = instruction_layout(opcode)
    assert list(layout.members) == [field.name for field in FIELDS[opcode]]
    for field in FIELDS[opcode]:
        assert Shape.cast(layout[field.name].shape) == Shape(field.width, field.signed)


@pytest.mark.parametrize("addr_width", [16, 32, 48])
def test_external_fields_have_the_bits_that_an_address_needs(addr_width):
    config = small_config(addr_width=addr_width)
    for opcode in Opcode:
        layout = instruction_layout(opcode, config)
        for field in fields_of(opcode, config):
            assert layout[field.name].width == field.bits(addr_width)
    assert address_bits(config) == addr_width + 1
    assert instruction_layout(Opcode.LOAD, config)["addr"].width <= address_bits(config)


def test_fields_of_options_are_there_where_the_configuration_has_the_option():
    with_it = small_config(acc_depth=144, winograd=4, functions=1, gather=64, nibbles=1)
    for opcode in (Opcode.CONV, Opcode.STORE):
        assert "winograd" not in instruction_layout(opcode, small_config()).members
        assert list(instruction_layout(opcode, with_it).members) == [f.name for f in FIELDS[opcode]]


def test_a_packed_instruction_fills_its_bytes():
    layout = packed_instruction_layout()
    assert layout.size == INSTRUCTION_BYTES * 8
    assert max(instruction_layout(opcode).size for opcode in FIELDS) <= layout["fields"].width


def test_progress_has_a_counter_for_each_kind_of_work():
    assert tuple(PROGRESS_LAYOUT.members) == COUNTERS
    waits = [
        field
        for fields in FIELDS.values()
        for field in fields
        if field.name.removeprefix("after_").split("_")[0] in COUNTERS
    ]
    assert len(waits) > len(COUNTERS)
    assert {field.width for field in waits} == {COUNTER_BITS}
