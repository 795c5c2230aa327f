"""Resources of the accelerator on AMD's FPGAs, by Yosys: area only, nothing is placed."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.fpga.synthesis import run_yosys
from systolith_hw.spec.config import AcceleratorConfig

__all__ = [
    "FAMILIES",
    "AreaReport",
    "Family",
    "area",
    "load_family",
    "measure_area",
    "multiplier_use",
    "synthesis_commands",
]

TOP = "accelerator"


@dataclass(frozen=True)
class Family:
    """A family of parts, as Yosys' synth_xilinx knows it.

    Parameters
    ----------
    name : str
        As synth_xilinx has it.
    title : str
    dsp : str
        Cell of a multiplier with its adder.
    rams : mapping of str to float
        Cells of memory, in block RAMs of 36 Kbit.
    """

    name: str
    title: str
    dsp: str
    rams: Mapping[str, float]


FAMILIES = {
    family.name: family
    for family in (
        Family("xc7", "7 series", "DSP48E1", {"RAMB36E1": 1, "RAMB18E1": 0.5}),
        Family("xcup", "UltraScale+", "DSP48E2", {"RAMB36E2": 1, "RAMB18E2": 0.5, "URAM288": 8}),
    )
}

_LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    **{"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4},
    **{"RAM32M16": 8, "RAM64M8": 8, "SRL16E": 1, "SRLC32E": 1},
}
"""LUTs of a cell (AMD UG953, UG974)."""


@dataclass(frozen=True)
class AreaReport:
    """Resources of a configuration on a family.

    Parameters
    ----------
    config : AcceleratorConfig
    family : Family
    need : dict of str to float
        LUT, FF, DSP and block RAM (of 36 Kbit).
    multipliers : dict of str to int
        How many of the DSPs use their inner registers and adder, see :func:`multiplier_use`.
    cells : dict of str to int
        All cells by type.
    seconds : float
    """

    config: AcceleratorConfig
    family: Family
    need: dict[str, float]
    multipliers: dict[str, int]
    cells: dict[str, int]
    seconds: float

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        content = {
            "config": self.config.to_dict(),
            "fingerprint": f"{self.config.fingerprint:#018x}",
            "family": self.family.name,
            "resources": self.need,
            "multipliers": self.multipliers,
            "cells": dict(sorted(self.cells.items())),
            "synthesis_seconds": self.seconds,
        }
        path.write_text(json.dumps(content, indent=2) + "\n")


def load_family(name: str) -> Family:
    """Return the family of that name.

    Raises
    ------
    SystolithError
        If there is none.
    """
    if name not in FAMILIES:
        raise SystolithError(f"--family must be one of {', '.join(FAMILIES)}, not {name!r}")
    return FAMILIES[name]


def synthesis_commands(top: str, family: Family) -> list[str]:
    """Return Yosys' commands for a family."""
    command = f"synth_xilinx -family {family.name} -top {top} -flatten"
    # Without splitnets Yosys 0.70 fails in abc9 on some designs: YosysHQ/yosys issues 4349, 4451.
    return [f"{command} -run :map_luts", "splitnets", f"{command} -run map_luts:"]


def area(cells: Mapping[str, int], family: Family) -> dict[str, float]:
    """Return the resources of cells: LUT, FF, DSP, and block RAM in units of 36 Kbit."""
    return {
        "LUT": sum(weight * cells.get(cell, 0) for cell, weight in _LUTS.items()),
        "FF": sum(
            count for cell, count in cells.items() if cell in ("FDRE", "FDSE", "FDCE", "FDPE")
        ),
        "DSP": cells.get(family.dsp, 0),
        "block RAM": sum(weight * cells.get(cell, 0) for cell, weight in family.rams.items()),
    }


def multiplier_use(netlist: Mapping[str, Any], family: Family) -> dict[str, int]:
    """Return how many DSPs hold which registers, and how many add a sum inside.

    Parameters
    ----------
    netlist : mapping
        Yosys' JSON.
    """
    use: Counter[str] = Counter()
    for module in netlist["modules"].values():
        for cell in module.get("cells", {}).values():
            if cell["type"] != family.dsp:
                continue
            use["all"] += 1
            for what, parameters in (
                ("input registers", ("AREG", "BREG")),
                ("product register", ("MREG",)),
                ("sum register", ("PREG",)),
            ):
                use[what] += all(_number(cell["parameters"][name]) > 0 for name in parameters)
            use["sum inside"] += any(
                _is_driven(cell["connections"].get(port, ())) for port in ("C", "PCIN")
            )
    return dict(use)


def _number(value: str | int) -> int:
    return int(value, 2) if isinstance(value, str) else value


def _is_driven(bits: Any) -> bool:
    """Whether any bit is a net rather than a constant."""
    return any(isinstance(bit, int) for bit in bits)


def measure_area(
    config: AcceleratorConfig, family: Family, folder: Path, stage: Callable[[str], None]
) -> AreaReport:
    """Synthesise the accelerator for a family; all files go to `folder`.

    Raises
    ------
    SystolithError
        If Yosys fails or the folder cannot be written.
    """
    # Amaranth takes a second to import.
    from systolith_hw.accelerator import Accelerator
    from systolith_hw.generate import component_rtlil

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystolithError(f"{folder}: cannot be written: {error.strerror}") from None
    stage("generating")
    text = component_rtlil(Accelerator(config), TOP)
    stage(f"synthesis for {family.title}")
    netlist = run_yosys(text, TOP, folder, synthesis_commands(TOP, family))
    use = multiplier_use(json.loads(netlist.path.read_text()), family)
    cells = dict(netlist.cells)
    return AreaReport(config, family, area(cells, family), use, cells, netlist.seconds)
