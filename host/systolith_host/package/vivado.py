"""Tcl scripts that make Vivado build a board's block design around the core."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from systolith_host.escape import comment, tcl_word
from systolith_host.package.core import Core
from systolith_host.package.ipxact import ADDRESS_BLOCK
from systolith_host.package.zynq import ZynqBoard
from systolith_hw.spec.registers import ADDR_WIDTH

__all__ = ["block_design_script", "write_scripts"]

_CONSTRAINTS = """\
# {title}. The clock comes from the processing system, whose own constraints define it; no pin of
# the board is used.
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
"""


def block_design_script(core: Core, board: ZynqBoard, mhz: float) -> str:
    """Return the script: the board's and the core's facts, then the part common to all."""
    system = board.system
    settings = {**system.settings, system.clock_setting: f"{mhz:g}"}
    values = {
        "board": board.name,
        "part": board.part,
        "board_part": board.board_part,
        "core_folder": core.folder.name,
        "core_vlnv": core.vlnv,
        "ps_ip": system.ip,
        "ps_rule": system.rule,
        "ps_automation": system.automation,
        "ps_settings": "\n" + "".join(f"    {k} {v}\n" for k, v in settings.items()),
        "ps_clock": system.clock,
        "ps_reset": system.reset,
        "ps_interrupt": system.interrupt,
        "ps_control": system.control,
        "ps_control_clock": system.control_clock,
        "ps_memory": system.memory,
        "ps_memory_clock": system.memory_clock,
        "register_base": hex(system.register_base),
        "register_range": hex(1 << ADDR_WIDTH),
        "register_segment": f"s_axil/{ADDRESS_BLOCK}",
        "memory_segment": system.memory_segment,
        "memory_range": hex(board.memory_bytes),
        "other_segments": " ".join(system.other_segments),
    }
    common = resources.files("systolith_host.package").joinpath("block_design.tcl").read_text()
    title = comment(f"{core.config.name} on {board.title}, at {mhz:g} MHz.")
    return f"# {title}\n\n{_sets(values)}\n{common}"


def _sets(values: Mapping[str, str]) -> str:
    return "".join(f"set {name} {tcl_word(value)}\n" for name, value in values.items())


def write_scripts(core: Core, board: ZynqBoard, out: Path, mhz: float) -> list[Path]:
    """Write the board's script and constraints to ``vivado/`` next to the core's folder.

    Not inside: Vivado would take the files that it generates there for further cores.
    """
    folder = out / "vivado"
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / f"{board.name}.tcl"
    script.write_text(block_design_script(core, board, mhz))
    constraints = folder / f"{board.name}.xdc"
    constraints.write_text(_CONSTRAINTS.format(title=comment(board.title)))
    return [script, constraints]
