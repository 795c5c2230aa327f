"""A queue that keeps the shape of its stream's payload."""

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import DISTRIBUTED_BITS

__all__ = ["Queue"]


class Queue(wiring.Component):
    """First in, first out; one word per cycle, at least two cycles from input to output.

    A queue of one word is a register: one word every two cycles, one cycle from input to output.

    Parameters
    ----------
    shape : ShapeLike
        Of the payload.
    depth : int
        Words held, at least 1.

    Members
    -------
    i, o : stream
    level : Out, words held
    empty : Out, none is held
    """

    i: stream.Interface
    o: stream.Interface
    level: Signal
    empty: Signal

    def __init__(self, shape: Any, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"Queue depth must be at least 1, not {depth}")
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.depth == 1:
            self._build_register(m)
            return m
        shape = unsigned(Shape.cast(self.i.p.shape()).width)
        # The last word stands in the storage's output register.
        depth = self.depth - 1
        attributes = {"ram_style": "distributed"} if depth * shape.width <= DISTRIBUTED_BITS else {}
        m.submodules.storage = storage = memory.Memory(
            shape=shape, depth=depth, init=[], attrs=attributes
        )
        write: Any = storage.write_port()
        read: Any = storage.read_port()
        # Registers hold whether it is empty or full, so that neither side waits for a comparison.
        stored = Signal(range(depth + 1))
        some = Signal()
        room = Signal(init=1)
        push = self.i.valid & room
        move = some & (~self.o.valid | self.o.ready)
        m.d.comb += [
            self.i.ready.eq(room),
            write.data.eq(self.i.p),
            write.en.eq(push),
            read.en.eq(move),
            self.o.p.eq(read.data),
            self.level.eq(stored + self.o.valid),
            self.empty.eq(~some & ~self.o.valid),
        ]
        for port, moved in ((write, push), (read, move)):
            with m.If(moved):
                m.d.sync += port.addr.eq(Mux(port.addr == depth - 1, 0, port.addr + 1))
        with m.If(push & ~move):
            m.d.sync += [stored.eq(stored + 1), some.eq(1), room.eq(stored != depth - 1)]
        with m.If(move & ~push):
            m.d.sync += [stored.eq(stored - 1), some.eq(stored != 1), room.eq(1)]
        with m.If(move):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m

    def _build_register(self, m: Module) -> None:
        payload = drive(m, self.o.p, "payload")
        m.d.comb += [
            self.i.ready.eq(~self.o.valid),
            self.level.eq(self.o.valid),
            self.empty.eq(~self.o.valid),
        ]
        with m.If(~self.o.valid):
            m.d.sync += [self.o.valid.eq(self.i.valid), payload.eq(self.i.p)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
