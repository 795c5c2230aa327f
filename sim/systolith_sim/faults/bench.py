"""The fault bench from Python: a compiled process that runs the accelerator and its memory."""

import struct
import subprocess
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import REGISTERS, STATUS_DONE, STATUS_ERROR
from systolith_sim.rtl.build import Build, SimulatorError, build
from systolith_sim.rtl.testbench import Testbench
from systolith_sim.rtl.unknown import random_start, without_initial_values

__all__ = [
    "FOREVER",
    "BusTiming",
    "Channel",
    "FaultBench",
    "Injection",
    "Kind",
    "Observed",
    "Outcome",
    "fault_testbench",
]

FOREVER = 1 << 40
"""Cycles that never pass."""

_FOLDER = Path(__file__).parent
_RECORD = struct.Struct("<8Q")


class Channel(IntEnum):
    """The channels of the memory's bus."""

    AR = 0
    R = 1
    AW = 2
    W = 3
    B = 4


class Kind(IntEnum):
    """What the memory does wrong; axi_memory.h says what each does with its argument."""

    R_ERROR = 1
    B_ERROR = 2
    DEAD = 3
    STRAY_R = 4
    STRAY_B = 5
    EARLY_LAST = 6
    NO_LAST = 7
    WRONG_R_ID = 8
    LOST_BEAT = 9
    DOUBLE_BEAT = 10
    EARLY_B = 11
    WRONG_B_ID = 12


class _Operation(IntEnum):
    WRITE = 1
    READ = 2
    RUN = 3
    WAIT = 4
    IDLE = 5
    RESULT = 6
    RESET = 7
    TIMING = 8
    FAULT = 9
    HEAL = 10
    RESTART = 11
    REPORT = 12
    WINDOW = 13
    BASE = 14
    SETTLE = 15
    COVERAGE = 16


@dataclass(frozen=True)
class BusTiming:
    """How the memory behaves while it keeps to the rules.

    Parameters
    ----------
    latency : (int, int)
        Fewest and most cycles from an address to its data, and from data to its response.
    stalls : tuple of int
        Chance of a pause of each :class:`Channel` in a cycle, of 256.
    by_id : bool
        Whether bursts of different IDs may overtake each other.
    interleaves : bool
        Whether their beats may be mixed.
    data_first, address_first : bool
        Whether AWREADY waits for WVALID, or WREADY for the address; not both.
    """

    latency: tuple[int, int] = (1, 1)
    stalls: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    by_id: bool = False
    interleaves: bool = False
    data_first: bool = False
    address_first: bool = False


@dataclass(frozen=True)
class Injection:
    """A fault of the memory.

    Parameters
    ----------
    kind : Kind
    at : int
        The beat, the response, or for DEAD and strays the cycle, counted from the last restart.
    length : int
        How many of them, or how many cycles.
    argument : int
    """

    kind: Kind
    at: int
    length: int = 1
    argument: int = 0


@dataclass(frozen=True)
class Outcome:
    """STATUS and the error registers."""

    status: int
    code: int
    engine: int
    info: int

    @property
    def done(self) -> bool:
        """Whether the program ended without an error."""
        return self.status == STATUS_DONE

    @property
    def failed(self) -> bool:
        """Whether it ended in an error."""
        return self.status == STATUS_ERROR


@dataclass(frozen=True)
class Observed:
    """What the bench has seen since the last restart.

    Parameters
    ----------
    injected : int
        How often a fault struck.
    cycle, id : int
        When it first did, in cycles, and the ID of that beat.
    cycles, read_beats, responses : int
        So far; modulo 2**24, 2**20 and 2**20.
    reads, writes : int
        Outstanding bursts.
    interrupt : bool
    broken : str
        Name of the first rule that the accelerator broke since the last observation, or "".
    """

    injected: int
    cycle: int
    id: int
    cycles: int
    read_beats: int
    responses: int
    reads: int
    writes: int
    interrupt: bool
    broken: str


def fault_testbench(config: AcceleratorConfig, verilog: str) -> Testbench:
    """Return the accelerator alone, without initial values, to be driven by the fault bench.

    Parameters
    ----------
    config : AcceleratorConfig
    verilog : str
        Text of the accelerator, with the top module ``accelerator``.
    """
    names = ("fault_bench.cpp", "axi_memory.h", "axi_rules.h")
    program = {name: (_FOLDER / name).read_text() for name in names}
    offsets = [
        f"static const unsigned {register.name} = {register.offset};\n"
        for register in REGISTERS.values()
        if register.name in ("STATUS", "ERROR_CODE", "ERROR_ENGINE", "ERROR_INFO")
    ]
    program["registers.h"] = "".join(offsets)
    sources = {"accelerator.v": without_initial_values(verilog)}
    return Testbench("accelerator", sources, (), program)


class FaultBench:
    """A running simulation; to be used as a context.

    Requests that ask nothing are sent with the next one that does, or with a look at the memory.

    Parameters
    ----------
    built : Build
        Of a :func:`fault_testbench`.
    config : AcceleratorConfig
    image : Path
        File that becomes the memory.
    size : int
        Bytes of the memory.
    seed : int
        Of the random bits with which the accelerator's registers and memories begin, from 1; with 0
        they are zeros, as coverage needs it: a bit that begins with 1 has not risen.
    """

    def __init__(
        self, built: Build, config: AcceleratorConfig, image: Path, size: int, seed: int = 1
    ) -> None:
        image.write_bytes(bytes(size))
        self.config = config
        self.base = 0
        self._image = image
        self._memory = np.memmap(image, np.uint8, "r+", shape=(size,))
        limits = (config.burst_beats, config.outstanding_reads, config.outstanding_writes)
        self._process = subprocess.Popen(
            [*built.command, str(image), *map(str, limits), *(random_start(seed) if seed else ())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._waiting = bytearray()

    @classmethod
    def of(
        cls, config: AcceleratorConfig, verilog: str, image: Path, size: int, seed: int = 1
    ) -> "FaultBench":
        """Build the simulation of a configuration and start it."""
        return cls(build(fault_testbench(config, verilog)), config, image, size, seed)

    def __enter__(self) -> "FaultBench":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def memory(self) -> np.ndarray:
        """The memory itself, uint8 of shape (size,), after all requests so far."""
        if self._waiting:
            self._ask(_Operation.WAIT, 0)
        return self._memory

    # Registers.

    def write(self, name: str, value: int) -> None:
        """Write a register, a wide one low half first."""
        register = REGISTERS[name]
        self.write_word(register.offset, value)
        if register.width == 64:
            self.write_word(register.offset + 4, value >> 32)

    def write_word(self, offset: int, value: int) -> None:
        """Write 32 bits at any offset."""
        self._tell(_Operation.WRITE, offset, value & 0xFFFFFFFF)

    def read(self, name: str) -> int:
        """Read a register."""
        register = REGISTERS[name]
        value = self.read_word(register.offset)
        if register.width == 64:
            value |= self.read_word(register.offset + 4) << 32
        return value

    def read_word(self, offset: int) -> int:
        """Read 32 bits at any offset."""
        return self._ask(_Operation.READ, offset)[0]

    def outcome(self) -> Outcome:
        """Read STATUS and the error registers."""
        return Outcome(*self._ask(_Operation.RESULT)[:4])

    # Time.

    def run(self, cycles: int) -> None:
        """Let some cycles pass."""
        self._tell(_Operation.RUN, cycles)

    def wait_interrupt(self, limit: int) -> bool:
        """Wait for the interrupt; return whether it came within `limit` cycles."""
        return bool(self._ask(_Operation.WAIT, limit)[0])

    def wait_idle(self, limit: int) -> bool:
        """Poll STATUS until the accelerator is not busy; return whether that came in time."""
        return bool(self._ask(_Operation.IDLE, limit)[0])

    def settle(self, limit: int) -> bool:
        """Wait until the memory has answered everything; return whether it has."""
        return bool(self._ask(_Operation.SETTLE, limit)[0])

    def reset(self, cycles: int = 2) -> None:
        """Reset accelerator and memory by hardware."""
        self._tell(_Operation.RESET, cycles)

    # The memory.

    def restart(self, seed: int) -> None:
        """Count from here, forget all faults, and seed the memory's and the host's choices."""
        self._tell(_Operation.RESTART, seed)

    def behave(self, timing: BusTiming) -> None:
        """Set how the memory behaves."""
        stalls = sum(chance << 8 * channel for channel, chance in enumerate(timing.stalls))
        flags = (timing.by_id, timing.interleaves, timing.data_first, timing.address_first)
        bits = sum(flag << bit for bit, flag in enumerate(flags))
        self._tell(_Operation.TIMING, *timing.latency, stalls, bits)

    def inject(self, fault: Injection) -> None:
        """Let a fault come."""
        self._tell(_Operation.FAULT, fault.kind, fault.at, fault.length, fault.argument)

    def heal(self) -> None:
        """End all faults of the memory."""
        self._tell(_Operation.HEAL)

    def place(self, base: int) -> None:
        """Let the memory begin at an address, from then on :attr:`base`."""
        self.base = base
        self._tell(_Operation.BASE, base)

    def allow(self, base: int, end: int) -> None:
        """Say which addresses the accelerator may touch: from `base` up to `end`."""
        self._tell(_Operation.WINDOW, base, end)

    def observe(self) -> Observed:
        """Return what was seen, and forget a broken rule."""
        words = self._ask(_Operation.REPORT)
        name = struct.pack("<3Q", *words[5:]).rstrip(b"\0").decode()
        moved, open_bursts = words[3], words[4]
        return Observed(
            words[0],
            words[1],
            words[2],
            moved & 0xFFFFFF,
            moved >> 24 & 0xFFFFF,
            moved >> 44,
            open_bursts & 0xFFFF,
            open_bursts >> 16 & 0xFFFF,
            bool(open_bursts >> 32),
            name,
        )

    def coverage(self) -> Path:
        """Return a file with Verilator's counts so far, where it was built to count."""
        if not self._ask(_Operation.COVERAGE)[0]:
            raise SimulatorError("this fault bench was built without coverage")
        return self._image.with_name(f"{self._image.name}.coverage")

    def _tell(self, operation: _Operation, *values: int) -> None:
        self._waiting += _RECORD.pack(operation, *values, *[0] * (7 - len(values)))

    def _ask(self, operation: _Operation, *values: int) -> tuple[int, ...]:
        self._tell(operation, *values)
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(self._waiting)
            stdin.flush()
            answer = stdout.read(_RECORD.size)
        except OSError:
            answer = b""
        self._waiting.clear()
        if len(answer) != _RECORD.size:
            raise SimulatorError(f"the fault bench has ended: {self._process.poll()}")
        return _RECORD.unpack(answer)
