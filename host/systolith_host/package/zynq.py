"""The Zynq boards that block designs are made for, and the facts that the scripts need."""

from collections.abc import Mapping
from dataclasses import dataclass

from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["ZYNQ_BOARDS", "ProcessingSystem", "ZynqBoard", "check_board", "load_board"]

_BLOCK_RAM_BITS = 36 * 1024

_DSP48 = 24
"""Bits of the larger unsigned operand of a DSP48E1 or DSP48E2."""

_ULTRA_RAM_WORDS = 4096
"""Of 72 bits: an int8 buffer leaves most of them empty."""


@dataclass(frozen=True)
class ProcessingSystem:
    """The processors' side of a Zynq: its IP, and the names of its pins and segments.

    Parameters
    ----------
    ip : str
        Without version: Vivado takes its newest.
    rule, automation : str
        Vivado's rule that applies the board's preset, and its options.
    settings : mapping of str to str
        Of the IP, in addition to the clock's.
    clock_setting : str
        Takes MHz.
    clock, reset, interrupt : str
        Pins.
    control, control_clock : str
        AXI master towards the registers, and its clock's pin.
    memory, memory_clock : str
        AXI slave towards the memory, and its clock's pin.
    memory_segment : str
        The DDR behind it.
    other_segments : tuple of str
        Everything else behind it, which the accelerator does not see.
    register_base : int
        Address of the registers.
    controller : str
        Label of the interrupt controller in Linux's device trees.
    interrupt_number : int
        Of the first fabric interrupt among the shared peripheral interrupts.
    address_cells : int
        Words of 32 bits of an address, and of a size, in the device tree's root.
    """

    ip: str
    rule: str
    automation: str
    settings: Mapping[str, str]
    clock_setting: str
    clock: str
    reset: str
    interrupt: str
    control: str
    control_clock: str
    memory: str
    memory_clock: str
    memory_segment: str
    other_segments: tuple[str, ...]
    register_base: int
    controller: str
    interrupt_number: int
    address_cells: int


@dataclass(frozen=True)
class ZynqBoard:
    """A board.

    Parameters
    ----------
    name : str
    title : str
    part : str
    board_part : str
        Without version: the newest board files that are installed are taken.
    system : ProcessingSystem
    memory_bytes : int
        Of the DDR that the accelerator sees, from address 0.
    dsps, block_rams, ultra_rams : int
        DSP48, 36-Kbit block RAMs and UltraRAMs of the part.
    """

    name: str
    title: str
    part: str
    board_part: str
    system: ProcessingSystem
    memory_bytes: int
    dsps: int
    block_rams: int
    ultra_rams: int


# As in PYNQ 3.0.1's design for the ZCU104. M_AXI_GP0 is HPM0_FPD, S_AXI_GP2 is HP0_FPD. Fabric
# interrupts begin at 121 of all interrupts (AMD UG1085), which the controller counts from 32 on.
_ULTRASCALE = ProcessingSystem(
    ip="xilinx.com:ip:zynq_ultra_ps_e",
    rule="xilinx.com:bd_rule:zynq_ultra_ps_e",
    automation='apply_board_preset "1"',
    settings={
        "PSU__USE__M_AXI_GP0": "1",
        "PSU__USE__M_AXI_GP1": "0",
        "PSU__USE__M_AXI_GP2": "0",
        "PSU__MAXIGP0__DATA_WIDTH": "32",
        "PSU__USE__S_AXI_GP2": "1",
        "PSU__SAXIGP2__DATA_WIDTH": "128",
        "PSU__USE__IRQ0": "1",
        "PSU__FPGA_PL0_ENABLE": "1",
    },
    clock_setting="PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ",
    clock="pl_clk0",
    reset="pl_resetn0",
    interrupt="pl_ps_irq0",
    control="M_AXI_HPM0_FPD",
    control_clock="maxihpm0_fpd_aclk",
    memory="S_AXI_HP0_FPD",
    memory_clock="saxihp0_fpd_aclk",
    memory_segment="SAXIGP2/HP0_DDR_LOW",
    other_segments=("SAXIGP2/HP0_DDR_HIGH", "SAXIGP2/HP0_LPS_OCM", "SAXIGP2/HP0_QSPI"),
    register_base=0xA000_0000,
    controller="gic",
    interrupt_number=89,
    address_cells=2,
)

# As in PYNQ 3.0.1's design for the PYNQ-Z2. IRQ_F2P[0] is 61 of all interrupts (AMD UG585).
_ZYNQ_7000 = ProcessingSystem(
    ip="xilinx.com:ip:processing_system7",
    rule="xilinx.com:bd_rule:processing_system7",
    automation='make_external "FIXED_IO, DDR" apply_board_preset "1"',
    settings={
        "PCW_USE_M_AXI_GP0": "1",
        "PCW_USE_S_AXI_HP0": "1",
        "PCW_S_AXI_HP0_DATA_WIDTH": "64",
        "PCW_USE_FABRIC_INTERRUPT": "1",
        "PCW_IRQ_F2P_INTR": "1",
        "PCW_EN_CLK0_PORT": "1",
        "PCW_EN_RST0_PORT": "1",
    },
    clock_setting="PCW_FPGA0_PERIPHERAL_FREQMHZ",
    clock="FCLK_CLK0",
    reset="FCLK_RESET0_N",
    interrupt="IRQ_F2P",
    control="M_AXI_GP0",
    control_clock="M_AXI_GP0_ACLK",
    memory="S_AXI_HP0",
    memory_clock="S_AXI_HP0_ACLK",
    memory_segment="S_AXI_HP0/HP0_DDR_LOWOCM",
    other_segments=(),
    register_base=0x43C0_0000,
    controller="intc",
    interrupt_number=29,
    address_cells=1,
)

ZYNQ_BOARDS = {
    board.name: board
    for board in (
        ZynqBoard(
            name="kv260",
            title="Kria KV260",
            part="xck26-sfvc784-2LV-c",
            board_part="xilinx.com:kv260_som:part0",
            system=_ULTRASCALE,
            memory_bytes=1 << 31,
            dsps=1248,
            block_rams=144,
            ultra_rams=64,
        ),
        ZynqBoard(
            name="zcu104",
            title="ZCU104",
            part="xczu7ev-ffvc1156-2-e",
            board_part="xilinx.com:zcu104:part0",
            system=_ULTRASCALE,
            memory_bytes=1 << 31,
            dsps=1728,
            block_rams=312,
            ultra_rams=96,
        ),
        ZynqBoard(
            name="pynq-z2",
            title="PYNQ-Z2",
            part="xc7z020clg400-1",
            board_part="tul.com.tw:pynq-z2:part0",
            system=_ZYNQ_7000,
            memory_bytes=1 << 29,
            dsps=220,
            block_rams=140,
            ultra_rams=0,
        ),
    )
}
"""By name. Resources: AMD DS987 (K26), DS891 (ZU7EV), DS190 (Z-7020)."""


def load_board(name: str) -> ZynqBoard:
    """Return the board of that name.

    Raises
    ------
    SystolithError
        If there is none.
    """
    if name not in ZYNQ_BOARDS:
        raise SystolithError(f"board must be one of {', '.join(ZYNQ_BOARDS)}, not {name!r}")
    return ZYNQ_BOARDS[name]


def check_board(config: AcceleratorConfig, board: ZynqBoard) -> None:
    """Refuse a configuration that the board cannot hold by its multipliers and buffers alone.

    The activations count as UltraRAMs if they fit there; everything else counts by its bits.

    Raises
    ------
    SystolithError
        Naming the resource, the need and what there is.
    """
    size = config.weight_bytes + config.acc_bytes + config.transformed_bytes
    if config.rows * -(-config.act_depth // _ULTRA_RAM_WORDS) > board.ultra_rams:
        size += config.act_bytes
    for what, need, there in (
        ("DSP", config.dsps(_DSP48), board.dsps),
        ("block RAM", -(-8 * size // _BLOCK_RAM_BITS), board.block_rams),
    ):
        if need > there:
            raise SystolithError(
                f"{config.name} does not fit {board.title}: at least {need:,} {what} needed, "
                f"{there:,} there"
            )
    width = (board.memory_bytes - 1).bit_length()
    if config.addr_width < width:
        raise SystolithError(
            f"{config.name}: addr_width must be at least {width} to reach the memory of "
            f"{board.title}, not {config.addr_width}"
        )
