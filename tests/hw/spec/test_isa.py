"""Instructions: encoding, errors, and the walk that their steps describe."""

import hashlib
import re
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolith_hw.spec.isa import (
    FIELDS,
    INSTRUCTION_BYTES,
    OPCODE_WIDTH,
    Buffer,
    Instruction,
    Opcode,
    buffers_of,
    decode,
    walk_steps,
)
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import VERSION

SMALL = PRESETS["tiny"]
WITH_ALL = replace(
    SMALL, addr_width=48, acc_depth=144, winograd=4, functions=1, gather=64, nibbles=1
)

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=60)


@st.composite
def instructions(draw):
    opcode = draw(st.sampled_from(list(Opcode)))
    fields = {field.name: draw(st.integers(field.low, field.high)) for field in FIELDS[opcode]}
    return Instruction(opcode, fields)


@pytest.mark.requirement("ISA-1")
@PROPERTY
@given(instructions())
def test_decoding_undoes_encoding(instruction):
    data = instruction.encode()
    assert len(data) == INSTRUCTION_BYTES
    assert decode(data, WITH_ALL) == instruction


@pytest.mark.parametrize("opcode", [Opcode.CONV, Opcode.STORE])
def test_a_field_of_an_option_that_is_left_out_is_reserved(opcode):
    data = Instruction(opcode, {"winograd": 1}).encode()
    assert decode(data, WITH_ALL)["winograd"] == 1
    assert decode(data, SMALL) == Instruction(opcode, {})


def test_only_a_configuration_with_functions_has_tables():
    assert buffers_of(SMALL) == (Buffer.ACT, Buffer.WEIGHT, Buffer.PARAM)
    assert buffers_of(WITH_ALL) == buffers_of() == tuple(Buffer)
    load = Instruction(Opcode.LOAD, {"buffer": int(Buffer.TABLE)})
    assert decode(load.encode(), WITH_ALL) == load
    store = Instruction(Opcode.STORE, {"table": 1})
    assert decode(store.encode(), WITH_ALL) == store
    assert decode(store.encode(), SMALL) == Instruction(Opcode.STORE, {})


@pytest.mark.parametrize("opcode", Opcode)
def test_each_field_has_bits_of_its_own(opcode):
    defaults = Instruction(opcode, {})
    used = 0
    position = OPCODE_WIDTH
    for field in FIELDS[opcode]:
        mask = ((1 << field.width) - 1) << position
        bits = 0
        for value in (field.low, field.high, field.default):
            encoded = Instruction(opcode, {**defaults.fields, field.name: value}).encode()
            bits |= int.from_bytes(encoded, "little") ^ int.from_bytes(defaults.encode(), "little")
        assert bits
        assert bits & ~mask == 0
        assert not mask & used
        used |= mask
        position += field.width
    assert used.bit_length() <= 8 * INSTRUCTION_BYTES


def test_the_bits_of_instructions_change_with_the_version_only():
    text = str([(opcode.name, [(f.name, f.width) for f in FIELDS[opcode]]) for opcode in Opcode])
    found = hashlib.sha256(f"{OPCODE_WIDTH} {text}".encode()).hexdigest()[:16]
    assert (VERSION, found) == (1, "bf91b706a0e1978c"), (
        "hosts of this VERSION encode them otherwise"
    )


@pytest.mark.parametrize("opcode", Opcode)
def test_field_names_are_distinct_and_explained(opcode):
    names = [field.name for field in FIELDS[opcode]]
    assert len(set(names)) == len(names)
    assert all(field.doc for field in FIELDS[opcode])


def test_what_is_not_given_is_zero_or_the_least_legal_value():
    store = Instruction(Opcode.STORE, {"low": -5})
    assert (store["low"], store["high"], store["blocks"], store["runs"]) == (-5, 0, 1, 1)


@pytest.mark.parametrize("opcode", Opcode)
def test_defaults_are_legal(opcode):
    for field in FIELDS[opcode]:
        assert field.low <= field.default <= field.high
        natural_low = -(1 << (field.width - 1)) if field.signed else 0
        assert natural_low <= field.low <= field.high < natural_low + (1 << field.width)


@pytest.mark.parametrize(
    ("opcode", "fields", "message"),
    [
        (Opcode.LOAD, {"bank": 1}, "LOAD has no field 'bank'"),
        (Opcode.CONV, {"bank": 2}, "CONV bank must be between 0 and 1, not 2"),
        (Opcode.CONV, {"x_count": -1}, "CONV x_count must be between 1 and 65535, not -1"),
        (Opcode.CONV, {"c_count": 0}, "CONV c_count must be between 1 and 65535, not 0"),
        (Opcode.LOAD, {"buffer": 4}, "LOAD buffer must be between 0 and 3, not 4"),
        (Opcode.STORE, {"low": 128}, "STORE low must be between -128 and 127, not 128"),
        (
            Opcode.LOAD,
            {"addr": 1 << 48},
            f"LOAD addr must be between 0 and {2**48 - 1}, not {2**48}",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused(opcode, fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Instruction(opcode, fields)


def test_steps_wrap():
    conv = Instruction(Opcode.CONV, {"x_step": -3, "y_step": (1 << 24) + 5})
    assert (conv["x_step"], conv["y_step"]) == ((1 << 24) - 3, 5)


@pytest.mark.parametrize("number", [0, 4, 15])
def test_an_unknown_opcode_is_refused(number):
    with pytest.raises(ValueError, match=rf"^opcode must be one of \[1, 2, 3\], not {number}$"):
        decode(bytes([number]) + bytes(63), SMALL)


@pytest.mark.requirement("ISA-1")
def test_a_decoded_field_without_a_legal_value_is_refused():
    data = bytearray(Instruction(Opcode.LOAD, {}).encode())
    data[(OPCODE_WIDTH + 3 * 24) // 8] |= 0b11 << (OPCODE_WIDTH + 3 * 24) % 8  # the buffer
    with pytest.raises(ValueError, match=r"^LOAD buffer must be between 0 and 2, not 3$"):
        decode(bytes(data), SMALL)


@pytest.mark.parametrize("opcode", [Opcode.LOAD, Opcode.STORE])
@pytest.mark.parametrize("name", ["addr", "run_words", "run_pitch", "plane_pitch"])
def test_a_decoded_address_or_distance_beyond_memory_is_refused(opcode, name):
    data = Instruction(opcode, {name: 1 << 20}).encode()
    assert decode(data, replace(SMALL, addr_width=21))[name] == 1 << 20
    with pytest.raises(ValueError, match=rf"^{opcode.name} {name} must be below 2\*\*20$"):
        decode(data, replace(SMALL, addr_width=20))


@PROPERTY
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(-1000, 1000)), min_size=1, max_size=5),
    st.integers(0, 1000),
)
def test_steps_lead_along_the_nested_loops(levels, base):
    counts, strides = zip(*levels, strict=True)
    steps = walk_steps(counts, strides)
    # Outermost level first in `product`; levels are innermost first.
    places = list(product(*(range(count) for count in reversed(counts))))
    address = base
    for index, place in enumerate(places):
        literal = sum(i * stride for i, stride in zip(reversed(place), strides, strict=True))
        assert address == base + literal
        if index + 1 < len(places):
            following = places[index + 1]
            advanced = next(
                i for i, (a, b) in enumerate(zip(place, following, strict=True)) if a != b
            )
            address += steps[len(counts) - 1 - advanced]
