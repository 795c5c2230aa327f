"""Signatures of the AXI4 and AXI4-Lite edges (ARM IHI 0022), with the standard's signal names."""

from typing import Any

from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import ADDR_WIDTH

__all__ = [
    "AxiId",
    "Response",
    "axi4_members",
    "axi4_read_members",
    "axi4_write_members",
    "axi_lite_members",
]


_Driven: Any = Out
"""Out, for members with an initial value: amaranth-stubs 0.5.0.8 do not know `init`."""


class AxiId(enum.Enum, shape=1):
    """Transaction identifiers of the read channel."""

    LOAD = 0
    FETCH = 1


class Response(enum.Enum, shape=2):
    """RRESP and BRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def axi4_read_members(config: AcceleratorConfig) -> dict[str, wiring.Member]:
    """Master-side members of the AR and R channels."""
    return {
        "arid": Out(AxiId),
        "araddr": Out(config.addr_width),
        "arlen": Out(8),
        "arsize": _Driven(3, init=config.bus_bytes.bit_length() - 1),
        "arburst": _Driven(2, init=1),  # INCR
        "arcache": _Driven(4, init=3),  # normal, non-cacheable, bufferable
        "arprot": Out(3),
        "arvalid": Out(1),
        "arready": In(1),
        "rid": In(AxiId),
        "rdata": In(config.bus_bytes * 8),
        "rresp": In(Response),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def axi4_write_members(config: AcceleratorConfig) -> dict[str, wiring.Member]:
    """Master-side members of the AW, W and B channels."""
    return {
        "awid": Out(1),
        "awaddr": Out(config.addr_width),
        "awlen": Out(8),
        "awsize": _Driven(3, init=config.bus_bytes.bit_length() - 1),
        "awburst": _Driven(2, init=1),
        "awcache": _Driven(4, init=3),
        "awprot": Out(3),
        "awvalid": Out(1),
        "awready": In(1),
        "wdata": Out(config.bus_bytes * 8),
        "wstrb": Out(config.bus_bytes),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(1),
        "bresp": In(Response),
        "bvalid": In(1),
        "bready": Out(1),
    }


def axi4_members(config: AcceleratorConfig) -> dict[str, wiring.Member]:
    """Master-side members of all five channels."""
    return {**axi4_write_members(config), **axi4_read_members(config)}


def axi_lite_members() -> dict[str, wiring.Member]:
    """Slave-side members of the control port: 32 bits of data, ADDR_WIDTH of byte address."""
    return {
        "awaddr": In(ADDR_WIDTH),
        "awprot": In(3),
        "awvalid": In(1),
        "awready": Out(1),
        "wdata": In(32),
        "wstrb": In(4),
        "wvalid": In(1),
        "wready": Out(1),
        "bresp": Out(Response),
        "bvalid": Out(1),
        "bready": In(1),
        "araddr": In(ADDR_WIDTH),
        "arprot": In(3),
        "arvalid": In(1),
        "arready": Out(1),
        "rdata": Out(32),
        "rresp": Out(Response),
        "rvalid": Out(1),
        "rready": In(1),
    }
