"""The common part of read and write port: a burst waits, is checked, and is issued or refused."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.bus.window import is_inside
from systolith_hw.interface.bus_layouts import burst_layout
from systolith_hw.interface.layouts import address_bits
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["BurstIssue"]


class BurstIssue(wiring.Component):
    """Checks one burst against the window and puts it on an address channel.

    The end of a burst is known one cycle after it is taken, and whether it lies in the window one
    cycle later. It is on the channel three cycles after it was taken. A burst outside of the window
    is a fault and is dropped.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    burst : In, stream of bursts
    room : In, the port has room for the data of the burst that is held
    halt : In, issue nothing more; the held burst is dropped
    window_base, window_end : In
    waits : Out, a burst is held
    held : Out, that burst
    issued : Out, in the cycle in which it leaves for the channel
    address : Out, stream of an address and a length, beats minus one
    idle : Out, none is held and none is on the channel
    fault : Out, pulse: a burst outside of the window, not issued
    fault_addr : Out
    """

    burst: stream.Interface
    room: Signal
    halt: Signal
    window_base: Signal
    window_end: Signal
    waits: Signal
    held: Any
    issued: Signal
    address: stream.Interface
    idle: Signal
    fault: Signal
    fault_addr: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        channel = data.StructLayout({"addr": config.addr_width, "length": 8})
        super().__init__(
            {
                "burst": In(stream.Signature(burst_layout(config))),
                "room": In(1),
                "halt": In(1),
                "window_base": In(address_bits(config)),
                "window_end": In(address_bits(config)),
                "waits": Out(1),
                "held": Out(burst_layout(config)),
                "issued": Out(1),
                "address": Out(stream.Signature(channel)),
                "idle": Out(1),
                "fault": Out(1),
                "fault_addr": Out(address_bits(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, waits = self.config, self.waits
        held = drive(m, self.held, "held_out")
        end = Signal(address_bits(config) + 1, reset_less=True)
        checked = Signal()
        inside = Signal()
        leave = Signal()
        size = (self.burst.p.length + 1) << (config.bus_bytes.bit_length() - 1)
        m.d.comb += self.burst.ready.eq(~waits)
        with m.If(~waits):
            m.d.sync += [
                waits.eq(self.burst.valid),
                held.eq(self.burst.p),
                end.eq(self.burst.p.addr + size),
            ]
        with m.Elif(leave):
            m.d.sync += waits.eq(0)
        m.d.sync += [
            checked.eq(waits & ~leave),
            inside.eq(is_inside(config, held.addr, end, self.window_base, self.window_end)),
        ]
        issue = (
            waits
            & checked
            & inside
            & ~self.address.valid
            & ~self.halt
            & self.room
        )  # fmt: skip
        refuse = waits & checked & ~inside & ~self.halt
        m.d.comb += [
            leave.eq(issue | refuse),
            self.issued.eq(issue),
            self.idle.eq(~waits & ~self.address.valid),
        ]
        address = drive(m, self.address.p, "address_out")
        with m.If(issue):
            m.d.sync += [
                self.address.valid.eq(1),
                address.addr.eq(held.addr),
                address.length.eq(held.length),
            ]
        with m.Elif(self.address.ready):
            m.d.sync += self.address.valid.eq(0)
        fault_addr = drive(m, self.fault_addr, "fault_addr_out")
        m.d.sync += [self.fault.eq(refuse), fault_addr.eq(held.addr)]
        with m.If(self.halt):
            m.d.sync += waits.eq(0)
        return m
