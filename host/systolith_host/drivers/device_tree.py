"""Device tree overlays for Linux: an accelerator's registers and interrupt, and a buffer."""

from systolith_host.escape import comment
from systolith_host.package.zynq import ZynqBoard
from systolith_hw.spec.registers import ADDR_WIDTH

__all__ = ["BUFFER_NAME", "DEFAULT_BUFFER_BYTES", "device_tree"]

BUFFER_NAME = "udmabuf0"

DEFAULT_BUFFER_BYTES = 1 << 26

_PAGE = 1 << 20
"""Alignment of the reserved memory: contiguous memory is reserved in blocks."""

_LEVEL_HIGH = 4


def device_tree(board: ZynqBoard, buffer_bytes: int = DEFAULT_BUFFER_BYTES) -> str:
    """Return the source of an overlay for one of the Zynq boards.

    Parameters
    ----------
    board : ZynqBoard
    buffer_bytes : int
        Of contiguous memory; rounded up to 1 MB.

    Raises
    ------
    ValueError
        If the buffer is not at least one byte, or as large as the board's memory.
    """
    if not 0 < buffer_bytes < board.memory_bytes:
        raise ValueError(
            f"buffer_bytes must be from 1 to {board.memory_bytes - 1}, not {buffer_bytes}"
        )
    system = board.system
    size = -(-buffer_bytes // _PAGE) * _PAGE

    def words(value: int) -> str:
        if system.address_cells == 1:
            return f"0x{value:x}"
        return f"0x{value >> 32:x} 0x{value & 0xFFFFFFFF:x}"

    return f"""\
// Systolith on {comment(board.title)}, as the Vivado script of `systolith package` connects it.
//
//   dtc -@ -I dts -O dtb -o systolith.dtbo {board.name}.dtso
//
// The boot loader applies it, before the kernel reserves memory. The kernel needs
// uio_pdrv_genirq.of_id=generic-uio among its arguments, and the module u-dma-buf.

/dts-v1/;
/plugin/;

&{{/}} {{
    #address-cells = <{system.address_cells}>;
    #size-cells = <{system.address_cells}>;

    reserved-memory {{
        #address-cells = <{system.address_cells}>;
        #size-cells = <{system.address_cells}>;
        ranges;

        systolith_memory: systolith-memory {{
            compatible = "shared-dma-pool";
            reusable;
            size = <{words(size)}>;
            alignment = <{words(_PAGE)}>;
            // What the accelerator's memory port reaches.
            alloc-ranges = <{words(0)} {words(board.memory_bytes)}>;
        }};
    }};

    systolith@{system.register_base:x} {{
        compatible = "generic-uio";
        reg = <{words(system.register_base)} {words(1 << ADDR_WIDTH)}>;
        interrupt-parent = <&{system.controller}>;
        interrupts = <0 {system.interrupt_number} {_LEVEL_HIGH}>;
    }};

    {BUFFER_NAME} {{
        compatible = "ikwzm,u-dma-buf";
        device-name = "{BUFFER_NAME}";
        size = <0x{size:x}>;
        // Not cached, and writes may be combined: any alignment is allowed.
        sync-mode = <2>;
        memory-region = <&systolith_memory>;
    }};
}};
"""
