"""Writes the package of a core: Verilog, description, constraints."""

import re
from dataclasses import dataclass
from pathlib import Path

from systolith_host.package.ipxact import (
    LIBRARY,
    VENDOR,
    CoreFile,
    component_xml,
    core_version,
)
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Core", "core_name", "write_core"]

_CONSTRAINTS = """\
# For synthesis out of context; in a design the core's clock is the design's.
create_clock -name clk -period {period:.3f} [get_ports clk]
"""


@dataclass(frozen=True)
class Core:
    """A package that has been written.

    Parameters
    ----------
    config : AcceleratorConfig
    name : str
        Of the component and its top module.
    folder : Path
    paths : tuple of Path
        Its files, component.xml last.
    """

    config: AcceleratorConfig
    name: str
    folder: Path
    paths: tuple[Path, ...]

    @property
    def vlnv(self) -> str:
        """Its identifier in block designs."""
        return f"{VENDOR}:{LIBRARY}:{self.name}:{core_version()}"


def core_name(config: AcceleratorConfig) -> str:
    """Return the component's name, which can stand in Verilog, XML and Tcl."""
    return re.sub(r"[^a-z0-9]+", "_", f"systolith_{config.name}".lower()).strip("_")


def write_core(config: AcceleratorConfig, folder: Path, *, mhz: float) -> Core:
    """Write component.xml and the files that it names.

    Two cores with names of their own can stand in one design: all their modules carry the name.

    Parameters
    ----------
    mhz : float
        Clock of the synthesis out of context.

    Raises
    ------
    GenerateError
        If Yosys fails.
    OSError
        If the folder cannot be written.
    """
    # Amaranth takes a second to import.
    from systolith_hw.accelerator import Accelerator
    from systolith_hw.generate import Flavour, accelerator_facts, component_verilog

    name = core_name(config)
    verilog = CoreFile(f"hdl/{name}.v", "verilogSource", ("synthesis", "simulation"))
    constraints = CoreFile(
        f"constraints/{name}_ooc.xdc",
        "xdc",
        ("constraints",),
        ("USED_IN_synthesis", "USED_IN_implementation", "USED_IN_out_of_context"),
    )
    text = component_verilog(Accelerator(config), name, Flavour.PLAIN)
    ports = accelerator_facts(config)["ports"]
    contents = {
        verilog.path: text,
        constraints.path: _CONSTRAINTS.format(period=1000 / mhz),
        "component.xml": component_xml(config, name, ports, (verilog, constraints)),
    }
    paths = []
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
        paths.append(folder / path)
    return Core(config, name, folder, tuple(paths))
