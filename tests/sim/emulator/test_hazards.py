"""Races between engines that run side by side, found from the counters alone."""

import numpy as np
import pytest

from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.presets import PRESETS
from systolith_sim.emulator.access import Access
from systolith_sim.emulator.hazards import HazardChecker, HazardError


def words(*numbers):
    return np.array(numbers)


def region(low, high):
    return np.array([[low, high]])


def load(name, *numbers, memory=(0, 8), **after):
    buffer = {"act": Buffer.ACT, "weight": Buffer.WEIGHT, "param": Buffer.PARAM}[name]
    shape = {"rows": 1, "pixels": 1} if name == "act" else {}
    fields = {"buffer": buffer, "run_words": 1, "runs": 1, "planes": 1, **shape}
    access = Access(writes={name: words(*numbers)}, regions=region(*memory))
    return Instruction(Opcode.LOAD, {**fields, **after}), access


def conv(*numbers, bank=0, **after):
    levels = dict.fromkeys([f"{level}_count" for level in "xynsrc"], 1)
    access = Access(reads={"act": words(*numbers)})
    return Instruction(Opcode.CONV, {**levels, "bank": bank, **after}), access


def store(bank=0, memory=(100, 108), **after):
    levels = {f"{level}_count": 1 for level in ("dx", "dy", "x", "y", "n")}
    fields = {**levels, "run_words": 1, "runs": 1, "planes": 1, "blocks": 1, "bank": bank}
    return Instruction(Opcode.STORE, {**fields, **after}), Access(regions=region(*memory))


def check(*program):
    checker = HazardChecker(PRESETS["tiny"])
    for number, (instruction, access) in enumerate(program):
        checker.check(number, instruction, access)


def test_a_program_that_waits_for_all_passes():
    check(
        load("act", 0, 1),
        conv(0, 1, after_loaded_act=1),
        store(after_computed=1),
        load("act", 1, after_computed=1),
        conv(1, after_loaded_act=2, after_drained=1),
        store(memory=(108, 116), after_computed=2),
    )


@pytest.mark.parametrize("bank", [0, 1])
def test_banks_that_no_instruction_of_the_program_has_used_wait_for_nothing(bank):
    check(store(bank))
    check(load("act", 0), conv(0, bank=bank, after_loaded_act=1))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ([conv(3)], r"instruction 0 \(CONV 0\) reads act words that this program never loaded"),
        ([load("act", 0), conv(0)], r"CONV 0\) reads act words that LOAD 0 may still write"),
        (
            [load("act", 0), conv(0, after_loaded_act=1), load("act", 0)],
            r"instruction 2 \(LOAD 1\) overwrites act words that CONV 0 may still read",
        ),
        (
            [load("act", 0), conv(0, after_loaded_act=1), store()],
            r"STORE 0\) drains bank 0, which CONV 0 may fill",
        ),
        (
            [
                load("act", 0),
                conv(0, after_loaded_act=1),
                store(after_computed=1),
                conv(0, after_loaded_act=1),
            ],
            r"CONV 1\) uses bank 0, which STORE 0 may drain",
        ),
        (
            [
                load("act", 0),
                conv(0, after_loaded_act=1),
                store(after_computed=1),
                load("act", 1, memory=(104, 112)),
            ],
            r"LOAD 1\) reads memory that STORE 0 may still write",
        ),
        (
            [
                load("act", 0),
                conv(0, after_loaded_act=1),
                load("act", 1, memory=(104, 112)),
                store(after_computed=1),
            ],
            r"STORE 0\) writes memory that LOAD 1 may still read",
        ),
    ],
)
def test_a_race_is_named(program, message):
    with pytest.raises(HazardError, match=message):
        check(*program)


def test_parameters_of_patches_are_read_until_they_are_stored():
    def program(winograd, **after):
        reading = store(after_computed=1, after_loaded=2, winograd=winograd)
        reading[1].reads["param"] = words(0)
        return (
            *(load("act", 0), load("param", 0), conv(0, after_loaded_act=1)),
            *(reading, load("param", 0, **after)),
        )

    check(*program(0, after_drained=1))
    check(*program(1, after_stored=1))
    with pytest.raises(
        HazardError, match=r"LOAD 2\) overwrites param words that STORE 0 may still"
    ):
        check(*program(1, after_drained=1))


def test_an_acknowledged_store_has_drained_and_all_before_it_has_happened():
    # after_stored alone says that CONV 0 has ended, and the LOAD before it.
    check(
        load("act", 0),
        conv(0, after_loaded_act=1),
        store(after_computed=1),
        load("act", 0, memory=(100, 108), after_stored=1),
    )


def test_ranges_of_memory_that_only_meet_do_not_race():
    check(
        load("act", 0),
        conv(0, after_loaded_act=1),
        store(after_computed=1),
        load("act", 1, memory=(108, 116)),
    )
