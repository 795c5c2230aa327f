"""The driver against a scripted device: what it checks, and how it explains failures."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram
from systolith_host.runtime.driver import Driver
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    ENGINE_STATES,
    IDENTITY,
    REGISTERS,
    STATUS_BUSY,
    STATUS_DONE,
    STATUS_ERROR,
    VERSION,
    Engine,
    ErrorCode,
    counter_name,
)
from systolith_sim.emulator.device import Emulator

CONFIG = PRESETS["tiny"]
SIZE = 0x1_2345_0000
LAYER = LayerProgram("conv9", ("conv9",), "conv", "a", "b", 0x1_0000_0040, 12, 1, 1, 1, 1, 1)


class ScriptedDevice:
    """Registers that hold what they are given; the end of a program is scripted."""

    def __init__(self, end: dict[str, int] | None = None, *, resets: bool = True) -> None:
        self.words: dict[int, int] = {}
        self.end = {"STATUS": STATUS_DONE} if end is None else end
        self.resets = resets
        self.log: list[tuple[str, int]] = []
        self.put(ID=IDENTITY, VERSION=VERSION, FINGERPRINT=CONFIG.fingerprint)

    def put(self, **values: int) -> None:
        for name, value in values.items():
            register = REGISTERS[name]
            self.words[register.offset] = value & 0xFFFFFFFF
            if register.width == 64:
                self.words[register.offset + 4] = value >> 32

    def get(self, name: str) -> int:
        offset = REGISTERS[name].offset
        high = self.words.get(offset + 4, 0) if REGISTERS[name].width == 64 else 0
        return self.words.get(offset, 0) | high << 32

    def write_memory(self, address: int, data: np.ndarray) -> None: ...

    def read_memory(self, address: int, size: int) -> np.ndarray:
        return np.zeros(size, np.uint8)

    def write_register(self, offset: int, value: int) -> None:
        name = next((n for n, r in REGISTERS.items() if r.offset == offset), "high")
        self.log.append((name, value))
        if name == "CONTROL" and value & CONTROL_RESET:
            if self.resets:
                self.put(STATUS=0)
        elif name == "CONTROL" and value & CONTROL_START:
            self.put(STATUS=STATUS_BUSY)
        else:
            self.words[offset] = value

    def read_register(self, offset: int) -> int:
        return self.words.get(offset, 0)

    def wait_interrupt(self, limit: int, progress: Callable[[int], None] | None = None) -> bool:
        if progress is not None:
            progress(limit // 2)
        self.put(**self.end)
        return bool(self.end)


def driver(device: ScriptedDevice) -> Driver:
    return Driver(device, CONFIG, SIZE, watchdog=777)


def refusal(end: dict[str, int], **kwargs: bool) -> tuple[str, ScriptedDevice]:
    device = ScriptedDevice(end, **kwargs)
    ready = driver(ScriptedDevice())
    ready.device = device
    with pytest.raises(SystolithError) as caught:
        ready.run_layer(LAYER, 5000)
    return str(caught.value), device


def states(**waits: str) -> int:
    return sum(
        ENGINE_STATES[Engine[name]].index(state) << 4 * Engine[name]
        for name, state in waits.items()
    )


def test_set_up_gives_window_watchdog_and_interrupt():
    device = ScriptedDevice()
    driver(device)
    assert device.log[0] == ("CONTROL", CONTROL_RESET)
    wanted = {"WINDOW_BASE": 0, "WINDOW_END": SIZE, "WATCHDOG": 777, "IRQ_ENABLE": 1}
    assert {name: device.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("lost", ["PROGRAM_ADDR", "PROGRAM_COUNT"])
def test_a_lost_write_is_seen_before_the_program_starts(lost):
    device = ScriptedDevice()
    ready = driver(device)
    write = device.write_register

    def lossy(offset: int, value: int) -> None:
        if offset != REGISTERS[lost].offset:
            write(offset, value)

    device.write_register = lossy
    with pytest.raises(SystolithError, match=rf"^{lost} holds 0x\w+, not the 0x\w+ that was wri"):
        ready.run_layer(LAYER, 5000)
    assert ("CONTROL", CONTROL_START) not in device.log


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ID": 5}, r"^this is not a Systolith accelerator \(ID 0x00000005, not 0x[0-9a-f]{8}\)$"),
        (
            {"VERSION": 99},
            rf"^the accelerator has register version 99, this program needs {VERSION};",
        ),
        (
            {"FINGERPRINT": 3 << 40},
            r"^the accelerator was built for another configuration \(fingerprint "
            rf"0x0000030000000000, the program needs {CONFIG.fingerprint:#018x}, tiny\)$",
        ),
    ],
)
def test_wrong_device_is_refused(values: dict[str, int], message: str):
    device = ScriptedDevice()
    device.put(**values)
    with pytest.raises(SystolithError, match=message):
        driver(device)


def test_device_that_stays_busy_is_refused():
    device = ScriptedDevice(resets=False)
    device.put(STATUS=STATUS_BUSY)
    with pytest.raises(SystolithError, match=r"^the accelerator stays busy after a reset$"):
        driver(device)


def test_layer_is_started_and_its_counters_are_read():
    end = {"STATUS": STATUS_DONE, "CYCLES": 1 << 33 | 5, "BYTES_READ": 640, "BYTES_WRITTEN": 64}
    number = 0
    for engine, names in ENGINE_STATES.items():
        for state in names:
            number += 1
            end[counter_name(engine, state)] = number << 30
    device = ScriptedDevice(end)
    seen: list[int] = []
    counters = driver(device).run_layer(LAYER, 5000, seen.append)
    assert device.get("PROGRAM_ADDR") == LAYER.instruction_address
    assert device.get("PROGRAM_COUNT") == LAYER.instruction_count
    assert ("CONTROL", CONTROL_START) in device.log
    assert device.log[-1] == ("IRQ_PENDING", 1)
    assert seen == [2500]
    assert (counters.cycles, counters.bytes_read, counters.bytes_written) == (1 << 33 | 5, 640, 64)
    values = [cycles for engine in counters.states.values() for cycles in engine.values()]
    assert values == [count << 30 for count in range(1, number + 1)]
    assert list(counters.states) == ["LOAD", "COMPUTE", "STORE"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"ERROR_CODE": ErrorCode.ILLEGAL, "ERROR_ENGINE": Engine.FETCH, "ERROR_INFO": 7},
            "FETCH: instruction 7 is illegal; the program is damaged",
        ),
        (
            {"ERROR_CODE": ErrorCode.ADDRESS, "ERROR_ENGINE": Engine.LOAD, "ERROR_INFO": 9 << 32},
            f"LOAD: address {9 << 32:#x} is outside of the program's memory (0x0 to {SIZE:#x})",
        ),
        (
            {"ERROR_CODE": ErrorCode.BUS, "ERROR_ENGINE": Engine.STORE},
            "STORE: the memory answered with a bus error",
        ),
        (
            {"ERROR_CODE": ErrorCode.BUFFER, "ERROR_ENGINE": Engine.LOAD, "ERROR_INFO": 4096},
            "LOAD: word 4096 is beyond the end of its buffer",
        ),
        (
            {"ERROR_CODE": ErrorCode.COUNT, "ERROR_ENGINE": Engine.STORE, "ERROR_INFO": 2},
            "STORE number 2 of the program (from 0) has a region of another size than its tile",
        ),
        (
            {"ERROR_CODE": ErrorCode.PROTOCOL, "ERROR_ENGINE": Engine.LOAD},
            "LOAD: the memory broke the AXI protocol",
        ),
        (
            {"ERROR_CODE": ErrorCode.LEFTOVER, "ERROR_ENGINE": Engine.STORE},
            "STORE: something was left over when the program began or ended",
        ),
        ({"ERROR_CODE": 99, "ERROR_ENGINE": 9, "ERROR_INFO": 1}, "engine 9: unknown error 99"),
    ],
)
def test_errors_are_put_into_words(values: dict[str, int], text: str):
    message, device = refusal({"STATUS": STATUS_ERROR, **values})
    assert message.startswith(f"conv9: {text}")
    assert "\n" not in message
    assert ("CONTROL", CONTROL_RESET) in device.log


def test_watchdog_says_who_waits_for_what():
    message, _ = refusal(
        {
            "STATUS": STATUS_ERROR,
            "ERROR_CODE": ErrorCode.WATCHDOG,
            "ENGINE_STATE": states(LOAD="wait_store", COMPUTE="wait_weights", STORE="wait_params"),
            "FETCHED": 10,
            "LOADED": 4,
            "COMPUTED": 3,
            "DRAINED": 2,
            "STORED": 1,
        }
    )
    assert message == (
        "conv9: no progress for 777 cycles: 10 instructions fetched, LOAD waits for STORE "
        "(4 loaded), COMPUTE waits for weights from LOAD (3 computed), STORE waits for parameters "
        "from LOAD (2 drained, 1 stored)"
    )


def test_missing_interrupt_ends_in_a_time_out():
    message, device = refusal({})
    assert re.match(
        r"^conv9: no interrupt within 5000 cycles: 0 of 12 instructions fetched", message
    )
    assert ("CONTROL", CONTROL_RESET) in device.log


def test_device_that_does_not_reset_is_reported():
    message, _ = refusal({"STATUS": STATUS_ERROR | STATUS_BUSY, "ERROR_CODE": 3}, resets=False)
    assert message.endswith("; it does not reset either")


@pytest.mark.parametrize("addr_width", [16, 32, 48])
def test_the_window_can_be_all_that_can_be_addressed(addr_width):
    config = replace(CONFIG, addr_width=addr_width)
    device = Emulator(config, 64)
    Driver(device, config, 1 << addr_width)
    halves = (device.read_register(REGISTERS["WINDOW_END"].offset + half) for half in (0, 4))
    assert sum(half << 32 * index for index, half in enumerate(halves)) == 1 << addr_width
