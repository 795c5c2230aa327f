"""A queue that keeps the shape of its stream's payload."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Queue"]


class Queue(wiring.Component):
    """First in, first out; one word a cycle, at least two cycles from input to output.

    Parameters
    ----------
    shape : ShapeLike
        Of the payload.
    depth : int
        Words held, at least 2.

    Members
    -------
    i, o : stream
    level : Out, words held
    """

    i: stream.Interface
    o: stream.Interface
    level: Signal

    def __init__(self, shape: Any, depth: int) -> None:
        if depth < 2:
            raise ValueError(f"Queue depth must be at least 2, not {depth}")
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = len(self.i.p.as_value() if hasattr(self.i.p, "as_value") else self.i.p)
        store: Any = fifo.SyncFIFOBuffered(width=width, depth=self.depth)
        m.submodules.store = store
        m.d.comb += [
            store.w_data.eq(self.i.p),
            store.w_en.eq(self.i.valid),
            self.i.ready.eq(store.w_rdy),
            self.o.p.eq(store.r_data),
            self.o.valid.eq(store.r_rdy),
            store.r_en.eq(self.o.ready),
            self.level.eq(store.level),
        ]
        return m
