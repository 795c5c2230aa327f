"""Facts about a built system for the host: ``system.json``, which a build writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError

__all__ = ["FILE_NAME", "MemoryStep", "ReadTiming", "System"]

FILE_NAME = "system.json"


@dataclass(frozen=True)
class MemoryStep:
    """A step of the memory's start, as LiteDRAM gives them.

    Parameters
    ----------
    text : str
    control : bool
        Whether the value is one of the control register's, or a command to the memory.
    address, bank : int
    value : int
    delay : int
        Cycles of the system's clock to wait afterwards.
    """

    text: str
    control: bool
    address: int
    bank: int
    value: int
    delay: int


@dataclass(frozen=True)
class ReadTiming:
    """The settings of a memory's read timing, and the phases of its commands.

    Parameters
    ----------
    bitslips, delays : int
        Number of settings.
    read_phase, write_phase : int
        Of the cycle, in which the memory takes such commands.
    """

    bitslips: int
    delays: int
    read_phase: int
    write_phase: int


@dataclass(frozen=True)
class System:
    """A system around an accelerator, on a board or simulated.

    Parameters
    ----------
    path : Path
        The file.
    target : str
        The board's name, or "simulation".
    magic, build, fingerprint : int
        Contents of its registers: kind of system, build, and the accelerator's configuration.
    system_hz, accelerator_hz : float
    memory_base, register_base : int
        On the host's bus.
    memory_bytes : int
    native_bytes : int
        Of a word of the memory controller.
    memory_type : str
    memory_mb_s : float
        Megabytes a second that the memory's pins can move.
    memory_phases, memory_lanes : int
        Command phases of a cycle, and bytes of the memory's width.
    memory_init : tuple of MemoryStep
    read_timing : ReadTiming, optional
        If it must be found.
    csr : mapping of str to (address, words)
        LiteX's registers.
    """

    path: Path
    target: str
    magic: int
    build: int
    fingerprint: int
    system_hz: float
    accelerator_hz: float
    memory_base: int
    memory_bytes: int
    native_bytes: int
    register_base: int
    memory_type: str
    memory_mb_s: float
    memory_phases: int
    memory_lanes: int
    memory_init: tuple[MemoryStep, ...]
    read_timing: ReadTiming | None
    csr: Mapping[str, tuple[int, int]]

    @property
    def simulated(self) -> bool:
        """Whether it is a simulation's, whose time is not the clock on the wall's."""
        return self.target == "simulation"

    @property
    def memory_rate(self) -> float:
        """Bytes that the memory's pins can move in a cycle of the accelerator."""
        return self.memory_mb_s * 1e6 / self.accelerator_hz

    @classmethod
    def load(cls, path: Path) -> "System":
        """Read the description from a file, or from the folder of a build.

        Raises
        ------
        SystolithError
            If there is none, or it is damaged.
        """
        file = path / FILE_NAME if path.is_dir() else path
        try:
            fields = json.loads(file.read_text())
        except OSError as error:
            raise SystolithError(
                f"--board: {file} cannot be read ({error.strerror}); "
                "name the folder that `systolith build` wrote"
            ) from None
        except ValueError:
            raise SystolithError(f"--board: {file} is not a {FILE_NAME} of a build") from None
        try:
            return cls._from_fields(file, fields)
        except (KeyError, TypeError, ValueError) as error:
            raise SystolithError(
                f"--board: {file} is not a {FILE_NAME} of a build: {type(error).__name__}: {error}"
            ) from None

    @classmethod
    def _from_fields(cls, file: Path, fields: dict[str, Any]) -> "System":
        names = ("target", "magic", "system_hz", "accelerator_hz", "memory_base", "memory_bytes")
        names += ("native_bytes", "register_base", "memory_type", "memory_mb_s")
        names += ("memory_phases", "memory_lanes")
        timing = fields["read_timing"]
        return cls(
            path=file,
            build=int(fields["build"], 16),
            fingerprint=int(fields["fingerprint"], 16),
            memory_init=tuple(MemoryStep(**step) for step in fields["memory_init"]),
            read_timing=ReadTiming(**timing) if timing is not None else None,
            csr={name: (int(word), int(size)) for name, (word, size) in fields["csr"].items()},
            **{name: fields[name] for name in names},
        )
