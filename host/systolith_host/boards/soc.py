# LiteX is untyped, and not installed where the rest of the package is.
# pyright: reportMissingImports=false
"""The system around the accelerator, in LiteX: host link, memory controller, identification.

Runs as a program in the Python that has LiteX: ``python -m systolith_host.boards.soc JOB.json``.
The job is what :func:`systolith_host.boards.job.system_job` returns, as JSON.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from litedram import modules as memory_modules
from litedram.common import PhySettings, get_default_cl_cwl, get_sys_latency, get_sys_phase
from litedram.init import get_sdram_phy_init_sequence, get_sdram_phy_py_header
from litedram.phy.model import SDRAMPHYModel, get_sdram_phy_settings
from liteeth.mac.crc import LiteEthMACCRCEngine
from litex.build.generic_platform import Pins
from litex.build.sim import SimPlatform
from litex.build.sim.config import SimConfig
from litex.gen import LiteXModule
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect import axi
from litex.soc.interconnect.csr import CSRStatus, CSRStorage
from migen import ClockDomain, ClockDomainsRenamer, ClockSignal, If, Instance, ResetSignal, Signal
from migen.genlib.cdc import MultiReg

from systolith_host.boards.bridge import MemoryBridge
from systolith_host.boards.links import SIMULATION_IO, add_board_links, add_simulated_link

__all__ = ["main"]

CRC_POLYNOMIAL = 0x04C11DB7
"""Polynomial of Ethernet, and of zlib.crc32."""

# No processor, and none of the cores that only a processor needs.
BARE = {
    "cpu_type": None,
    "with_uart": False,
    "with_timer": False,
    "integrated_rom_size": 0,
    "integrated_sram_size": 0,
    "l2_size": 0,  # the accelerator does not go through the cache: it would see old data
}


class Identification(LiteXModule):
    """The registers that a host reads first: the kind of system, its build, and its state."""

    def __init__(self, magic: int, build: int, interrupt: Signal) -> None:
        self._magic = CSRStatus(32, reset=magic)
        self._build = CSRStatus(64, reset=build)
        self._memory_ready = CSRStorage(32, description="Set by the host; gone with a reset.")
        self._interrupt = CSRStatus(1)
        self.specials += MultiReg(interrupt, self._interrupt.status)


class Checksum(LiteXModule):
    """CRC-32 of a stretch of memory: an upload is verified without reading it all back.

    Address and length are in words of the memory controller's port.
    """

    def __init__(self, port: Any) -> None:
        self._address = CSRStorage(32)
        self._words = CSRStorage(32)
        self._start = CSRStorage(1)
        self._busy = CSRStatus(1)
        self._crc = CSRStatus(32)

        asked = Signal(32)
        taken = Signal(32)
        crc = Signal(32)
        valid = Signal()
        word = Signal(port.data_width)
        self.engine = engine = LiteEthMACCRCEngine(port.data_width, 32, CRC_POLYNOMIAL)
        self.comb += [
            port.cmd.valid.eq(self._busy.status & (asked != self._words.storage)),
            port.cmd.we.eq(0),
            port.cmd.addr.eq(self._address.storage + asked),
            port.rdata.ready.eq(1),
            engine.data.eq(word),
            engine.crc_prev.eq(crc),
            self._crc.status.eq(~crc[::-1]),
        ]
        self.sync += [
            If(port.cmd.valid & port.cmd.ready, asked.eq(asked + 1)),
            valid.eq(port.rdata.valid),
            word.eq(port.rdata.data),
            If(valid, crc.eq(engine.crc_next), taken.eq(taken + 1)),
            If(taken == self._words.storage, self._busy.status.eq(0)),
            If(
                self._start.re,
                asked.eq(0),
                taken.eq(0),
                crc.eq(0xFFFFFFFF),
                self._busy.status.eq(1),
            ),
        ]


def _accelerator_ports(name: str, bus: Any, *, master: bool) -> dict[str, Any]:
    """Return the arguments of an Instance for a bus of the accelerator."""
    arguments: dict[str, Any] = {}
    for channel in ("aw", "w", "ar", "b", "r"):
        endpoint = getattr(bus, channel)
        outward = (channel in ("aw", "w", "ar")) is master
        arguments[f"{'o' if outward else 'i'}_{name}_{channel}valid"] = endpoint.valid
        arguments[f"{'i' if outward else 'o'}_{name}_{channel}ready"] = endpoint.ready
        fields = {"aw": ("addr", "prot"), "ar": ("addr", "prot"), "w": ("data", "strb")}
        fields |= {"b": ("resp",), "r": ("data", "resp")}
        chosen = fields[channel]
        if master:
            extra = {"b": ("id",), "r": ("id", "last"), "w": ("last",)}
            chosen += extra.get(channel, ("id", "len", "size", "burst", "cache"))
        for field in chosen:
            signal = endpoint.last if field == "last" else getattr(endpoint, field)
            arguments[f"{'o' if outward else 'i'}_{name}_{channel}{field}"] = signal
    return arguments


def add_accelerator(soc: Any, job: dict[str, Any]) -> None:
    """Put the accelerator into a system that has memory, a bus and a clock domain ``accel``."""
    native = soc.sdram.crossbar.controller.data_width
    if native != 8 * job["native_bytes"]:
        raise SystemExit(f"the memory controller is {native} bits wide, the job says otherwise")
    memory = axi.AXIInterface(
        data_width=8 * job["bus_bytes"], address_width=job["addr_width"], id_width=1
    )
    soc.memory_bridge = MemoryBridge(memory, soc.sdram.crossbar.get_port())

    # Registers: the host's bus, then the accelerator's clock.
    registers = axi.AXILiteInterface(data_width=32, address_width=32)
    crossed = axi.AXILiteInterface(data_width=32, address_width=job["register_bits"])
    soc.register_crossing = axi.AXILiteClockDomainCrossing(registers, crossed, "sys", "accel")
    region = SoCRegion(
        origin=job["register_base"], size=1 << job["register_bits"], cached=False, mode="rw"
    )
    soc.bus.add_slave("accelerator", registers, region)

    interrupt = Signal()
    soc.specials += Instance(
        "accelerator",
        i_clk=ClockSignal("accel"),
        i_rst=ResetSignal("accel"),
        o_irq=interrupt,
        **_accelerator_ports("m_axi", memory, master=True),
        **_accelerator_ports("s_axil", crossed, master=False),
    )
    soc.systolith = Identification(job["magic"], int(job["build"], 16), interrupt)
    soc.checksum = Checksum(soc.sdram.crossbar.get_port(mode="read"))
    # Always the bus's first registers, so that any such system can be identified.
    soc.csr.add("systolith", n=0)


# Simulation ---------------------------------------------------------------------------------------

_SIMULATION_IO = [
    ("sys_clk", 0, Pins(1)),
    ("accel_clk", 0, Pins(1)),
    *SIMULATION_IO,
]


class SimulatedClocks(LiteXModule):
    """Two clocks from the simulator, each with a reset at start."""

    def __init__(self, platform: Any) -> None:
        for name in ("sys", "accel"):
            domain = ClockDomain(name)
            start = ClockDomain(f"{name}_start", reset_less=True)
            self.clock_domains += domain, start
            clock = platform.request(f"{name}_clk")
            reset = Signal(reset=1)
            counter = ClockDomainsRenamer(f"{name}_start")(LiteXModule())
            counter.sync += reset.eq(0)
            self.add_module(name=f"{name}_reset", module=counter)
            self.comb += [domain.clk.eq(clock), start.clk.eq(clock), domain.rst.eq(reset)]


def _sdr(frequency: int) -> tuple[str, Any]:
    return "1:1", get_sdram_phy_settings("SDR", 16, frequency)


def _ddr3(frequency: int) -> tuple[str, Any]:
    """As ECP5DDRPHY has them: a burst takes two cycles, which the model's own settings halve."""
    phases = 2
    cl, cwl = get_default_cl_cwl("DDR3", 1 / (phases * frequency))
    cl_latency, cwl_latency = get_sys_latency(phases, cl), get_sys_latency(phases, cwl)
    return "1:2", PhySettings(
        phytype="SDRAMPHYModel",
        memtype="DDR3",
        databits=16,
        dfi_databits=4 * 16,
        nphases=phases,
        rdphase=get_sys_phase(phases, cl_latency, cl),
        wrphase=get_sys_phase(phases, cwl_latency, cwl),
        cl=cl,
        cwl=cwl,
        read_latency=cl_latency + 10,
        write_latency=cwl_latency,
    )


SIMULATED_PHYS = {"SDR": _sdr, "DDR3": _ddr3}
"""From the type of memory and the clock to the controller's rate and the PHY's settings."""


def simulated_soc(job: dict[str, Any]) -> Any:
    """Return the system with models of memory and serial port."""
    platform = SimPlatform("SIM", _SIMULATION_IO)
    platform.add_source(job["verilog"])
    frequency = int(job["system_hz"])
    soc = SoCCore(platform, clk_freq=frequency, bus_timeout=job["bus_timeout"], **BARE)
    soc.crg = SimulatedClocks(platform)
    chip = getattr(memory_modules, job["memory_chip"])
    rate, settings = SIMULATED_PHYS[chip.memtype](frequency)
    module = chip(frequency, rate)
    soc.sdrphy = SDRAMPHYModel(module=module, settings=settings, clk_freq=frequency)
    soc.add_sdram("sdram", phy=soc.sdrphy, module=module, l2_cache_size=0)
    soc.comb += platform.trace.eq(1)
    add_simulated_link(soc, job)
    return soc


def build_simulation(soc: Any, job: dict[str, Any], builder: Any) -> None:
    """Write and compile the simulator."""
    config = SimConfig()
    config.add_clocker("sys_clk", freq_hz=int(job["system_hz"]))
    config.add_clocker("accel_clk", freq_hz=int(job["accelerator_hz"]))
    # The arguments are set where the simulator is run.
    if job["link"] == "ethernet":
        config.add_module("ethernet", "eth", args={"interface": "tap0", "ip": job["ip"]})
    else:
        config.add_module("serial2tcp", "serial", args={"port": 2430})
    # LiteX builds the simulator only where it would also run it.
    builder.build(sim_config=config, interactive=False, run=False, opt_level="O1")


# Boards -------------------------------------------------------------------------------------------


TARGETS = {
    "ulx3s-85f": ("radiona_ulx3s", {"device": "LFE5U-85F"}),
    "ecpix5-85f": ("lambdaconcept_ecpix5", {"device": "85F"}),
    "colorlight-i9": ("colorlight_i5", {"board": "i9", "revision": "7.2"}),
}
"""From a board to LiteX's target of it and the arguments that select it."""


def board_soc(job: dict[str, Any]) -> Any:
    """Return the system of a board, with the accelerator's clock from the board's own PLL."""
    frequency = int(job["system_hz"])
    options = {**BARE, "sys_clk_freq": frequency, "with_led_chaser": False}
    options["bus_timeout"] = job["bus_timeout"]
    module, chosen = TARGETS[job["target"]]
    target = import_module(f"litex_boards.targets.{module}")
    soc = target.BaseSoC(**chosen, **options)
    soc.cd_accel = ClockDomain("accel")
    soc.crg.pll.create_clkout(soc.cd_accel, job["accelerator_hz"], margin=1e-2)
    add_board_links(soc, job)
    return soc


# Everything ---------------------------------------------------------------------------------------


def memory_rate(settings: Any) -> int:
    """Return the bytes that the memory's pins move per cycle of the system's clock."""
    edges = 1 if settings.memtype == "SDR" else 2
    return settings.databits // 8 * edges * settings.nphases


def read_timing(settings: Any) -> dict[str, int] | None:
    """Return the memory's read timing that the host has to calibrate, if any."""
    if not getattr(settings, "read_leveling", False):
        return None
    return {
        "bitslips": settings.bitslips,
        "delays": settings.delays,
        "read_phase": int(settings.rdphase),
        "write_phase": int(settings.wrphase),
    }


def describe(soc: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of the system for the host."""
    phy = soc.ddrphy if hasattr(soc, "ddrphy") else soc.sdrphy
    settings = (phy.settings, soc.sdram.controller.settings.timing)
    # The header has the values, the sequence says which of them go to the control register.
    header: dict[str, Any] = {}
    exec(get_sdram_phy_py_header(*settings), header)
    steps = []
    for (_, _, _, command, _), (text, address, bank, value, delay) in zip(
        get_sdram_phy_init_sequence(*settings)[0], header["init_sequence"], strict=True
    ):
        steps.append(
            {
                "text": text,
                "control": command.startswith("DFII_CONTROL"),
                "address": address,
                "bank": bank,
                "value": value,
                "delay": delay,
            }
        )
    ram = soc.bus.regions["main_ram"]
    registers = json.loads((Path(job["folder"]) / "csr.json").read_text())["csr_registers"]
    return {
        "target": job["target"],
        "magic": job["magic"],
        "build": job["build"],
        "fingerprint": job["fingerprint"],
        "system_hz": job["system_hz"],
        "accelerator_hz": job["accelerator_hz"],
        "baud": job["baud"],
        "link": job["link"],
        "ip": job["ip"],
        "udp_port": job["udp_port"],
        "memory_base": ram.origin,
        "memory_bytes": ram.size,
        "native_bytes": job["native_bytes"],
        "register_base": job["register_base"],
        "memory_type": phy.settings.memtype,
        "memory_mb_s": memory_rate(phy.settings) * job["system_hz"] / 1e6,
        "memory_phases": phy.settings.nphases,
        "memory_lanes": phy.settings.databits // 8,
        "memory_init": steps,
        "read_timing": read_timing(phy.settings),
        "csr": {name: (register["addr"], register["size"]) for name, register in registers.items()},
    }


def main() -> None:
    """Do the job that the command line names."""
    job = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(job["folder"])
    simulated = job["target"] == "simulation"
    soc = simulated_soc(job) if simulated else board_soc(job)
    add_accelerator(soc, job)
    builder = Builder(
        soc,
        output_dir=str(folder),
        compile_software=False,
        csr_csv=str(folder / "csr.csv"),
        csr_json=str(folder / "csr.json"),
    )
    if simulated:
        build_simulation(soc, job, builder)
    else:
        builder.build(run=False, build_name="system")
    (folder / "system.json").write_text(json.dumps(describe(soc, job), indent=2) + "\n")


if __name__ == "__main__":
    main()
