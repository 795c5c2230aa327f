"""Cocotb module: runs programs, some of them faulty, one after the other on one accelerator.

RUNS_VARIABLE names a NumPy file with the content of :class:`Runs`; the answers go to another file
next to it. After each failed run the accelerator is reset as a driver does it.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.task import bridge

from systolith_hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    REGISTERS,
    STATUS_BUSY,
    STATUS_ERROR,
)
from systolith_sim.rtl.cocotb_device import CocotbDevice

__all__ = ["IMAGE_VARIABLE", "RUNS_VARIABLE", "Answers", "Runs"]

RUNS_VARIABLE = "SYSTOLITH_RUNS"
IMAGE_VARIABLE = "SYSTOLITH_IMAGE"

RESET_POLLS = 1500
"""Reads of STATUS within which a reset must have ended."""


@dataclass(frozen=True)
class Runs:
    """The runs; the arrays have one entry per run.

    Parameters
    ----------
    memory : ndarray of uint8, shape (images, size)
        Contents of external memory.
    image : ndarray of int
        Which of them a run begins with.
    address, count : ndarray of int
        Of its program.
    patch_at : ndarray of int
        Where its memory is changed first.
    patch : ndarray of uint8, shape (runs, n)
        To what.
    breach, breach_at : ndarray of int
        See axi_memory.v.
    window_base, window_end : ndarray of int
        Of the addresses that it may touch.
    watchdog, limit : ndarray of int
        Cycles after which the accelerator, or the bench, gives up.
    """

    memory: np.ndarray
    image: np.ndarray
    address: np.ndarray
    count: np.ndarray
    patch_at: np.ndarray
    patch: np.ndarray
    breach: np.ndarray
    breach_at: np.ndarray
    window_base: np.ndarray
    window_end: np.ndarray
    watchdog: np.ndarray
    limit: np.ndarray

    def save(self, path: Path) -> None:
        """Write the file that the simulation reads."""
        np.savez(path, **asdict(self))

    def start_memory(self, number: int) -> np.ndarray:
        """Return the memory that a run begins with."""
        memory = self.memory[self.image[number]].copy()
        place = int(self.patch_at[number])
        memory[place : place + self.patch.shape[1]] = self.patch[number]
        return memory


@dataclass(frozen=True)
class Answers:
    """The result of each run.

    Parameters
    ----------
    interrupt : ndarray of bool
    status, code, engine, info : ndarray of int
        Registers, read after the run.
    reset : ndarray of bool
        Whether the accelerator was idle after the reset; True where there was none.
    memory : ndarray of uint8, shape (runs, size)
        After the run.
    violations : ndarray of int
        Breaches of the accelerator that the memory had counted by then.
    """

    interrupt: np.ndarray
    status: np.ndarray
    code: np.ndarray
    engine: np.ndarray
    info: np.ndarray
    reset: np.ndarray
    memory: np.ndarray
    violations: np.ndarray

    @classmethod
    def load(cls, path: Path) -> "Answers":
        """Read what the simulation wrote."""
        with np.load(path) as stored:
            return cls(**stored)


@cocotb.test()
async def run_programs(dut: Any) -> None:
    """Run them all."""
    path = Path(os.environ[RUNS_VARIABLE])
    with np.load(path) as stored:
        runs = Runs(**stored)
    device = CocotbDevice(dut, Path(os.environ[IMAGE_VARIABLE]))
    await device.start()
    answers = await bridge(_run_all)(device, runs)
    np.savez(path.with_suffix(".answers.npz"), **asdict(answers))


def _read(device: CocotbDevice, name: str) -> int:
    register = REGISTERS[name]
    value = device.read_register(register.offset)
    if register.width == 64:
        value |= device.read_register(register.offset + 4) << 32
    return value


def _write(device: CocotbDevice, name: str, value: int) -> None:
    register = REGISTERS[name]
    device.write_register(register.offset, value & 0xFFFFFFFF)
    if register.width == 64:
        device.write_register(register.offset + 4, value >> 32)


def _run_all(device: CocotbDevice, runs: Runs) -> Answers:
    size = runs.memory.shape[1]
    _write(device, "IRQ_ENABLE", 1)
    names = ("interrupt", "status", "code", "engine", "info", "reset", "memory", "violations")
    answers: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(len(runs.image)):
        device.write_memory(0, runs.start_memory(number))
        _write(device, "WINDOW_BASE", int(runs.window_base[number]))
        _write(device, "WINDOW_END", int(runs.window_end[number]))
        _write(device, "WATCHDOG", int(runs.watchdog[number]))
        _write(device, "PROGRAM_ADDR", int(runs.address[number]))
        _write(device, "PROGRAM_COUNT", int(runs.count[number]))
        if runs.breach[number]:
            device.break_memory(int(runs.breach[number]), int(runs.breach_at[number]))
        _write(device, "CONTROL", CONTROL_START)
        answers["interrupt"].append(device.wait_interrupt(int(runs.limit[number])))
        answers["status"].append(_read(device, "STATUS"))
        answers["code"].append(_read(device, "ERROR_CODE"))
        answers["engine"].append(_read(device, "ERROR_ENGINE"))
        answers["info"].append(_read(device, "ERROR_INFO"))
        answers["violations"].append(device.violations)
        if runs.breach[number]:
            device.break_memory(0)
        idle = True
        if not answers["interrupt"][-1] or answers["status"][-1] & STATUS_ERROR:
            _write(device, "CONTROL", CONTROL_RESET)
            idle = any(not _read(device, "STATUS") & STATUS_BUSY for _ in range(RESET_POLLS))
        answers["reset"].append(idle)
        # After a reset nothing is outstanding.
        answers["memory"].append(device.read_memory(0, size))
        _write(device, "IRQ_PENDING", 1)
    return Answers(**{name: np.array(values) for name, values in answers.items()})
