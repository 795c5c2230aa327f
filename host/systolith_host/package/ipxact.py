"""The description of the core as IP-XACT (IEEE 1685-2009), as Vivado's IP packager writes it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import ADDR_WIDTH, IDENTITY, REGISTERS, VERSION, Register

__all__ = [
    "ADDRESS_BLOCK",
    "LIBRARY",
    "NAMESPACE",
    "VENDOR",
    "CoreFile",
    "component_xml",
    "core_version",
]

NAMESPACE = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
_XILINX = "http://www.xilinx.com"

VENDOR = "systolith"
LIBRARY = "accelerator"

ADDRESS_BLOCK = "registers"
"""Name of the address block, by which block designs find the registers."""

_FAMILIES = ("artix7", "kintex7", "virtex7", "zynq", "kintexu", "kintexuplus", "zynquplus")
"""AMD families with the DSP48 and block RAM that the core is written for, by Vivado's names."""

_ACCESS = {"ro": "read-only", "rw": "read-write", "w1": "write-only", "w1c": "read-write"}


@dataclass(frozen=True)
class CoreFile:
    """A file of the package.

    Parameters
    ----------
    path : str
        Relative to component.xml.
    kind : str
        IP-XACT's fileType; one that it does not know, such as "xdc", becomes a user file type.
    uses : tuple of str
        "synthesis", "simulation", "constraints".
    tags : tuple of str
        Further user file types, by which Vivado knows when to read it.
    """

    path: str
    kind: str
    uses: tuple[str, ...]
    tags: tuple[str, ...] = ()


_FILE_SETS = {
    "synthesis": "xilinx_anylanguagesynthesis_view_fileset",
    "simulation": "xilinx_anylanguagebehavioralsimulation_view_fileset",
    "constraints": "xilinx_synthesisconstraints_view_fileset",
}

_VIEWS = (
    ("xilinx_anylanguagesynthesis", ":vivado.xilinx.com:synthesis", ("synthesis", "constraints")),
    ("xilinx_anylanguagebehavioralsimulation", ":vivado.xilinx.com:simulation", ("simulation",)),
)


def core_version() -> str:
    """Return the version that tools see: that of the register map, which hosts depend on."""
    return f"{VERSION}.0"


def component_xml(
    config: AcceleratorConfig,
    name: str,
    ports: Sequence[Mapping[str, Any]],
    files: Sequence[CoreFile],
) -> str:
    """Return component.xml.

    Parameters
    ----------
    config : AcceleratorConfig
    name : str
        Of the component and of its top module.
    ports : sequence of mapping
        As :func:`systolith_hw.generate.accelerator_facts` has them.
    files : sequence of CoreFile
    """
    ElementTree.register_namespace("spirit", NAMESPACE)
    ElementTree.register_namespace("xilinx", _XILINX)
    root = ElementTree.Element(_tag("component"))
    _texts(root, vendor=VENDOR, library=LIBRARY, name=name, version=core_version())
    _add_bus_interfaces(root, config, [port["name"] for port in ports])
    space = _node(root, "addressSpaces", "addressSpace")
    _texts(space, name="m_axi", range=hex(1 << config.addr_width), width=config.bus_bytes * 8)
    _add_memory_map(root, config)
    _add_model(root, name, ports)
    _add_files(root, files)
    _texts(root, description=f"Systolith, a {config.rows}x{config.cols} systolic CNN accelerator")
    _add_parameter(_node(root, "parameters"), "Component_Name", name, "PARAM_VALUE.Component_Name")
    _add_extensions(root, config)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _node(parent: ElementTree.Element, *names: str) -> ElementTree.Element:
    """Append an element, and one in the other."""
    for name in names:
        parent = ElementTree.SubElement(parent, _tag(name))
    return parent


def _texts(parent: ElementTree.Element, **values: object) -> None:
    for name, value in values.items():
        _node(parent, name).text = str(value)


def _add_parameter(parent: ElementTree.Element, name: str, value: object, key: str) -> None:
    parameter = _node(parent, "parameter")
    _texts(parameter, name=name)
    element = _node(parameter, "value")
    element.text = str(value)
    element.set(_tag("resolve"), "immediate")
    element.set(_tag("id"), key)


def _add_bus_interfaces(
    root: ElementTree.Element, config: AcceleratorConfig, ports: Sequence[str]
) -> None:
    interfaces = _node(root, "busInterfaces")

    def add(name: str, kind: str, role: str, pins: Mapping[str, str], **parameters: object) -> None:
        library = "interface" if kind == "aximm" else "signal"
        interface = _node(interfaces, "busInterface")
        _texts(interface, name=name)
        for element, suffix in (("busType", ""), ("abstractionType", "_rtl")):
            reference = _node(interface, element)
            values = ("xilinx.com", library, f"{kind}{suffix}", "1.0")
            for key, value in zip(("vendor", "library", "name", "version"), values, strict=True):
                reference.set(_tag(key), value)
        side = _node(interface, role)
        if kind == "aximm":
            link = "addressSpaceRef" if role == "master" else "memoryMapRef"
            _node(side, link).set(_tag(link), name)
        maps = _node(interface, "portMaps")
        for logical, physical in pins.items():
            one = _node(maps, "portMap")
            _texts(_node(one, "logicalPort"), name=logical)
            _texts(_node(one, "physicalPort"), name=physical)
        if parameters:
            values_node = _node(interface, "parameters")
            for key, value in parameters.items():
                _add_parameter(values_node, key, value, f"BUSIFPARAM_VALUE.{name.upper()}.{key}")

    def bus(prefix: str) -> dict[str, str]:
        start = f"{prefix}_"
        return {port.removeprefix(start).upper(): port for port in ports if port.startswith(start)}

    add(
        "m_axi",
        "aximm",
        "master",
        bus("m_axi"),
        PROTOCOL="AXI4",
        DATA_WIDTH=config.bus_bytes * 8,
        ADDR_WIDTH=config.addr_width,
        MAX_BURST_LENGTH=config.burst_beats,
        NUM_READ_OUTSTANDING=config.outstanding_reads,
        NUM_WRITE_OUTSTANDING=config.outstanding_writes,
        SUPPORTS_NARROW_BURST=0,
    )
    add(
        "s_axil",
        "aximm",
        "slave",
        bus("s_axil"),
        PROTOCOL="AXI4LITE",
        DATA_WIDTH=32,
        ADDR_WIDTH=ADDR_WIDTH,
    )
    add("rst", "reset", "slave", {"RST": "rst"}, POLARITY="ACTIVE_HIGH")
    add(
        "clk",
        "clock",
        "slave",
        {"CLK": "clk"},
        ASSOCIATED_BUSIF="m_axi:s_axil",
        ASSOCIATED_RESET="rst",
    )
    add("irq", "interrupt", "master", {"INTERRUPT": "irq"}, SENSITIVITY="LEVEL_HIGH")


def _words(register: Register) -> Iterable[tuple[str, int, int]]:
    """Yield (name, byte offset, lowest bit) of each word: the bus reads 32 bits at a time."""
    yield register.name, register.offset, 0
    if register.width == 64:
        yield f"{register.name}_HIGH", register.offset + 4, 32


def _add_memory_map(root: ElementTree.Element, config: AcceleratorConfig) -> None:
    memory_map = _node(root, "memoryMaps", "memoryMap")
    _texts(memory_map, name="s_axil")
    block = _node(memory_map, "addressBlock")
    _texts(block, name=ADDRESS_BLOCK, baseAddress="0", range=1 << ADDR_WIDTH, width=32)
    _texts(block, usage="register", access="read-write")
    constants = {"ID": IDENTITY, "VERSION": VERSION, "FINGERPRINT": config.fingerprint}
    for register in REGISTERS.values():
        for name, offset, low in _words(register):
            node = _node(block, "register")
            half = ", upper half" if low else ""
            _texts(node, name=name, description=f"{register.doc}{half}", addressOffset=hex(offset))
            constant = register.name in constants
            changes = register.access == "w1c" or (register.access == "ro" and not constant)
            _texts(node, size=32, volatile=str(changes).lower(), access=_ACCESS[register.access])
            if register.access != "w1":
                value = constants.get(register.name, 0) >> low & 0xFFFFFFFF
                _texts(_node(node, "reset"), value=hex(value))
            _add_fields(node, register)


def _add_fields(node: ElementTree.Element, register: Register) -> None:
    for index, bit in enumerate(register.bits):
        field = _node(node, "field")
        _texts(field, name=bit, bitOffset=index, bitWidth=1, access=_ACCESS[register.access])
        if register.access == "w1c":
            _texts(field, modifiedWriteValue="oneToClear")


def _add_model(root: ElementTree.Element, name: str, ports: Sequence[Mapping[str, Any]]) -> None:
    model = _node(root, "model")
    views = _node(model, "views")
    for view_name, environment, uses in _VIEWS:
        view = _node(views, "view")
        _texts(view, name=view_name, envIdentifier=environment, language="verilog", modelName=name)
        for use in uses:
            _texts(_node(view, "fileSetRef"), localName=_FILE_SETS[use])
    listing = _node(model, "ports")
    for port in ports:
        one = _node(listing, "port")
        _texts(one, name=port["name"])
        wire = _node(one, "wire")
        _texts(wire, direction={"input": "in", "output": "out"}[port["direction"]])
        if port["width"] > 1:
            _texts(_node(wire, "vector"), left=port["width"] - 1, right=0)
        definition = _node(wire, "wireTypeDefs", "wireTypeDef")
        _texts(definition, typeName="wire")
        for view_name, _, _ in _VIEWS:
            _texts(definition, viewNameRef=view_name)


def _add_files(root: ElementTree.Element, files: Sequence[CoreFile]) -> None:
    sets = _node(root, "fileSets")
    for use, set_name in _FILE_SETS.items():
        chosen = [file for file in files if use in file.uses]
        if not chosen:
            continue
        file_set = _node(sets, "fileSet")
        _texts(file_set, name=set_name)
        for file in chosen:
            node = _node(file_set, "file")
            _texts(node, name=file.path)
            known = file.kind.endswith("Source")
            _texts(node, **{"fileType" if known else "userFileType": file.kind})
            for tag in file.tags:
                _texts(node, userFileType=tag)


def _add_extensions(root: ElementTree.Element, config: AcceleratorConfig) -> None:
    """Add the entries of Vivado's catalogue; other tools ignore them."""
    core = ElementTree.SubElement(_node(root, "vendorExtensions"), f"{{{_XILINX}}}coreExtensions")

    def text(parent: ElementTree.Element, name: str, value: str) -> ElementTree.Element:
        element = ElementTree.SubElement(parent, f"{{{_XILINX}}}{name}")
        element.text = value
        return element

    families = ElementTree.SubElement(core, f"{{{_XILINX}}}supportedFamilies")
    for family in _FAMILIES:
        text(families, "family", family).set(f"{{{_XILINX}}}lifeCycle", "Beta")
    taxonomies = ElementTree.SubElement(core, f"{{{_XILINX}}}taxonomies")
    text(taxonomies, "taxonomy", "/Machine_Learning")
    text(core, "displayName", f"Systolith {config.name} ({config.rows}x{config.cols})")
    text(core, "vendorDisplayName", "Systolith")
    text(core, "coreRevision", "1")
