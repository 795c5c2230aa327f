"""Finding a DDR3 memory's read timing from the host, lane by lane.

The method is that of LiteX's own start program (liblitedram): for every bitslip and delay, bursts
of random bytes are written and read through the controller's command registers; the bitslip with
the widest run of delays that work is taken, and the middle of that run.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.runtime.litex.ports import MemoryPort
from systolith_host.runtime.litex.system import ReadTiming

__all__ = ["Window", "level_reads"]

COMMAND_CS = 0x01
COMMAND_WE = 0x02
COMMAND_CAS = 0x04
COMMAND_RAS = 0x08
COMMAND_WRITE_DATA = 0x10
COMMAND_READ_DATA = 0x20

BEATS = 4
"""Of the memory's bus in a phase."""

PATTERNS = 3
"""That must be right for a timing to work."""

LEAST_WIDTH = 2
"""Neighbouring delays that must work: one alone is an edge."""


@dataclass(frozen=True)
class Window:
    """The read timing that a lane got.

    Parameters
    ----------
    lane : int
    bitslip : int
    first, last : int
        Delays that work at it.
    """

    lane: int
    bitslip: int
    first: int
    last: int

    @property
    def delay(self) -> int:
        """The delay that is set: the middle."""
        return (self.first + self.last) // 2


def level_reads(
    device: MemoryPort, timing: ReadTiming, message: Callable[[str], None]
) -> list[Window]:
    """Set every lane's bitslip and delay; the host must have the memory's control.

    Raises
    ------
    SystolithError
        If a lane works nowhere.
    """
    random = np.random.default_rng(0)
    windows = []
    for lane in range(device.system.memory_lanes):
        window = _scan(device, timing, lane, random)
        _set(device, lane, window.bitslip, window.delay)
        if not _works(device, timing, lane, random):
            raise SystolithError(
                f"{device.link.address}: byte {lane} of the memory does not work at bitslip "
                f"{window.bitslip}, delay {window.delay}, which it did before"
            )
        message(
            f"memory byte {lane}: bitslip {window.bitslip}, delay {window.delay} "
            f"({window.first} to {window.last} work)"
        )
        windows.append(window)
    return windows


def _scan(device: MemoryPort, timing: ReadTiming, lane: int, random: np.random.Generator) -> Window:
    """Try all bitslips and delays of a lane and return the widest window."""
    best: Window | None = None
    tried = []
    for bitslip in range(timing.bitslips):
        works = []
        for delay in range(timing.delays):
            _set(device, lane, bitslip, delay)
            works.append(_works(device, timing, lane, random))
        tried.append("".join(".x"[one] for one in works))
        first, last = _widest(works)
        if last - first + 1 >= LEAST_WIDTH and (
            best is None or last - first > best.last - best.first
        ):
            best = Window(lane, bitslip, first, last)
    if best is None:
        raise SystolithError(
            f"{device.link.address}: byte {lane} of the memory cannot be read with any timing "
            f"(bitslips by delays: {' '.join(tried)})"
        )
    return best


def _widest(works: list[bool]) -> tuple[int, int]:
    """Return the longest run of what works; its end is before its beginning if there is none."""
    best, first = (0, -1), 0
    for index, one in enumerate(works):
        if not one:
            first = index + 1
        elif index - first > best[1] - best[0]:
            best = (first, index)
    return best


def _set(device: MemoryPort, lane: int, bitslip: int, delay: int) -> None:
    """Set a lane's timing; while it is selected its clock stands.

    At the end the clocks of all lanes stand and go on together, which brings them into step.
    """
    device.set_csr("ddrphy_dly_sel", 1 << lane)
    device.set_csr("ddrphy_rdly_dq_bitslip_rst", 1)
    for _ in range(bitslip):
        device.set_csr("ddrphy_rdly_dq_bitslip", 1)
    device.set_csr("ddrphy_rdly_dq_rst", 1)
    for _ in range(delay):
        device.set_csr("ddrphy_rdly_dq_inc", 1)
    for selected in (0, (1 << device.system.memory_lanes) - 1, 0):
        device.set_csr("ddrphy_dly_sel", selected)


def _works(device: MemoryPort, timing: ReadTiming, lane: int, random: np.random.Generator) -> bool:
    """Whether bursts of random bytes come back in a lane."""
    for _ in range(PATTERNS):
        lanes = device.system.memory_lanes
        written = [
            int.from_bytes(random.bytes(BEATS * lanes), "little")
            for _ in range(device.system.memory_phases)
        ]
        found = write_and_read(device, timing, written)
        mask = sum(0xFF << 8 * (beat * lanes + lane) for beat in range(BEATS))
        if any((a ^ b) & mask for a, b in zip(written, found, strict=True)):
            return False
        if not device.csr("ddrphy_burstdet_seen") >> lane & 1:
            return False
    return True


def write_and_read(device: MemoryPort, timing: ReadTiming, written: list[int]) -> list[int]:
    """Write a burst to the memory's first words and return what is read, phase by phase."""
    _command(device, 0, COMMAND_RAS | COMMAND_CS)
    for phase, value in enumerate(written):
        device.set_csr(f"sdram_dfii_pi{phase}_wrdata", value)
    write = COMMAND_CAS | COMMAND_WE | COMMAND_CS | COMMAND_WRITE_DATA
    _command(device, timing.write_phase, write)
    if "ddrphy_burstdet_clr" in device.system.csr:
        device.set_csr("ddrphy_burstdet_clr", 1)
    _command(device, timing.read_phase, COMMAND_CAS | COMMAND_CS | COMMAND_READ_DATA)
    _command(device, 0, COMMAND_RAS | COMMAND_WE | COMMAND_CS)
    return [device.csr(f"sdram_dfii_pi{phase}_rddata") for phase in range(len(written))]


def _command(device: MemoryPort, phase: int, command: int) -> None:
    device.set_csr(f"sdram_dfii_pi{phase}_address", 0)
    device.set_csr(f"sdram_dfii_pi{phase}_baddress", 0)
    device.set_csr(f"sdram_dfii_pi{phase}_command", command)
    device.set_csr(f"sdram_dfii_pi{phase}_command_issue", 1)
