"""The register map."""

import pytest

from systolith_hw.spec.registers import (
    ADDR_WIDTH,
    COUNTER_WIDTH,
    ENGINE_STATES,
    IDENTITY,
    REGISTERS,
    Engine,
    counter_name,
)


def test_registers_do_not_overlap_and_fit_the_port():
    words = [
        register.offset + bit // 8
        for register in REGISTERS.values()
        for bit in range(0, register.width, 32)
    ]
    assert len(set(words)) == len(words)
    assert max(words) + 4 <= 1 << ADDR_WIDTH


@pytest.mark.parametrize("name", REGISTERS)
def test_registers_are_aligned_and_explained(name):
    register = REGISTERS[name]
    assert register.name == name
    assert register.width in (32, 64)
    assert register.offset % (register.width // 8) == 0
    assert register.access in ("ro", "rw", "w1", "w1c")
    assert register.doc


def test_every_state_of_every_engine_has_a_counter():
    for engine, states in ENGINE_STATES.items():
        assert states[0] == "idle"
        assert len(set(states)) == len(states) <= 16
        for state in states:
            assert REGISTERS[counter_name(engine, state)].width >= COUNTER_WIDTH
    assert counter_name(Engine.COMPUTE, "wait_input") == "COMPUTE_WAIT_INPUT"


def test_the_identity_reads_as_text():
    assert IDENTITY.to_bytes(4, "little") == b"SYST"
