"""Retired instructions of RTL and emulator in lock step: the first that wrote something else.

The RTL records all that it writes to its buffers, sums and external memory. The emulator then runs
the program, and behind each of its instructions both must hold the same where that instruction
wrote.
"""

import json
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.case import Case, Verdict, run_case
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.backend import Backend, Observer
from systolith_host.runtime.driver import Driver
from systolith_hw.spec.isa import Instruction, Opcode
from systolith_sim.emulator.access import Access, Written
from systolith_sim.emulator.device import Emulator, EmulatorError
from systolith_sim.rtl.writes import WriteLog, programs_in

__all__ = ["RETIRED", "LockStep", "Retired", "lock_step", "retire_case"]

RETIRED = "retired.jsonl"
"""The file of a case with its instructions."""


@dataclass(frozen=True)
class Retired:
    """An instruction that is finished, and what stands where it wrote.

    Parameters
    ----------
    layer : str
    number : int
        Of the instruction among those of its layer, from 0.
    opcode : Opcode
    store : str
        What it wrote to: "act", "weight", "param", "table", "acc0", "acc1" or "memory".
    first, words : int
        First word, or address of external memory, and number of words, or bytes.
    emulator, rtl : int
        CRC-32 of the contents as int64, little endian, word by word; -1 for an RTL that wrote too
        little, or elsewhere.
    """

    layer: str
    number: int
    opcode: Opcode
    store: str
    first: int
    words: int
    emulator: int
    rtl: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**vars(self), "opcode": self.opcode.name}


@dataclass(frozen=True)
class LockStep:
    """All instructions up to the first that differs.

    Parameters
    ----------
    retired : tuple of Retired
    difference : str
        The first difference in words; empty if there is none.
    """

    retired: tuple[Retired, ...]
    difference: str

    def save(self, path: Path) -> None:
        """Write the instructions as JSON lines.

        Raises
        ------
        SystolithError
            If the file cannot be written.
        """
        lines = [json.dumps(one.to_dict()) + "\n" for one in self.retired]
        try:
            path.write_text("".join(lines))
        except OSError as error:
            raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None


class _DifferenceError(Exception):
    """Ends the emulator's run."""


def lock_step(program: Program, memory: np.ndarray, writes: Path) -> LockStep:
    """Run a program on the emulator, and compare instruction by instruction with the RTL's run.

    Parameters
    ----------
    program : Program
    memory : ndarray of uint8
        External memory before the run.
    writes : Path
        What the RTL wrote, as :func:`~systolith_host.runtime.rtl.simulate.simulate` records it, up
        to its end or its failure.

    Raises
    ------
    SystolithError
        If there is no such record, or the program is damaged.
    """
    try:
        lines = writes.read_text().splitlines()
    except OSError as error:
        raise SystolithError(f"{writes}: cannot be read: {error.strerror}") from None
    logs = [WriteLog(program.config, each) for each in programs_in(lines)]
    logs += [WriteLog(program.config, [])] * (len(program.layers) - len(logs))
    return _Follower(program, memory).follow(program.layers, logs)


def retire_case(
    case: Case,
    backend: Backend,
    observer: Observer,
    rerun: Callable[[Case, Backend, Observer], Verdict] = run_case,
) -> tuple[Verdict, LockStep]:
    """Run a case in the RTL, and follow its instructions.

    Parameters
    ----------
    backend : Backend
        That of the RTL.
    rerun : callable
        Runs the case, as :func:`~systolith_host.flow.case.run_case`.

    Raises
    ------
    SystolithError
        As :func:`~systolith_host.flow.case.run_case`; if the back end shows no signals.
    """
    from systolith_host.runtime.rtl.backend import RtlBackend

    if not isinstance(backend, RtlBackend):
        raise SystolithError("--retired needs --device rtl: no other device shows what it writes")
    with tempfile.TemporaryDirectory(prefix="systolith-writes-") as folder:
        writes = Path(folder) / "writes"
        verdict = rerun(case, replace(backend, writes=writes), observer)
        observer.stage("retired instructions")
        memory = case.program.memory_image(case.inputs)
        return verdict, lock_step(case.program, memory, writes)


class _Follower:
    """Runs the emulator beside the record of the RTL."""

    def __init__(self, program: Program, memory: np.ndarray) -> None:
        self._network = program.network
        self._retired: list[Retired] = []
        self._emulator = Emulator(program.config, memory.copy(), retired=self._compare)
        self._driver = Driver(self._emulator, program.config, program.memory_size)

    def follow(self, layers: Sequence[LayerProgram], logs: Sequence[WriteLog]) -> LockStep:
        """Compare all instructions of layers with the records of their programs."""
        try:
            for self._layer, self._log in zip(layers, logs, strict=True):
                self._driver.run_layer(self._layer, limit_cycles=1)
                for store, count in self._log.left_over().items():
                    raise _DifferenceError(
                        f"{self._layer.name}: the RTL wrote {count} words more to {store} than all "
                        "instructions"
                    )
        except _DifferenceError as found:
            return LockStep(tuple(self._retired), str(found))
        except EmulatorError as error:
            raise SystolithError(f"{self._network}: the program is damaged: {error}") from None
        return LockStep(tuple(self._retired), "")

    def _compare(self, number: int, instruction: Instruction, access: Access) -> None:
        written = access.wrote
        wanted, found = self._emulator.contents(written), self._log.take(written)
        self._retired.append(
            Retired(
                self._layer.name,
                number,
                instruction.opcode,
                written.store,
                int(written.places[0]),
                written.places.size,
                _checksum(wanted),
                -1 if found is None else _checksum(found),
            )
        )
        if found is None or not np.array_equal(found, wanted):
            where = f"{self._layer.name}, instruction {number} ({instruction.opcode.name})"
            raise _DifferenceError(f"{where}: {_difference(written, found, wanted)}")


def _checksum(contents: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(contents, "<i8").tobytes())


def _difference(written: Written, found: np.ndarray | None, wanted: np.ndarray) -> str:
    if found is None:
        return f"the RTL wrote fewer words to {written.store} than the emulator, or elsewhere"
    row, column = (int(part) for part in np.argwhere(found != wanted)[0])
    place = int(written.places[row])
    if written.store == "memory":
        where = f"the byte at {place:#x}"
    else:
        where = f"element {written.first + column} of word {place} in {written.store}"
    return f"{where} is {found[row, column]} in the RTL, {wanted[row, column]} in the emulator"
