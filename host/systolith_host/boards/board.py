"""The boards that systems are built for, and the memory and links of each."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["BOARDS", "LINKS", "Board", "check_bus", "check_link", "load_board", "most_burst"]

MAX_BEATS = 256
"""Beats of the longest AXI4 burst."""


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
    cycle_bytes : int
        Bytes that the memory's pins can move per cycle of the system's clock.
    system_mhz : float
        Clock of the bus and the memory controller.
    programmer : str
        openFPGALoader's name of the board.
    ethernet_mhz : float, optional
        Clock of the system if it is reached by Ethernet; none if the board has no Ethernet.
    read_share : float, optional
        Share of the pins' rate that long reads reach in the simulated system, as
        :mod:`systolith_host.lab.memory_efficiency` measures it; none if not measured.
    link : str
        How the host reaches it, one of :data:`LINKS`.
    systems : mapping of str to mapping of str to int
        By link, the resources of all that is beside the accelerator: a build's, less those of the
        accelerator synthesised alone (docs/boards.md, tests/golden_metrics.json).
    """

    name: str
    title: str
    part: str
    memory: str
    memory_bytes: int
    native_bytes: int
    cycle_bytes: int
    system_mhz: float
    programmer: str
    ethernet_mhz: float | None = None
    read_share: float | None = None
    link: str = "serial"
    systems: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)

    @property
    def system(self) -> Mapping[str, int]:
        """Resources of all that is beside the accelerator, with the board's link.

        Raises
        ------
        SystolithError
            If they are not measured.
        """
        if self.link not in self.systems:
            raise SystolithError(
                f"{self.name}: the resources of its system with --link {self.link} are not "
                f"measured; design for its part instead: --part {self.part}"
            )
        return self.systems[self.link]

    @property
    def memory_rate(self) -> float:
        """Megabytes a second that the memory's pins can move."""
        return self.cycle_bytes * self.system_mhz

    @property
    def read_rate(self) -> float:
        """Megabytes a second that long reads get; those of the pins if not measured."""
        return self.memory_rate * (self.read_share or 1.0)


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
            cycle_bytes=2,
            system_mhz=50.0,
            programmer="ulx3s",
            read_share=0.961,  # of ecp5-85f at 62.5 MHz
            systems={"serial": {"LUT": 3_888, "FF": 2_436}},  # of ecp5-85f-winograd
        ),
        Board(
            name="ecpix5-85f",
            title="LambdaConcept ECPIX-5 85F",
            part="lfe5um5g-85f-8",
            memory="DDR3, 16 bits",
            memory_bytes=512 << 20,
            native_bytes=16,  # a burst of eight, two cycles
            cycle_bytes=8,
            system_mhz=75.0,
            programmer="ecpix5",
            read_share=0.763,  # of ecp5-85f at 100 MHz
            # Etherbone's stack reaches 59 to 76 MHz on this part. ECP5DDRPHY has no least clock of
            # its own; LiteX's target of the OrangeCrab runs it at 48 MHz.
            ethernet_mhz=50.0,
            systems={
                "serial": {"LUT": 8_251, "FF": 3_901},  # of ecp5-85f-winograd
                "ethernet": {"LUT": 13_922, "FF": 6_799, "block RAM": 4},  # of ecp5-85f
            },
        ),
        Board(
            name="colorlight-i9",
            title="Colorlight i9 v7.2",
            part="lfe5u-45f-6",
            memory="SDR SDRAM, 32 bits",
            memory_bytes=8 << 20,
            native_bytes=4,
            cycle_bytes=4,
            system_mhz=60.0,
            programmer="colorlight-i9",
        ),
    )
}
"""By name."""


LINKS = ("serial", "ethernet")
"""A board with Ethernet keeps its serial line, too."""


def load_board(name: str, link: str = "serial") -> Board:
    """Return the board of that name, reached in that way.

    Raises
    ------
    SystolithError
        If there is no such board, or it has no such link.
    """
    if name not in BOARDS:
        raise SystolithError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    check_link(link)
    board = BOARDS[name]
    if link == "serial":
        return board
    if board.ethernet_mhz is None:
        raise SystolithError(f"--link: {board.title} has no Ethernet; build with --link serial")
    return dataclasses.replace(board, link=link, system_mhz=board.ethernet_mhz)


def check_link(link: str) -> None:
    """Refuse an unknown link.

    Raises
    ------
    SystolithError
        It names the known links.
    """
    if link not in LINKS:
        raise SystolithError(f"--link must be one of {', '.join(LINKS)}, not {link!r}")


def most_burst(native_bytes: int) -> int:
    """Return the bytes of the longest burst that a memory controller of that width takes."""
    return MAX_BEATS * native_bytes


def check_bus(config: AcceleratorConfig, native_bytes: int, where: str) -> None:
    """Refuse a configuration whose bus the memory controller's port cannot serve.

    A bus wider than the controller is cut to its width, so that its bursts have more beats.

    Raises
    ------
    SystolithError
        It names the field and its limit.
    """
    limit = most_burst(native_bytes) // config.bus_bytes
    if config.burst_beats > limit:
        raise SystolithError(
            f"{config.name}: burst_beats must be at most {limit} on {where}: cut to "
            f"{native_bytes} bytes, a burst may have {MAX_BEATS} beats, not "
            f"{config.burst_bytes // native_bytes}"
        )
