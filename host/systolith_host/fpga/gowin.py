"""Gowin's small parts: synthesis, a netlist's resources, and packing with Apicula."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.fpga.parts import Part
from systolith_host.fpga.synthesis import Netlist, run_yosys
from systolith_host.fpga.tools import find_tool, run_tool

__all__ = [
    "CAVEAT",
    "PACKER",
    "constraints",
    "logic_cells",
    "pack_gowin",
    "resources_gowin",
    "synthesise_gowin",
]

CAVEAT = "Apicula's delays are incomplete: take the clock for a hint, not for a promise"

PACKER = "gowin_pack"

PACK_SECONDS = 600

PINS = "pins.cst"

RAM_BITS = 400
"""Memories up to this width are made of block RAM; wider ones, of few words, of flip-flops.

Gowin's distributed memory takes eight LUTs for 4 x 16 bits, and the placer has found no legal place
for hundreds of them.
"""

CELL_LUTS = {**{f"LUT{inputs}": 1 for inputs in range(1, 5)}, "ALU": 1, "RAM16SDP4": 8}
"""Cells of logic, as nextpnr counts them."""

MULTIPLIERS = {"MULT9X9": 1, "MULT18X18": 2, "MULT36X36": 8}
"""In 9x9 multipliers."""

RAMS = ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9")


def synthesise_gowin(rtlil: str, top: str, folder: Path, part: Part) -> Netlist:
    """Synthesise for a family of Gowin's; otherwise as :func:`run_yosys`."""
    # Without wide multiplexers more flip-flops share a cell with the LUT before them.
    command = f"synth_gowin -family {part.size} -nowidelut -top {top}"
    ours = f"t:$mem_v2 r:WIDTH>=8 %i r:WIDTH<{RAM_BITS} %i r:SIZE>1 %i"
    # No word that is read in the cycle of its write is used: the two ends of a queue differ,
    # tokens keep loads away from words that are read, and a sum comes again only when it is
    # stored. Yosys would keep the old word in flip-flops around each block RAM.
    commands = [
        "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2",
        f"{command} -run :map_ram",
        f'setattr -set ram_style "block" {ours}',
        f"{command} -run map_ram:",
    ]
    return run_yosys(rtlil, top, folder, commands)


def resources_gowin(netlist: Netlist, top: str) -> dict[str, int]:
    """Return the resources of a netlist, by the part's names of them."""
    cells = netlist.cells
    modules = json.loads(netlist.path.read_text())["modules"]
    return {
        "logic cell": logic_cells(modules[top]),
        "FF": sum(count for cell, count in cells.items() if cell.startswith("DFF")),
        "9x9 multiplier": sum(size * cells.get(cell, 0) for cell, size in MULTIPLIERS.items()),
        "block RAM": sum(cells.get(cell, 0) for cell in RAMS),
    }


def logic_cells(module: Mapping[str, Any]) -> int:
    """Return the cells that LUTs, adders and flip-flops take.

    A flip-flop shares a cell only with the LUT that feeds it and nothing else: its input is the
    LUT's output.

    Parameters
    ----------
    module : mapping
        Of Yosys' JSON.
    """
    drivers: dict[int, str] = {}
    fan_out: Counter[int] = Counter()
    count = 0
    inputs = []
    for cell in module["cells"].values():
        count += CELL_LUTS.get(cell["type"], 0)
        for port, net in cell["connections"].items():
            nets = [bit for bit in net if isinstance(bit, int)]
            if cell["port_directions"][port] == "output":
                drivers.update((net, cell["type"]) for net in nets)
            else:
                fan_out.update(nets)
        if cell["type"].startswith("DFF"):
            inputs.append(cell["connections"]["D"][0])
    return count + sum(
        not (fan_out[net] == 1 and drivers.get(net, "").startswith("LUT")) for net in inputs
    )


def constraints(part: Part, folder: Path) -> tuple[str, ...]:
    """Write the pins of a harness and return the options that name them to nextpnr."""
    (folder / PINS).write_text("".join(f'IO_LOC "{port}" {pin};\n' for port, pin in part.pins))
    return ("--vopt", f"cst={PINS}")


def pack_gowin(routed: Path, part: Part, bitstream: Path) -> None:
    """Pack nextpnr's routed design.

    Parameters
    ----------
    routed : Path
        In the folder of the bitstream; the log goes there, too.
    part : Part
    bitstream : Path

    Raises
    ------
    SystolithError
        If Apicula fails.
    """
    log = bitstream.parent / f"{PACKER}.log"
    bitstream.unlink(missing_ok=True)
    command = [find_tool(PACKER), "-d", part.device, "-o", bitstream.name, routed.name]
    run = run_tool(command, bitstream.parent, log, PACK_SECONDS)
    if run.status != 0 or not bitstream.exists():
        lines = [line for line in log.read_text().splitlines() if line.strip()] or ["no output"]
        reason = "no end" if run.status is None else lines[-1].strip()
        raise SystolithError(f"{PACKER} failed: {reason} (all of it in {log})")
