"""The gate in front of an engine: an instruction passes when the counts it names are reached."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.layouts import PROGRESS_LAYOUT

__all__ = ["TokenGate"]


class TokenGate(wiring.Component):
    """Holds one instruction until progress counters have reached its ``after_...`` fields.

    An instruction passes two cycles after its arrival at the earliest.

    Parameters
    ----------
    layout : data.StructLayout
        Of the payload.
    conditions : mapping of str to str
        Name of an ``after_...`` field of the payload to the counter it waits for.

    Members
    -------
    i, o : stream
    progress : In, :data:`PROGRESS_LAYOUT`
    waiting : Out, a bit for each condition, in order: an instruction is held because of it
    """

    i: stream.Interface
    o: stream.Interface
    progress: Any
    waiting: Signal

    def __init__(self, layout: data.StructLayout, conditions: Mapping[str, str]) -> None:
        self.layout = layout
        self.conditions = dict(conditions)
        super().__init__(
            {
                "i": In(stream.Signature(layout)),
                "o": Out(stream.Signature(layout)),
                "progress": In(PROGRESS_LAYOUT),
                "waiting": Out(len(self.conditions)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(self.layout, reset_less=True)
        full = Signal()
        met = Signal(len(self.conditions))
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.p.eq(held),
            self.o.valid.eq(full & met.all()),
            self.waiting.eq(~met & full.replicate(len(met))),
        ]
        for index, (field, counter) in enumerate(self.conditions.items()):
            m.d.sync += met[index].eq(full & (self.progress[counter] >= held[field]))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.eq(self.i.p), full.eq(1)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += full.eq(0)
        return m
