"""Synthesis with Yosys, and the resources of an ECP5 netlist."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.fpga.constants import localise
from systolith_host.fpga.tools import run_tool

__all__ = ["Netlist", "resources", "run_yosys", "synthesise"]

LIMIT_SECONDS = 3600
"""Limit of a synthesis; the largest measured took two minutes of a core."""

# A process of its own keeps Yosys' text, its global state and its memory out of the caller.
_DRIVER = """
from pyosys import libyosys
design = libyosys.Design()
for command in COMMANDS:
    design.run_pass(command)
"""


@dataclass(frozen=True)
class Netlist:
    """A synthesised design.

    Parameters
    ----------
    path : Path
        Yosys' JSON, which nextpnr reads.
    cells : mapping of str to int
        Cells of each type.
    seconds : float
        Wall time of synthesis.
    """

    path: Path
    cells: Mapping[str, int]
    seconds: float


def resources(cells: Mapping[str, int]) -> dict[str, int]:
    """Return the resources of cells: LUT, FF, DSP and block RAM.

    A carry cell holds two LUTs; a cell of distributed memory four, and two more to write it.
    """
    luts = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}
    return {
        "LUT": sum(weight * cells.get(cell, 0) for cell, weight in luts.items()),
        "FF": cells.get("TRELLIS_FF", 0),
        "DSP": cells.get("MULT18X18D", 0),
        "block RAM": cells.get("DP16KD", 0),
    }


def synthesise(rtlil: str, top: str, folder: Path, verilog: Sequence[str] = ()) -> Netlist:
    """Synthesise Yosys' own text for ECP5; files go to `folder`.

    Constants get sources near their cells, see :mod:`systolith_host.fpga.constants`.

    Parameters
    ----------
    rtlil : str
    top : str
        Name of the top module.
    folder : Path
    verilog : sequence of str
        Names of further sources, in that folder.

    Raises
    ------
    SystolithError
        If Yosys fails.
    """
    command = f"synth_ecp5 -top {top}"
    # Yosys 0.70 fails in abc9 where a name of an element looks like that of a bit, as in `\\i[0]`:
    # YosysHQ/yosys issue 4349.
    commands = [f"{command} -run :map_luts", "splitnets w:*[*]", f"{command} -run map_luts:"]
    netlist = run_yosys(rtlil, top, folder, commands, verilog)
    design = json.loads(netlist.path.read_text())
    added = localise(design["modules"][top])
    netlist.path.write_text(json.dumps(design))
    cells = {**netlist.cells, "LUT4": netlist.cells.get("LUT4", 0) + added}
    return replace(netlist, cells=cells)


def run_yosys(
    rtlil: str, top: str, folder: Path, commands: Sequence[str], verilog: Sequence[str] = ()
) -> Netlist:
    """Synthesise with Yosys' commands for a family; otherwise as :func:`synthesise`."""
    (folder / f"{top}.il").write_text(rtlil)
    script = [
        f"read_rtlil {top}.il",
        *(f"read_verilog {source}" for source in verilog),
        *commands,
        f"write_json {top}.json",
        f"tee -q -o {top}.stat.json stat -json",
    ]
    log = folder / "yosys.log"
    driver = _DRIVER.replace("COMMANDS", repr(script))
    run = run_tool([sys.executable, "-c", driver], folder, log, LIMIT_SECONDS)
    statistics = folder / f"{top}.stat.json"
    if run.status != 0 or not statistics.exists():
        lines = [line for line in log.read_text().splitlines() if line.strip()] or ["no output"]
        errors = [line for line in lines if "ERROR" in line] or lines
        ending = "no end" if run.status is None else errors[-1].strip()
        raise SystolithError(f"Yosys failed: {ending} (all of it in {log})")
    cells = json.loads(statistics.read_text())["design"]["num_cells_by_type"]
    return Netlist(folder / f"{top}.json", cells, run.seconds)
