# amaranth: UnusedElaboratable=no
"""From a configuration to Verilog: Amaranth writes RTLIL, Yosys cleans it up and writes Verilog."""

import json
import re
import subprocess
import sys
import tempfile
from enum import Enum
from pathlib import Path
from typing import Any

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]  # not in the stubs
from amaranth.hdl import Value
from amaranth.lib import wiring

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.errors import SystolithError
from systolith_hw.spec.registers import REGISTERS, VERSION

__all__ = [
    "Flavour",
    "GenerateError",
    "accelerator_facts",
    "accelerator_verilog",
    "component_rtlil",
    "component_verilog",
    "write_accelerator",
]

TOP = "accelerator"


class GenerateError(SystolithError):
    """Yosys refused the netlist; the message is its own."""


class Flavour(str, Enum):
    """The reader for whom the Verilog is written."""

    PLAIN = "plain"
    """For people and synthesis tools: the hierarchy and the names stay."""
    SIMULATION = "simulation"
    """For simulators: optimised across the hierarchy, which halves Verilator's work."""


_PASSES = {
    Flavour.PLAIN: ("proc", "opt", "clean"),
    Flavour.SIMULATION: ("proc", "opt -full", "wreduce", "opt_clean -purge"),
}

# A process of its own keeps Yosys' text, its global state and its memory out of the caller.
_DRIVER = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    design.run_pass(command)
"""

_ZERO_MEMORY = re.compile(
    r"^ *cell \$meminit_v2 \S+\n(?: *parameter [^\n]*\n)* *connect \\ADDR[^\n]*\n"
    r" *connect \\DATA \d+'0+\n *connect \\EN[^\n]*\n *end\n",
    re.MULTILINE,
)


_MEMORY = re.compile(
    r"^ *reg (?:signed )?\[\d+:0\] (?P<name>\S+) ?\[(?P<depth>\d+):0\];", re.MULTILINE
)


def component_rtlil(component: wiring.Component, name: str, platform: object = None) -> str:
    """Return a component as RTLIL, Yosys' own text; memories of zeros carry no initial values."""
    text = rtlil.convert(component, name=name, platform=platform, emit_src=False)
    return _ZERO_MEMORY.sub("", text)


def component_verilog(
    component: wiring.Component,
    name: str,
    flavour: Flavour,
    *,
    flatten: bool = False,
    platform: object = None,
) -> str:
    """Return a component as Verilog-2005 text.

    Memories stay memories. A memory that Amaranth initialises with zeros is left without initial
    values, which would take one line per word; a memory with any other content keeps it.

    Parameters
    ----------
    component : wiring.Component
        The top module; its ports keep their names, ``clk`` and ``rst`` are added.
    name : str
        Name of the top module, and prefix of the others'.
    flavour : Flavour
        The reader for whom it is written.
    flatten : bool
        Whether to make a single module of it.
    platform : object, optional
        For ``elaborate``: :class:`~systolith_hw.primitives.ecp5.Ecp5` makes that part's own
        primitives of multipliers and memories. Attributes, such as sites, are kept then.

    Raises
    ------
    GenerateError
        If Yosys fails.
    """
    netlist = component_rtlil(component, name, platform)
    with tempfile.TemporaryDirectory(prefix="systolith-yosys-") as folder:
        (Path(folder) / "in.il").write_text(netlist)
        passes = list(_PASSES[flavour])
        if flatten:
            passes[1:1] = ["flatten"]
        commands = [
            "read_rtlil in.il",
            f"hierarchy -top {name}",
            *passes,
            "write_verilog out.v" if platform else "write_verilog -noattr out.v",
        ]
        done = subprocess.run(
            [sys.executable, "-c", _DRIVER],
            input="\n".join(commands),
            capture_output=True,
            text=True,
            cwd=folder,
        )
        output = Path(folder) / "out.v"
        if done.returncode or not output.exists():
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            errors = [line for line in lines if "ERROR" in line] or lines or ["no output"]
            raise GenerateError(f"Yosys failed on {name}: {errors[-1].strip()}")
        return _zeroed(output.read_text())


def _zeroed(verilog: str) -> str:
    """Make memories without initial values start at zero, as in FPGAs, instead of X."""
    if "initial begin" in verilog:
        initialised = set(re.findall(r"^ +(\S+)\[\d+\] = ", verilog, re.MULTILINE))
    else:
        initialised = set()

    def loop(match: re.Match[str]) -> str:
        name, depth = match["name"], int(match["depth"]) + 1
        if name in initialised:
            return match[0]
        index = f"zero_{name.lstrip(chr(92)).replace('.', '_')}"
        return (
            f"{match[0]}\n  integer {index};\n"
            f"  initial for ({index} = 0; {index} < {depth}; {index} = {index} + 1)"
            f" {name} [{index}] = 0;"
        )

    return _MEMORY.sub(loop, verilog)


def accelerator_verilog(
    config: AcceleratorConfig, flavour: Flavour = Flavour.PLAIN, *, flatten: bool = False
) -> str:
    """Return the accelerator of a configuration as Verilog; its top module is ``accelerator``."""
    return component_verilog(_accelerator(config), TOP, flavour, flatten=flatten)


def accelerator_facts(config: AcceleratorConfig) -> dict[str, Any]:
    """Return the facts for users of the Verilog: configuration, ports, buffers, registers."""
    component = _accelerator(config)
    ports = [
        {"name": "clk", "direction": "input", "width": 1},
        {"name": "rst", "direction": "input", "width": 1},
    ]
    for path, member, value in component.signature.flatten(component):
        ports.append(
            {
                "name": "__".join(str(part) for part in path),
                "direction": "input" if member.flow is wiring.In else "output",
                "width": len(Value.cast(value)),
            }
        )
    return {
        "config": config.to_dict(),
        "fingerprint": f"{config.fingerprint:#018x}",
        "version": VERSION,
        "top": TOP,
        "multipliers": config.multipliers,
        "ports": ports,
        "buffers": {
            "activation": config.act_bytes,
            "weight": config.weight_bytes,
            "parameter": config.param_bytes,
            "accumulator": config.acc_bytes,
            "output": config.out_bytes,
        },
        "registers": [
            {
                "name": register.name,
                "offset": register.offset,
                "width": register.width,
                "access": register.access,
                "doc": register.doc,
            }
            for register in REGISTERS.values()
        ],
    }


def write_accelerator(config: AcceleratorConfig, folder: Path) -> list[Path]:
    """Write ``accelerator.v``, ``accelerator_sim.v`` and ``accelerator.json``; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / f"{TOP}.v"
    plain.write_text(accelerator_verilog(config, Flavour.PLAIN))
    simulation = folder / f"{TOP}_sim.v"
    simulation.write_text(accelerator_verilog(config, Flavour.SIMULATION))
    facts = folder / f"{TOP}.json"
    facts.write_text(json.dumps(accelerator_facts(config), indent=2) + "\n")
    return [plain, simulation, facts]


def _accelerator(config: AcceleratorConfig) -> wiring.Component:
    # Imported late: the configuration and these helpers serve without the whole gateware.
    from systolith_hw.accelerator import Accelerator

    return Accelerator(config)
