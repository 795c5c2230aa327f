"""A memory of lanes whose read address travels from lane to lane, one cycle each."""

from typing import Any

from amaranth.hdl import MemoryData, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.memory import RegisteredMemory

__all__ = ["SkewedMemory"]


class SkewedMemory(wiring.Component):
    """Words of lanes, written a group of lanes at a time, read with the array's skew.

    The address of a read that enters in cycle t reaches lane i in cycle t + i; the lane's element
    stands at ``r_data[i]`` in cycle t + i + LATENCY. So rows or columns of an array are fed
    without a triangle of registers, and no address is broadcast. A word must not be written while
    a read of it is travelling.

    Parameters
    ----------
    lanes : int
    groups : int
        Groups of neighbouring lanes with a write enable each; divides `lanes`.
    depth : int
        Words.
    width : int
        Bits of a lane.

    Members
    -------
    w_addr, w_data, w_en : In
        ``w_data`` has the lanes of one group; ``w_en`` has a bit for each group.
    r_addr : In
    r_data : Out, one element for each lane
    """

    w_addr: Signal
    w_data: Any
    w_en: Signal
    r_addr: Signal
    r_data: Any

    LATENCY = RegisteredMemory.LATENCY + 1

    def __init__(self, *, lanes: int, groups: int, depth: int, width: int) -> None:
        if lanes % groups:
            raise ValueError(f"SkewedMemory groups must divide {lanes} lanes, not {groups}")
        self.lanes = lanes
        self.groups = groups
        self.depth = depth
        self.width = width
        self.banks = [MemoryData(shape=unsigned(width), depth=depth, init=[]) for _ in range(lanes)]
        super().__init__(
            {
                "w_addr": In(range(depth)),
                "w_data": In(data.ArrayLayout(width, lanes // groups)),
                "w_en": In(groups),
                "r_addr": In(range(depth)),
                "r_data": Out(data.ArrayLayout(width, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        addr = self.r_addr
        per_group = self.lanes // self.groups
        for lane, bank in enumerate(self.banks):
            m.submodules[f"bank_{lane}"] = store = RegisteredMemory(bank)
            m.d.comb += [
                store.w_addr.eq(self.w_addr),
                store.w_data.eq(self.w_data[lane % per_group]),
                store.w_en.eq(self.w_en[lane // per_group]),
                store.r_addr.eq(addr),
            ]
            # From the block RAM to where it is used is a long way: a cycle for it.
            m.d.comb += self.r_data[lane].eq(delay(m, store.r_data, 1, f"output_{lane}"))
            if lane + 1 < self.lanes:
                addr = delay(m, addr, 1, f"addr_to_{lane + 1}")
        return m
