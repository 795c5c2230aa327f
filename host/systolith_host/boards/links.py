# LiteX is untyped, and not installed where the rest of the package is.
# pyright: reportMissingImports=false
"""How the host reaches a system's bus: a serial line, Ethernet, and the simulator's own."""

from typing import Any

from liteeth.phy.ecp5rgmii import LiteEthPHYRGMII
from liteeth.phy.model import LiteEthPHYModel
from litex.build.generic_platform import Pins, Subsignal
from litex.gen import LiteXModule
from litex.soc.cores.uart import UARTBone
from litex.soc.interconnect import stream

__all__ = ["SIMULATION_IO", "add_board_links", "add_simulated_link"]

RECORD_WORDS = 256
"""Words of the longest Etherbone record. One longer than the buffer would never get through."""

ETHERNET_BITS = 32
"""With one byte per cycle the stack would have to run at the 125 MHz of the wire."""


def _byte_port(name: str) -> tuple[Any, ...]:
    """Return a port of the simulator's, one byte per handshake in each direction."""
    subsignals = (
        Subsignal(f"{side}_{signal}", Pins(bits))
        for side in ("source", "sink")
        for signal, bits in (("valid", 1), ("ready", 1), ("data", 8))
    )
    return (name, 0, *subsignals)


SIMULATION_IO = [_byte_port("serial"), _byte_port("eth")]


class StreamPhy(LiteXModule):
    """The simulator's serial port, one byte per handshake."""

    def __init__(self, pads: Any) -> None:
        self.sink = stream.Endpoint([("data", 8)])
        self.source = stream.Endpoint([("data", 8)])
        self.comb += [
            pads.source_valid.eq(self.sink.valid),
            pads.source_data.eq(self.sink.data),
            self.sink.ready.eq(pads.source_ready),
            self.source.valid.eq(pads.sink_valid),
            self.source.data.eq(pads.sink_data),
            pads.sink_ready.eq(self.source.ready),
        ]


def add_simulated_link(soc: Any, job: dict[str, Any]) -> None:
    """Let the simulator's serial port or its network interface reach the bus."""
    if job["link"] == "ethernet":
        soc.ethphy = LiteEthPHYModel(soc.platform.request("eth"))
        _add_etherbone(soc, job)
        return
    soc.uartbone_phy = StreamPhy(soc.platform.request("serial"))
    soc.uartbone = UARTBone(soc.uartbone_phy, int(job["system_hz"]), address_width=32)
    soc.bus.add_master("uartbone", soc.uartbone.wishbone)


def add_board_links(soc: Any, job: dict[str, Any]) -> None:
    """Let the board's serial line reach the bus and, if it is asked for, Ethernet, too."""
    soc.add_uartbone(baudrate=job["baud"])
    if job["link"] == "ethernet":
        # Delays as LiteX's own target of the ECPIX-5 has them.
        soc.ethphy = LiteEthPHYRGMII(
            soc.platform.request("eth_clocks"), soc.platform.request("eth"), rx_delay=0
        )
        _add_etherbone(soc, job)


def _add_etherbone(soc: Any, job: dict[str, Any]) -> None:
    soc.add_etherbone(
        phy=soc.ethphy,
        data_width=ETHERNET_BITS,
        ip_address=job["ip"],
        udp_port=job["udp_port"],
        buffer_depth=RECORD_WORDS,
    )
