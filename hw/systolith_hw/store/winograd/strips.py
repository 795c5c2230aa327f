"""Strips of patches: when the next one may begin, and how many words it has."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.layouts import instruction_layout
from systolith_hw.primitives.register import drive
from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.winograd import OUTPUTS
from systolith_hw.store.winograd.staging import HALVES, STRIP_LAYOUT

__all__ = ["STRIP_FIELDS", "Strips"]

STRIP_FIELDS = data.StructLayout(
    {
        name: instruction_layout(Opcode.STORE)[name].shape
        for name in ("pool", "width", "height", "x_count")
    }
)
"""The fields of a STORE that describe its strips; ``x_count`` is the patches of one."""


class Strips(wiring.Component):
    """Lets a strip of patches begin when half of the staging memory is free, and describes it.

    Members
    -------
    store : In
        :data:`STRIP_FIELDS` of the STORE; constant from its first patch to its last one.
    between : In, no STORE is being drained: the next patch begins a strip
    patch_first : In, pulse: the first sum of a patch is read
    patch_last : In, pulse: the last sum of a patch is read
    across_last : In, with ``patch_last``: the patch is the last of its strip
    down_last : In, with ``patch_last``: the strip is the last of its image
    store_last : In, with ``patch_last``: the patch is the last of its STORE
    freed : In, pulse: a half is free again
    may_begin : Out, the next patch may begin
    strip : Out, stream of :data:`STRIP_LAYOUT`
        One for each strip. Whoever takes it must be ready: there are never more strips than halves.
    """

    store: Any
    between: Signal
    patch_first: Signal
    patch_last: Signal
    across_last: Signal
    down_last: Signal
    store_last: Signal
    freed: Signal
    may_begin: Signal
    strip: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "store": In(STRIP_FIELDS),
                "between": In(1),
                "patch_first": In(1),
                "patch_last": In(1),
                "across_last": In(1),
                "down_last": In(1),
                "store_last": In(1),
                "freed": In(1),
                "may_begin": Out(1),
                "strip": Out(stream.Signature(STRIP_LAYOUT)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        free = Signal(range(HALVES + 1), init=HALVES)
        first = Signal()
        takes = self.patch_first & first
        next_first = self.between | Mux(self.patch_last, self.across_last, first)
        m.d.sync += [
            free.eq(free + self.freed - takes),
            # Two strips are many cycles apart, so the count may be one cycle late.
            self.may_begin.eq((free != 0) | ~next_first),
            first.eq(next_first),
        ]

        payload: Any = drive(m, self.strip.p, "strip_out")
        rows = Mux(self.down_last, (self.store.height - 1)[: OUTPUTS.bit_length() - 1] + 1, OUTPUTS)
        m.d.sync += [
            self.strip.valid.eq(self.patch_last & self.across_last),
            payload.pixels.eq(self.store.width >> self.store.pool),
            payload.rows.eq(rows >> self.store.pool),
            payload.last.eq(self.store_last),
        ]
        return m
