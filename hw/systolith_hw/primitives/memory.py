"""A memory that is read in two cycles: the block RAM's own output register is the second."""

from typing import Any

from amaranth.hdl import MemoryData, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.technology import ask

__all__ = ["RegisteredMemory"]


class RegisteredMemory(wiring.Component):
    """One write port, one read port; one read per cycle, LATENCY cycles after its address.

    A word that is read in the cycle in which it is written comes out undefined. A technology may
    have cells for it: ``get_registered_memory`` of the platform.

    Parameters
    ----------
    store : MemoryData
        Zeros at the start.

    Members
    -------
    w_addr, w_data, w_en : In
    r_addr : In
    r_data : Out
    """

    w_addr: Signal
    w_data: Any
    w_en: Signal
    r_addr: Signal
    r_data: Any

    LATENCY = 2

    def __init__(self, store: MemoryData) -> None:
        self.store = store
        super().__init__(
            {
                "w_addr": In(range(store.depth)),
                "w_data": In(store.shape),
                "w_en": In(1),
                "r_addr": In(range(store.depth)),
                "r_data": Out(store.shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        hard = ask(platform, "get_registered_memory", self)
        if hard is not None:
            return hard
        m = Module()
        m.submodules.store = store = memory.Memory(self.store)
        write: Any = store.write_port()
        read = store.read_port()
        output = Signal.like(self.r_data, name="output", reset_less=True)
        m.d.comb += [
            write.addr.eq(self.w_addr),
            write.data.eq(self.w_data),
            write.en.eq(self.w_en),
            read.addr.eq(self.r_addr),
            read.en.eq(1),
            self.r_data.eq(output),
        ]
        m.d.sync += output.eq(read.data)
        return m
