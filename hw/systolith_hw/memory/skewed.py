"""A memory of lanes whose read address travels from lane to lane, one cycle each."""

from typing import Any

from amaranth.hdl import MemoryData, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from systolith_hw.interface.buffers import BufferRead, BufferShape, BufferWrite
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.memory import RegisteredMemory

__all__ = ["SkewedMemory"]


class SkewedMemory(wiring.Component):
    """Words of lanes, written a group of lanes at a time, read with the array's skew.

    The address of a read that enters in cycle t reaches lane i in cycle t + i; the lane's element
    stands at ``read.data[i]`` in cycle t + i + LATENCY. Rows or columns of an array are thus fed
    without a triangle of registers, and no address is broadcast. A word must not be written while
    a read of it is travelling.

    Parameters
    ----------
    shape : BufferShape

    Members
    -------
    write : In, :class:`BufferWrite`
    read : In, :class:`BufferRead`
    """

    write: Any
    read: Any

    LATENCY = RegisteredMemory.LATENCY + 1

    def __init__(self, shape: BufferShape) -> None:
        self.shape = shape
        self.banks = [
            MemoryData(shape=shape.element, depth=shape.depth, init=[]) for _ in range(shape.lanes)
        ]
        super().__init__({"write": In(BufferWrite(shape)), "read": In(BufferRead(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        addr = self.read.addr
        per_group = self.shape.lanes // self.shape.groups
        for lane, bank in enumerate(self.banks):
            m.submodules[f"bank_{lane}"] = store = RegisteredMemory(bank)
            m.d.comb += [
                store.w_addr.eq(self.write.addr),
                store.w_data.eq(self.write.data[lane % per_group]),
                store.w_en.eq(self.write.en[lane // per_group]),
                store.r_addr.eq(addr),
            ]
            # The route from the block RAM to the user is long: one cycle for it.
            m.d.comb += self.read.data[lane].eq(delay(m, store.r_data, 1, f"output_{lane}"))
            if lane + 1 < self.shape.lanes:
                addr = delay(m, addr, 1, f"addr_to_{lane + 1}")
        return m
