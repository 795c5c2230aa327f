"""The top modules of simulations: the accelerator with its memory, or the memory alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES
from systolith_hw.spec.memory import RATE_UNIT, TRANSACTIONS, WRITE_BEATS
from systolith_hw.spec.registers import ADDR_WIDTH

__all__ = ["EVENT_PINS", "Port", "Testbench", "accelerator_testbench", "memory_testbench"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Port:
    """A port of a top module: its name, its width in bits, and whether it is an output."""

    name: str
    width: int
    output: bool

    @property
    def declaration(self) -> str:
        """The port as Verilog."""
        direction = "output" if self.output else "input"
        span = f" [{self.width - 1}:0]" if self.width > 1 else ""
        return f"{direction} wire{span} {self.name}"


@dataclass(frozen=True)
class Testbench:
    """The input of a simulator (and not a class for pytest to collect).

    Parameters
    ----------
    top : str
        Name of the top module.
    sources : mapping of str to str
        Text of each Verilog file, by file name.
    ports : tuple of Port
        Ports of the top module, which cocotb sees.
    program : mapping of str to str
        Text of each C++ file, by name, of a program for Verilator that needs no cocotb. Without
        one, cocotb drives the simulation.
    """

    __test__ = False

    top: str
    sources: Mapping[str, str]
    ports: tuple[Port, ...]
    program: Mapping[str, str] = field(default_factory=dict)


@cache
def _memory_source() -> str:
    return (_FOLDER.parent / "memory" / "axi_memory.v").read_text()


def _axi_ports(bus_bytes: int, addr_width: int) -> list[Port]:
    """Return the ports of an AXI4 slave, without prefix."""
    address = [("id", 1), ("addr", addr_width), ("len", 8), ("size", 3), ("burst", 2)]
    ports = []
    for channel in ("aw", "ar"):
        ports += [Port(f"{channel}{name}", width, False) for name, width in address]
        ports += [Port(f"{channel}valid", 1, False), Port(f"{channel}ready", 1, True)]
    ports += [
        Port("wdata", 8 * bus_bytes, False),
        Port("wstrb", bus_bytes, False),
        Port("wlast", 1, False),
        Port("wvalid", 1, False),
        Port("wready", 1, True),
        Port("bid", 1, True),
        Port("bresp", 2, True),
        Port("bvalid", 1, True),
        Port("bready", 1, False),
        Port("rid", 1, True),
        Port("rdata", 8 * bus_bytes, True),
        Port("rresp", 2, True),
        Port("rlast", 1, True),
        Port("rvalid", 1, True),
        Port("rready", 1, False),
    ]
    return ports


_CONTROL_PORTS = (
    Port("s_axil_awaddr", ADDR_WIDTH, False),
    Port("s_axil_awvalid", 1, False),
    Port("s_axil_awready", 1, True),
    Port("s_axil_wdata", 32, False),
    Port("s_axil_wstrb", 4, False),
    Port("s_axil_wvalid", 1, False),
    Port("s_axil_wready", 1, True),
    Port("s_axil_bresp", 2, True),
    Port("s_axil_bvalid", 1, True),
    Port("s_axil_bready", 1, False),
    Port("s_axil_araddr", ADDR_WIDTH, False),
    Port("s_axil_arvalid", 1, False),
    Port("s_axil_arready", 1, True),
    Port("s_axil_rdata", 32, True),
    Port("s_axil_rresp", 2, True),
    Port("s_axil_rvalid", 1, True),
    Port("s_axil_rready", 1, False),
)

_COMMON_PORTS = (
    Port("clk", 1, False),
    Port("rst", 1, False),
    Port("bench_waits", 1, False),
    Port("irq", 1, True),
    Port("memory_sync", 2, False),
    Port("memory_breach", 3, False),
    Port("memory_breach_at", 16, False),
    Port("memory_violations", 32, True),
    Port("memory_read_beats", 48, True),
    Port("memory_write_beats", 48, True),
)

_WAVES = """\
`ifndef VERILATOR
  reg [8*1024-1:0] waves;
  initial if ($value$plusargs("waves=%s", waves)) begin
    $dumpfile(waves);
    $dumpvars(0, {top});
  end
`endif
"""


def _instance(module: str, name: str, pins: Mapping[str, str], parameters: str = "") -> str:
    lines = ",\n".join(f"    .{port}({net})" for port, net in pins.items())
    return f"  {module} {parameters}{name} (\n{lines}\n  );\n"


def _top(name: str, ports: tuple[Port, ...], body: str) -> str:
    declarations = ",\n".join(f"    {port.declaration}" for port in ports)
    waves = _WAVES.replace("{top}", name)
    return f"`timescale 1ns / 1ps\n\nmodule {name} (\n{declarations}\n);\n{body}{waves}endmodule\n"


def _memory_instance(bus_bytes: int, addr_width: int, memory_bytes: int, prefix: str) -> str:
    pins = {port.name: prefix + port.name for port in _axi_ports(bus_bytes, addr_width)}
    pins |= {"clk": "clk", "rst": "rst", "sync": "memory_sync"}
    pins |= {"breach": "memory_breach", "breach_at": "memory_breach_at"}
    pins |= {name: f"memory_{name}" for name in ("violations", "read_beats", "write_beats")}
    parameters = {
        "DATA_BYTES": bus_bytes,
        "ADDR_WIDTH": addr_width,
        "DEPTH": TRANSACTIONS,
        "WRITE_BEATS": WRITE_BEATS,
        "RATE_UNIT": RATE_UNIT,
        "MEMORY_BYTES": memory_bytes,
    }
    return _instance("axi_memory", "memory", pins, _given(parameters))


EVENT_PINS = {
    "clk": "clk",
    "running": "dut.controller.running",
    "load_state": "dut.load.status__state",
    "compute_state": "dut.core.status__state",
    "store_state": "dut.store.status__state",
    "load_passes": "dut.load.gate.o__valid & dut.load.gate.o__ready",
    "load_waits": "dut.load.jobs.o__valid",
    "load_done": "dut.load.status__done",
    "conv_passes": "dut.core.pixel_gate.o__valid & dut.core.pixel_gate.o__ready",
    "store_passes": "dut.store.gate.o__valid & dut.store.gate.o__ready",
    "store_drained": "dut.store.status__done",
    "store_acknowledged": "dut.write_port.acknowledged",
    "read_beats": "memory_read_beats",
    "write_beats": "memory_write_beats",
}
"""The signals that event_recorder.v observes; the accelerator's Verilog must have its hierarchy."""


def _write_recorder(config: AcceleratorConfig) -> str:
    """Return the instance of write_recorder.v, with the accelerator's hierarchy."""
    buffers = ["act", "weight", "param"] + (["table"] if config.functions else [])
    parts = ("addr", "en", "data")
    pins = {f"{name}_{part}": f"dut.load.{name}__{part}" for name in buffers for part in parts}
    if not config.functions:
        pins |= {"table_addr": "32'd0", "table_en": "64'd0", "table_data": "8'd0"}
    # A column's total goes to one of its banks.
    columns = [f"dut.core.column_{column}" for column in reversed(range(config.cols))]
    pins["sum_en"] = _joined(f"{column}.bank_{bank}.w_en" for column in columns for bank in (1, 0))
    pins["sum_addr"] = _joined(f"{column}.bank_0.w_addr" for column in columns)
    pins["sum_data"] = _joined(f"{column}.bank_0.w_data" for column in columns)
    pins |= {
        "clk": "clk",
        "running": "dut.controller.running",
        "burst": "m_axi_awvalid & m_axi_awready",
        "burst_addr": "m_axi_awaddr",
        "burst_len": "m_axi_awlen",
        "beat": "m_axi_wvalid & m_axi_wready",
        "beat_strobes": "m_axi_wstrb",
        "beat_data": "m_axi_wdata",
    }
    parameters = {
        "ACT_BITS": config.block * 8,
        "WEIGHT_BITS": config.cols * 8,
        "PARAM_BITS": PARAM_BYTES * 8,
        "COLUMNS": config.cols,
        "ADDR_BITS": (config.acc_depth - 1).bit_length(),
        "SUM_BITS": config.sum_width,
        "BUS_BYTES": config.bus_bytes,
    }
    return _instance("write_recorder", "writes", pins, _given(parameters))


def _joined(nets: Iterable[str]) -> str:
    return "{" + ", ".join(nets) + "}"


def _given(parameters: Mapping[str, int]) -> str:
    return f"#({', '.join(f'.{name}({value})' for name, value in parameters.items())}) "


def accelerator_testbench(
    config: AcceleratorConfig,
    verilog: str,
    memory_bytes: int = 65536,
    *,
    top: str = "accelerator",
    events: bool = False,
    writes: bool = False,
) -> Testbench:
    """Return the accelerator with its memory; its control port and interrupt are the ports.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the widths of the bus.
    verilog : str
        Text of the accelerator.
    memory_bytes : int
        Size of the memory where the simulator copies the image (Icarus).
    top : str
        Name of the accelerator's top module.
    events : bool
        Whether runs may record what the engines do (``+events=FILE``, see event_recorder.v).
    writes : bool
        Whether runs may record what they write (``+writes=FILE``, see write_recorder.v).
    """
    axi = _axi_ports(config.bus_bytes, config.addr_width)
    nets = [
        f"  wire{f' [{port.width - 1}:0]' if port.width > 1 else ''} m_axi_{port.name};\n"
        for port in axi
    ]
    pins = {"clk": "clk", "rst": "rst", "irq": "irq"}
    pins |= {port.name: port.name for port in _CONTROL_PORTS}
    pins |= {f"m_axi_{port.name}": f"m_axi_{port.name}" for port in axi}
    body = (
        "".join(nets)
        + _instance(top, "dut", pins)
        + _memory_instance(config.bus_bytes, config.addr_width, memory_bytes, "m_axi_")
    )
    ports = _COMMON_PORTS + _CONTROL_PORTS
    recorders = []
    if events:
        body += _instance("event_recorder", "recorder", EVENT_PINS)
        recorders.append("event_recorder.v")
    if writes:
        body += _write_recorder(config)
        recorders.append("write_recorder.v")
    sources = {
        "accelerator.v": verilog,
        "axi_memory.v": _memory_source(),
        **{name: (_FOLDER / name).read_text() for name in recorders},
        "tb_top.v": _top("tb_top", ports, body),
    }
    return Testbench("tb_top", sources, ports)


def memory_testbench(bus_bytes: int, addr_width: int, memory_bytes: int = 65536) -> Testbench:
    """Return the memory alone, its bus at the top as ``s_axi_...``."""
    axi = tuple(
        Port(f"s_axi_{port.name}", port.width, port.output)
        for port in _axi_ports(bus_bytes, addr_width)
    )
    ports = _COMMON_PORTS + axi
    body = _memory_instance(bus_bytes, addr_width, memory_bytes, "s_axi_")
    body += "  assign irq = 1'b0;\n"
    sources = {"axi_memory.v": _memory_source(), "tb_memory.v": _top("tb_memory", ports, body)}
    return Testbench("tb_memory", sources, ports)
