"""The mask of active inputs, and the runs of memory that it lets pass."""

from typing import Any

from amaranth.hdl import MemoryData, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.bus_layouts import run_layout
from systolith_hw.interface.gather import MaskWrite
from systolith_hw.interface.layouts import instruction_layout
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.timing import LOAD_JOBS, MASK_START

__all__ = ["ActiveRuns"]


class ActiveRuns(wiring.Component):
    """Drops the runs of gathering regions whose bit in the mask is not set.

    Runs of other regions pass in the cycle in which they come. A run comes at most every two
    cycles, and its bit is known by then but for the first one's: a gathering region waits until no
    scan is under way, and then MASK_START cycles more. The first run of a unit waits for room in
    the ring.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i, o : streams of :func:`run_layout`
    begin : In, pulse: a region begins in the next cycle, the runs of the one before have passed
    gather : In, with ``begin``: it gathers
    units : In, with ``begin``: the units of its ring
    asked, done : In, pulses: a scan is requested, is finished
    free : In, pulse: a unit of the ring is free again
    mask : In, :class:`MaskWrite`
    waits : Out, a run waits for room
    """

    i: stream.Interface
    o: stream.Interface
    begin: Signal
    gather: Signal
    units: Signal
    asked: Signal
    done: Signal
    free: Signal
    mask: Any
    waits: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.store = MemoryData(shape=config.block, depth=config.mask_words, init=[])
        super().__init__(
            {
                "i": In(stream.Signature(run_layout(config))),
                "o": Out(stream.Signature(run_layout(config))),
                "begin": In(1),
                "gather": In(1),
                "units": In(instruction_layout(Opcode.LOAD)["units"].shape),
                "asked": In(1),
                "done": In(1),
                "free": In(1),
                "mask": In(MaskWrite(config)),
                "waits": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block, rows = self.config.block, self.config.rows
        m.submodules.store = store = RegisteredMemory(self.store)
        addr = Signal.like(store.r_addr, reset_less=True)
        m.d.comb += [
            store.w_addr.eq(self.mask.addr),
            store.w_data.eq(self.mask.data),
            store.w_en.eq(self.mask.en),
            store.r_addr.eq(addr),
        ]
        # The bits of the present word from the next run's on, and how many follow it.
        bits = Signal(block, reset_less=True)
        left = Signal(range(block), reset_less=True)
        known = Signal()
        gathers = Signal()
        loading = Signal(MASK_START)
        # Rows of the unit before this one, and room in the ring.
        row = Signal(range(rows), reset_less=True)
        first = Signal(reset_less=True)
        room = Signal(len(self.units) + 1, reset_less=True)
        full = Signal(reset_less=True)
        active = Signal()
        passes, drops = Signal(), Signal()
        m.d.comb += [
            active.eq(known & bits[0]),
            passes.eq(~gathers | (active & ~(first & full))),
            drops.eq(gathers & known & ~bits[0]),
            self.o.p.eq(self.i.p),
            self.o.valid.eq(self.i.valid & passes),
            self.i.ready.eq(Mux(passes, self.o.ready, drops)),
            self.waits.eq(self.i.valid & gathers & active & first & full),
        ]
        # A run moved a cycle ago. The next one comes a cycle later at the earliest, so no register
        # here has to wait for whether a run moves now, known late, on the bus's side.
        moved = Signal()
        m.d.sync += moved.eq(gathers & self.i.valid & self.i.ready)
        taken = moved & bits[0] & first
        with m.If(moved):
            m.d.sync += [bits.eq(bits >> 1), left.eq(left - 1)]
            with m.If(left == 0):
                m.d.sync += [bits.eq(store.r_data), left.eq(block - 1), addr.eq(addr + 1)]
            with m.If(bits[0]):
                m.d.sync += [row.eq(Mux(row == rows - 1, 0, row + 1)), first.eq(row == rows - 1)]
        next_room = room + self.free - taken
        m.d.sync += [room.eq(next_room), full.eq(next_room[: len(room)] == 0)]
        scans = Signal(range(LOAD_JOBS + 3))
        m.d.sync += scans.eq(scans + self.asked - self.done)
        # Reading begins when the mask is complete.
        m.d.sync += loading.eq(loading << 1)
        with m.If(gathers & ~known & ~loading.any() & (scans == 0)):
            m.d.sync += loading.eq(1)
        with m.If(loading[-1]):
            m.d.sync += [known.eq(1), bits.eq(store.r_data), addr.eq(addr + 1)]
        with m.If(self.begin):
            m.d.sync += [
                gathers.eq(self.gather),
                moved.eq(0),
                known.eq(0),
                loading.eq(0),
                addr.eq(0),
                left.eq(block - 1),
                row.eq(0),
                first.eq(1),
                room.eq(self.units),
                full.eq(0),
            ]
        return m
