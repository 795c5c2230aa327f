"""A cocotb campaign: resets in any cycle of a run, and a bit-exact run after each."""

import json
import os
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.task import bridge, resume
from cocotb.triggers import RisingEdge, Timer

from systolith_hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    REGISTERS,
    STATUS_BUSY,
    STATUS_DONE,
)
from systolith_sim.rtl.cocotb_device import CLOCK_NS, CocotbDevice

__all__ = ["FOLDER_VARIABLE", "WAYS", "Outcome", "ResetJob", "run_resets"]

FOLDER_VARIABLE = "SYSTOLITH_RESETS"
"""Environment variable of the simulator: folder with ``job.json``, the memories, and the image."""

WAYS = ("engines", "engines_at_once", "engines_twice", "engines_and_start", "hardware")
"""Methods of a reset: by values written to CONTROL, or by the reset of the clock domain.

After "engines_at_once" the same program is started again and again, so that it starts in the first
cycle in which it can; after the others any program starts once STATUS says that it may.
"""

LIMIT = 200_000
"""Cycles of a run, and of a reset; no tiny program comes near."""

IDLE_POLLS = 2000


@dataclass(frozen=True)
class ResetJob:
    """The work of a campaign.

    Parameters
    ----------
    cases : int
        Resets.
    seed : int
    programs : tuple of (int, int, int)
        Address, instructions and predicted cycles of each program. ``memories.npy`` holds for each
        the memory before the run that is reset, before that which follows, and after that one:
        uint8 of shape (programs, 3, bytes).
    """

    cases: int
    seed: int
    programs: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Outcome:
    """The result of a case: its parameters, the cycle of its reset, and the problem, or ""."""

    case: int
    way: str
    program: int
    cycle: int
    following: int
    problem: str


@cocotb.test(timeout_time=10, timeout_unit="sec")
async def run_resets(dut: Any) -> None:
    """Run the cases of the job that the environment names; results go to ``outcomes.json``."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    fields = json.loads((folder / "job.json").read_text())
    device = CocotbDevice(dut, folder / "image")
    await device.start()
    campaign = _Campaign(device, ResetJob(**fields), np.load(folder / "memories.npy"))
    outcomes = await bridge(campaign.run)()
    (folder / "outcomes.json").write_text(json.dumps([asdict(outcome) for outcome in outcomes]))


class _Campaign:
    def __init__(self, device: CocotbDevice, job: ResetJob, memories: np.ndarray) -> None:
        self.device = device
        self.job = job
        self.memories = memories
        self.random = random.Random(job.seed)

    def run(self) -> list[Outcome]:
        self._set_up()
        return [self._run_case(number) for number in range(self.job.cases)]

    def _run_case(self, number: int) -> Outcome:
        rng, programs = self.random, self.job.programs
        way = rng.choice(WAYS)
        program = following = rng.randrange(len(programs))
        if way != "engines_at_once":
            following = rng.randrange(len(programs))
        cycle = rng.randrange(programs[program][2] * 5 // 4 + 50)
        self._prepare(program, 0)
        self._write("CONTROL", CONTROL_START)
        self._wait(cycle)
        problem = getattr(self, f"_reset_by_{way}")(following)
        if not problem:
            problem = self._judge(following)
        if problem:  # the next case begins anew
            _reset_hardware(self.device.dut, 300)
            self._set_up()
        return Outcome(number, way, program, cycle, following, problem)

    # Methods of a reset. Each leaves the following program running, or returns why it cannot.

    def _reset_by_engines(self, following: int) -> str:
        self._write("CONTROL", CONTROL_RESET)
        return self._start_when_idle(following)

    def _reset_by_engines_and_start(self, following: int) -> str:
        self._write("CONTROL", CONTROL_RESET | CONTROL_START)
        return self._start_when_idle(following)

    def _reset_by_engines_twice(self, following: int) -> str:
        self._write("CONTROL", CONTROL_RESET)
        self._wait(self.random.randrange(300))
        self._write("CONTROL", CONTROL_RESET)
        return self._start_when_idle(following)

    def _reset_by_engines_at_once(self, following: int) -> str:
        begun = self._read("FETCHED")
        self._write("CONTROL", CONTROL_RESET)
        if not begun:
            # The reset may wait for the first instruction, which counts as fetched when it comes:
            # it would look as if the program ran again.
            return self._start_when_idle(following)
        # Writes still on their way to the memory go to places that the following run writes, too.
        self._fill(following, 1)
        cleared = False
        for _ in range(IDLE_POLLS):
            self._write("CONTROL", CONTROL_START)
            self._write("CONTROL", CONTROL_START)
            fetched = self._read("FETCHED")
            if cleared and fetched:
                return ""
            cleared |= not fetched
        return "it does not start after a reset"

    def _reset_by_hardware(self, following: int) -> str:
        _reset_hardware(self.device.dut, self.random.randint(1, 3))
        self._set_up()
        return self._start_when_idle(following)

    def _start_when_idle(self, following: int) -> str:
        for _ in range(IDLE_POLLS):
            if not self._read("STATUS") & STATUS_BUSY:
                self._prepare(following, 1)
                self._write("CONTROL", CONTROL_START)
                return ""
        return "it stays busy after a reset"

    def _judge(self, program: int) -> str:
        """Return the fault of the current run, or nothing."""
        if not self.device.wait_interrupt(LIMIT):
            names = ("STATUS", "FETCHED", "ENGINE_STATE")
            return "no interrupt; " + ", ".join(f"{name} {self._read(name):#x}" for name in names)
        status = self._read("STATUS")
        if status != STATUS_DONE:
            code, info = self._read("ERROR_CODE"), self._read("ERROR_INFO")
            return f"STATUS {status:#x}, ERROR_CODE {code}, ERROR_INFO {info:#x}"
        expected = self.memories[program, 2]
        wrong = np.flatnonzero(self.device.read_memory(0, expected.size) != expected)
        if wrong.size:
            return f"{wrong.size} bytes differ, the first at {wrong[0]:#x}"
        if self.device.violations:
            return "the accelerator has broken the AXI4 protocol"
        return ""

    # Registers and memory.

    def _set_up(self) -> None:
        self._write("WINDOW_END", self.memories.shape[2])
        self._write("WATCHDOG", 20_000)
        self._write("IRQ_ENABLE", 1)

    def _prepare(self, program: int, state: int) -> None:
        address, count, _ = self.job.programs[program]
        self._fill(program, state)
        self._write("PROGRAM_ADDR", address)
        self._write("PROGRAM_COUNT", count)
        self._write("IRQ_PENDING", 1)

    def _fill(self, program: int, state: int) -> None:
        self.device.write_memory(0, self.memories[program, state])

    def _write(self, name: str, value: int) -> None:
        self.device.write_register(REGISTERS[name].offset, value)

    def _read(self, name: str) -> int:
        return self.device.read_register(REGISTERS[name].offset)

    def _wait(self, cycles: int) -> None:
        if cycles:
            _pass_cycles(self.device.dut, cycles)


@resume
async def _pass_cycles(dut: Any, cycles: int) -> None:
    dut.bench_waits.value = 1
    await Timer(cycles * CLOCK_NS, unit="ns")
    dut.bench_waits.value = 0


@resume
async def _reset_hardware(dut: Any, cycles: int) -> None:
    await RisingEdge(dut.clk)
    dut.rst.value = 1
    for _ in range(cycles):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
