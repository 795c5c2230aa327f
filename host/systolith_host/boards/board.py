"""The boards that systems are built for, and what the accelerator finds on each."""

from dataclasses import dataclass

from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["BOARDS", "Board", "check_bus", "load_board"]

MAX_BEATS = 256
"""Of an AXI4 burst."""


@dataclass(frozen=True)
class Board:
    """A board with its memory.

    Parameters
    ----------
    name : str
    title : str
        For people.
    part : str
        Name of a :class:`systolith_host.fpga.parts.Part`.
    memory : str
        In words.
    memory_bytes : int
    native_bytes : int
        A word of the memory controller.
    memory_rate : float
        Megabytes a second that the memory's pins can move.
    system_mhz : float
        Clock of the bus and the memory controller.
    programmer : str
        What openFPGALoader calls the board.
    """

    name: str
    title: str
    part: str
    memory: str
    memory_bytes: int
    native_bytes: int
    memory_rate: float
    system_mhz: float
    programmer: str


BOARDS = {
    board.name: board
    for board in (
        Board(
            name="ulx3s-85f",
            title="Radiona ULX3S 85F",
            part="lfe5u-85f-6",
            memory="SDR SDRAM, 16 bits",
            memory_bytes=32 << 20,
            native_bytes=2,
            memory_rate=100.0,
            system_mhz=50.0,
            programmer="ulx3s",
        ),
        Board(
            name="ecpix5-85f",
            title="LambdaConcept ECPIX-5 85F",
            part="lfe5um5g-85f-8",
            memory="DDR3, 16 bits",
            memory_bytes=512 << 20,
            native_bytes=16,  # a burst of eight, two cycles
            memory_rate=600.0,
            system_mhz=75.0,
            programmer="ecpix5",
        ),
    )
}
"""By name."""


def load_board(name: str) -> Board:
    """Return the board of that name.

    Raises
    ------
    SystolithError
        If there is none.
    """
    if name not in BOARDS:
        raise SystolithError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]


def check_bus(config: AcceleratorConfig, native_bytes: int, where: str) -> None:
    """Refuse a configuration whose bus the memory controller's port cannot be joined to.

    A bus wider than the controller is cut to its width, so that its bursts have more beats.

    Raises
    ------
    SystolithError
        Naming the field and its limit.
    """
    limit = MAX_BEATS * native_bytes // config.bus_bytes
    if config.burst_beats > limit:
        raise SystolithError(
            f"{config.name}: burst_beats must be at most {limit} on {where}: cut to "
            f"{native_bytes} bytes, a burst may have {MAX_BEATS} beats, not "
            f"{config.burst_bytes // native_bytes}"
        )
