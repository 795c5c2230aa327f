"""The judge of programs that may be faulty: the emulator's end passes, and nothing else."""

import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.lab.faults.judge import Ended, FaultError, judge_program
from systolith_host.lab.faults.programs import WINDOW, emulate, random_layers
from systolith_hw.spec.registers import STATUS_BUSY, STATUS_DONE, STATUS_ERROR, Engine, ErrorCode
from systolith_sim.faults.bench import Outcome
from systolith_sim.testing.configs import small_config

CONFIG = small_config(4, 2, act_depth=512, param_depth=32)
DONE = Outcome(STATUS_DONE, ErrorCode.NONE, Engine.FETCH, 0)


@pytest.fixture(scope="module")
def layer():
    return random_layers(random.Random(3), CONFIG, 1)[0]


@pytest.fixture(scope="module")
def illegal(layer):
    """Return the memory of the layer with an instruction that is none, and how that must end."""
    memory = layer.before.copy()
    memory[layer.place(2)] = 0xFF
    wanted = emulate(CONFIG, layer, memory)
    assert (wanted.code, wanted.engine, wanted.info) == (ErrorCode.ILLEGAL, Engine.FETCH, 2)
    return memory, Outcome(STATUS_ERROR, wanted.code, wanted.engine, wanted.info)


def test_the_right_end_has_the_emulators_name(layer, illegal):
    ended = Ended(True, DONE, layer.after)
    assert judge_program(CONFIG, layer, layer.before, ended, "a run") == "NONE"
    memory, outcome = illegal
    assert judge_program(CONFIG, layer, memory, Ended(True, outcome, memory), "it") == "ILLEGAL"


def touched(memory, place):
    memory = memory.copy()
    memory[place] ^= 1
    return memory


@pytest.mark.parametrize(
    ("kind", "interrupt", "outcome", "place"),
    [
        ("hang", False, replace(DONE, status=STATUS_BUSY), None),
        ("rule", True, DONE, WINDOW),
        ("silent", True, DONE, WINDOW - 1),
        ("report", True, Outcome(STATUS_ERROR, ErrorCode.BUS, Engine.LOAD, 0), None),
        ("report", True, Outcome(STATUS_ERROR, ErrorCode.WATCHDOG, Engine.FETCH, 0), None),
        ("report", True, Outcome(STATUS_ERROR, ErrorCode.LEFTOVER, Engine.STORE, 0), None),
    ],
)
def test_another_end_of_a_correct_program_is_told(kind, interrupt, outcome, place, layer):
    memory = layer.after if place is None else touched(layer.after, place)
    with pytest.raises(FaultError) as told:
        judge_program(CONFIG, layer, layer.before, Ended(interrupt, outcome, memory), "a run")
    assert told.value.kind == kind


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("silent", {"status": STATUS_DONE, "code": ErrorCode.NONE, "info": 0}),
        ("report", {"info": 3}),
        ("report", {"engine": Engine.LOAD}),
        ("report", {"code": ErrorCode.WATCHDOG}),
    ],
)
def test_another_end_of_a_faulty_program_is_told(kind, change, layer, illegal):
    memory, outcome = illegal
    ended = Ended(True, replace(outcome, **change), memory)
    with pytest.raises(FaultError) as told:
        judge_program(CONFIG, layer, memory, ended, "a run")
    assert told.value.kind == kind


def test_a_window_that_is_too_small_is_left_by_any_engine_first(layer):
    window = (0, layer.address + 64)

    def judged(info, code=ErrorCode.ADDRESS):
        ended = Ended(True, Outcome(STATUS_ERROR, code, Engine.LOAD, info), layer.before)
        return judge_program(CONFIG, layer, layer.before, ended, "a run", window=window)

    assert judged(window[1]) == "ADDRESS"
    for info, code in ((0, ErrorCode.ADDRESS), (window[1], ErrorCode.BUS)):
        with pytest.raises(FaultError, match=r"^report: "):
            judged(info, code)


def test_a_result_that_depends_on_what_a_buffer_held_is_not_compared(layer):
    memory = layer.before.copy()
    first = layer.place(0)
    # The first LOAD once more in place of the second: what that one fetched is missing.
    memory[first + 64 : first + 128] = memory[first : first + 64]
    ended = Ended(True, DONE, np.zeros_like(memory))
    ended.memory[WINDOW:] = memory[WINDOW:]
    assert judge_program(CONFIG, layer, memory, ended, "a run") == "undefined"
