"""A model of Vivado: a real Tcl interpreter with the commands that the scripts use.

It knows the pins of the core from its component.xml, and those of AMD's cells from public block
designs, such as those of PYNQ 3.0.1. It refuses commands, options and pins that it does not know.
"""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from systolith_host.package.core import Core
from systolith_host.package.ipxact import NAMESPACE
from systolith_host.package.zynq import ZYNQ_BOARDS

SPIRIT = f"{{{NAMESPACE}}}"

# Of each cell: pins with direction, buses with role, address spaces, segments with their sizes.
CELLS = {
    "xilinx.com:ip:zynq_ultra_ps_e": (
        {
            "pl_clk0": "out",
            "pl_resetn0": "out",
            "pl_ps_irq0": "in",
            "maxihpm0_fpd_aclk": "in",
            "saxihp0_fpd_aclk": "in",
        },
        {"M_AXI_HPM0_FPD": "master", "S_AXI_HP0_FPD": "slave"},
        ["Data"],
        ["SAXIGP2/HP0_DDR_LOW", "SAXIGP2/HP0_LPS_OCM", "SAXIGP2/HP0_QSPI"],
    ),
    "xilinx.com:ip:processing_system7": (
        {
            "FCLK_CLK0": "out",
            "FCLK_RESET0_N": "out",
            "IRQ_F2P": "in",
            "M_AXI_GP0_ACLK": "in",
            "S_AXI_HP0_ACLK": "in",
        },
        {"M_AXI_GP0": "master", "S_AXI_HP0": "slave"},
        ["Data"],
        ["S_AXI_HP0/HP0_DDR_LOWOCM"],
    ),
    "xilinx.com:ip:proc_sys_reset": (
        {
            "slowest_sync_clk": "in",
            "ext_reset_in": "in",
            "peripheral_reset": "out",
            "interconnect_aresetn": "out",
        },
        {},
        [],
        [],
    ),
    "xilinx.com:ip:smartconnect": (
        {"aclk": "in", "aresetn": "in"},
        {"S00_AXI": "slave", "M00_AXI": "master"},
        [],
        [],
    ),
}


def core_cell(component: str):
    """Return the core's pins, buses, address spaces and segments, from component.xml."""
    tree = ElementTree.fromstring(component)
    pins, buses = {}, {}
    for node in tree.iter(f"{SPIRIT}busInterface"):
        name = node.findtext(f"{SPIRIT}name")
        role = "master" if node.find(f"{SPIRIT}master") is not None else "slave"
        kind = node.find(f"{SPIRIT}busType")
        assert kind is not None
        if kind.get(f"{SPIRIT}name") == "aximm":
            buses[name] = role
        else:
            pins[node.findtext(f".//{SPIRIT}physicalPort/{SPIRIT}name")] = (
                "out" if role == "master" else "in"
            )
    spaces = [node.findtext(f"{SPIRIT}name") for node in tree.iter(f"{SPIRIT}addressSpace")]
    segments = [
        f"{node.findtext(f'{SPIRIT}name')}/{block.findtext(f'{SPIRIT}name')}"
        for node in tree.iter(f"{SPIRIT}memoryMap")
        for block in node.iter(f"{SPIRIT}addressBlock")
    ]
    return pins, buses, spaces, segments


class Vivado:
    """The scripts' requests to Vivado, recorded."""

    def __init__(self, core: Core, component: str, **properties: str) -> None:
        self.core = core
        self.kinds = CELLS | {core.vlnv: core_cell(component)}
        self.board_parts = [f"{board.board_part}:1.9" for board in ZYNQ_BOARDS.values()]
        self.board_parts += [f"{board.board_part}:1.10" for board in ZYNQ_BOARDS.values()]
        self.catalogue = [core.vlnv]
        self.cells: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self.drivers: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.assigned: list[tuple[int, int, str, str]] = []
        self.excluded: list[str] = []
        self.calls: list[str] = []
        self.refused: AssertionError | None = None
        self.properties = {"PROGRESS": "100%", "STATS.WNS": "0.250", "STATUS": "ended"} | properties
        import tkinter  # some builds of Python have none

        self.tcl = tkinter.Tcl()
        self.error = tkinter.TclError
        for name in dir(self):
            if name.startswith("do_"):
                self._register(name.removeprefix("do_"), getattr(self, name))

    def _register(self, name: str, function: Callable) -> None:
        def called(*arguments):
            self.calls.append(name)
            try:
                return function(*arguments)
            except AssertionError as error:
                self.refused = error
                raise

        self.tcl.createcommand(name, called)

    def source(self, script: Path, *arguments: str) -> None:
        self.tcl.setvar("argv", " ".join(arguments))
        try:
            self.tcl.eval(f"source {{{script}}}")
        except self.error:
            if self.refused is not None:
                raise self.refused from None
            raise

    def split(self, text: str) -> tuple[str, ...]:
        return self.tcl.splitlist(text)

    @staticmethod
    def options(arguments, flags=(), values=()):
        """Return options and positional arguments; refuse options that are not listed."""
        found, rest, todo = {}, [], list(arguments)
        while todo:
            word = todo.pop(0)
            if str(word) in flags:
                found[word] = True
            elif str(word) in values:
                found[word] = todo.pop(0)
            else:
                assert not re.match(r"-[a-z]", str(word)), f"unknown option {word}"
                rest.append(word)
        return found, rest

    # Project

    def do_get_board_parts(self, *arguments):
        _, (pattern,) = self.options(arguments, ["-quiet"])
        return tuple(name for name in self.board_parts if name.startswith(pattern.rstrip("*")))

    def do_create_project(self, *arguments):
        options, (name, folder) = self.options(arguments, ["-force"], ["-part"])
        self.project, self.folder, self.part = name, Path(folder), options["-part"]

    def do_current_project(self):
        return "project"

    def do_current_fileset(self):
        return "sources_1"

    def do_set_property(self, *arguments):
        options, rest = self.options(arguments, [], ["-dict"])
        if "-dict" in options:
            words = self.split(options["-dict"])
            assert len(words) % 2 == 0
            (target,) = rest
            pairs = zip(words[::2], words[1::2], strict=True)
        else:
            name, value, target = rest
            pairs = [(name, value)]
        for name, value in pairs:
            self.settings[f"{target}.{name}"] = str(value)

    def do_update_ip_catalog(self):
        folder = Path(self.settings["project.ip_repo_paths"])
        assert (folder / "component.xml").is_file()

    def do_get_ipdefs(self, *arguments):
        _, (vlnv,) = self.options(arguments, ["-quiet"])
        return tuple(name for name in self.catalogue if name == vlnv)

    def do_add_files(self, *arguments):
        _, (path,) = self.options(arguments, ["-norecurse"], ["-fileset"])
        assert Path(path).is_file() or path == "wrapper.v"

    # Block design

    def do_create_bd_design(self, name):
        self.design = name

    def do_create_bd_cell(self, *arguments):
        options, (name,) = self.options(arguments, [], ["-type", "-vlnv"])
        assert options["-type"] == "ip"
        assert options["-vlnv"] in self.kinds
        assert name not in self.cells
        self.cells[name] = options["-vlnv"]
        return name

    def do_apply_bd_automation(self, *arguments):
        options, (cell,) = self.options(arguments, [], ["-rule", "-config"])
        assert options["-rule"] == self.cells[cell].replace(":ip:", ":bd_rule:")
        assert 'apply_board_preset "1"' in options["-config"]
        assert "project.board_part" in self.settings

    def _inside(self, path: str, place: int):
        cell, _, rest = path.partition("/")
        assert cell in self.cells, f"no cell {cell}"
        return self.kinds[self.cells[cell]][place], rest

    def do_get_bd_pins(self, path):
        pins, name = self._inside(path, 0)
        assert name in pins, f"no pin {path}"
        return path

    def do_get_bd_intf_pins(self, path):
        buses, name = self._inside(path, 1)
        assert name in buses, f"no bus {path}"
        return path

    def do_connect_bd_net(self, *pins):
        source, sink = pins
        directions = [self._inside(pin, 0)[0][pin.partition("/")[2]] for pin in pins]
        assert directions == ["out", "in"], f"{source} to {sink}"
        assert sink not in self.drivers, f"{sink} has two drivers"
        self.drivers[sink] = source

    def do_connect_bd_intf_net(self, *buses):
        master, slave = buses
        roles = [self._inside(bus, 1)[0][bus.partition("/")[2]] for bus in buses]
        assert roles == ["master", "slave"], f"{master} to {slave}"
        assert master not in self.links
        assert slave not in self.links.values()
        self.links[master] = slave

    # Addresses

    def do_get_bd_addr_spaces(self, path):
        spaces, name = self._inside(path, 2)
        assert name in spaces, f"no address space {path}"
        return path

    def do_get_bd_addr_segs(self, *arguments):
        options, (path,) = self.options(arguments, ["-quiet"])
        segments, name = self._inside(path, 3)
        if name not in segments:
            assert options, f"no segment {path}"
            return ""
        return path

    def do_assign_bd_address(self, *arguments):
        wanted = ["-offset", "-range", "-target_address_space"]
        options, (segment,) = self.options(arguments, [], wanted)
        offset, size, space = (options[name] for name in wanted)
        self.assigned.append((int(str(offset), 0), int(str(size), 0), space, segment))

    def do_exclude_bd_addr_seg(self, *arguments):
        _, (segment,) = self.options(arguments, [], ["-target_address_space"])
        self.excluded.append(segment)

    def do_validate_bd_design(self):
        self.check()

    def do_save_bd_design(self):
        pass

    def check(self) -> None:
        """Check as Vivado does: refuse open inputs, open buses, masters without slaves."""
        for cell, kind in self.cells.items():
            pins, buses, _, _ = self.kinds[kind]
            for name in (name for name, direction in pins.items() if direction == "in"):
                assert f"{cell}/{name}" in self.drivers, f"{cell}/{name} is open"
            for name, role in buses.items():
                ends = self.links if role == "master" else self.links.values()
                assert f"{cell}/{name}" in ends, f"{cell}/{name} is open"

    # Bitstream

    def do_get_files(self, name):
        assert name == f"{self.design}.bd"
        return name

    def do_generate_target(self, what, design):
        assert (what, design) == ("all", f"{self.design}.bd")

    def do_make_wrapper(self, *arguments):
        self.options(arguments, ["-top"], ["-files"])
        return "wrapper.v"

    def do_update_compile_order(self, *arguments):
        self.options(arguments, [], ["-fileset"])

    def do_launch_runs(self, *arguments):
        options, (run,) = self.options(arguments, [], ["-to_step", "-jobs"])
        assert (run, options["-to_step"]) == ("impl_1", "write_bitstream")
        top = self.settings["sources_1.top"]
        files = {
            f"{self.project}.runs/impl_1/{top}.bit": "bits",
            f"{self.project}.gen/sources_1/bd/{self.design}/hw_handoff/{self.design}.hwh": "hwh",
        }
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True)
            (self.folder / name).write_text(text)

    def do_wait_on_run(self, run):
        assert run == "impl_1"

    def do_get_runs(self, run):
        return run

    def do_open_run(self, run):
        assert run == "impl_1"

    def do_get_property(self, name, target):
        assert target == "impl_1"
        if name == "DIRECTORY":
            return str(self.folder / f"{self.project}.runs" / "impl_1")
        return self.properties[name]

    def do_report_utilization(self, *arguments):
        self.options(arguments, ["-hierarchical"], ["-file"])

    def do_report_timing_summary(self, *arguments):
        self.options(arguments, [], ["-file"])

    def do_puts(self, text):
        pass


@pytest.fixture
def start_vivado():
    """Return the class of runs: it takes a core, its component.xml, and properties of the run."""
    return Vivado
