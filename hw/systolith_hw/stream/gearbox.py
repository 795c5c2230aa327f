"""Width changers between bus beats and buffer words, at any alignment that both share."""

from math import gcd

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Packer", "Unpacker", "packer_input", "unpacker_input"]


def unpacker_input(bus_bytes: int, word_bytes: int) -> data.StructLayout:
    """Layout of a beat: its data, the units to skip at its start and the units to take."""
    units = bus_bytes // gcd(bus_bytes, word_bytes)
    return data.StructLayout(
        {"data": bus_bytes * 8, "skip": range(units), "take": range(units + 1)}
    )


class Unpacker(wiring.Component):
    """Cuts a stream of bus beats into words; a unit is the greatest common divisor of the two.

    One word or beat per cycle, whichever is narrower. The latency is one cycle.

    Parameters
    ----------
    bus_bytes, word_bytes : int

    Members
    -------
    i : stream of :func:`unpacker_input`
        Units skip, skip + 1, ... of a beat are appended, `take` of them.
    o : stream of words
    empty : Out, no unit is held
    """

    i: stream.Interface
    o: stream.Interface
    empty: Signal

    def __init__(self, bus_bytes: int, word_bytes: int) -> None:
        self.bus_bytes = bus_bytes
        self.word_bytes = word_bytes
        self.unit_bytes = gcd(bus_bytes, word_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(unpacker_input(bus_bytes, word_bytes))),
                "o": Out(stream.Signature(word_bytes * 8)),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unit = self.unit_bytes * 8
        in_units = self.bus_bytes // self.unit_bytes
        out_units = self.word_bytes // self.unit_bytes
        # With this many units, a buffer too full to take a beat holds two words at least.
        size = in_units + 2 * out_units - 1
        held = Signal(size * unit, reset_less=True)
        fill = Signal(range(size + 1))
        # Registers say whether the fill count is at its ends: much logic waits for either side.
        some = Signal()
        room = Signal(init=1)

        m.d.comb += [
            self.o.valid.eq(some),
            self.o.p.eq(held[: out_units * unit]),
            self.i.ready.eq(room),
            self.empty.eq(fill == 0),
        ]
        pop = some & self.o.ready
        push = self.i.valid & room
        kept = Signal(range(size + 1))
        next_fill = Signal(range(size + 1))
        m.d.comb += [
            kept.eq(Mux(pop, fill - out_units, fill)),
            next_fill.eq(kept + Mux(push, self.i.p.take, 0)),
        ]
        m.d.sync += [
            fill.eq(next_fill),
            some.eq(next_fill >= out_units),
            room.eq(next_fill <= size - in_units),
        ]

        shifted = Signal(size * unit)
        m.d.comb += shifted.eq(Mux(pop, held >> (out_units * unit), held))
        fresh = Signal(in_units * unit)
        if in_units == 1:
            m.d.comb += fresh.eq(self.i.p.data)
        else:
            with m.Switch(self.i.p.skip):
                for skip in range(in_units):
                    with m.Case(skip):
                        m.d.comb += fresh.eq(self.i.p.data >> (skip * unit))
        # Units at and beyond the fill count are free: they are overwritten without being cleared.
        with m.Switch(kept):
            for level in range(size - in_units + 1):
                with m.Case(level):
                    m.d.sync += held.eq(Cat(shifted[: level * unit], fresh))
            with m.Default():
                m.d.sync += held.eq(shifted)
        return m


def packer_input(word_bytes: int, units: int) -> data.StructLayout:
    """Layout of a word: its data, and, if it opens a run, the free units in front of it."""
    return data.StructLayout(
        {"data": word_bytes * 8, "first": 1, "last": 1, "skip": range(max(units, 2))}
    )


class Packer(wiring.Component):
    """Joins words into bus beats with byte strobes; a run starts anywhere in a beat.

    One word or beat per cycle, whichever is narrower, and two cycles between runs. Latency one
    cycle.

    Parameters
    ----------
    bus_bytes, word_bytes : int

    Members
    -------
    i : stream of :func:`packer_input`
        ``first`` and ``last`` mark the ends of a run; ``skip`` counts at the first word.
    o : stream of {data, strb}
    empty : Out, no unit is held
    """

    i: stream.Interface
    o: stream.Interface
    empty: Signal

    def __init__(self, bus_bytes: int, word_bytes: int) -> None:
        self.bus_bytes = bus_bytes
        self.word_bytes = word_bytes
        self.unit_bytes = gcd(bus_bytes, word_bytes)
        self.beat_units = bus_bytes // self.unit_bytes
        super().__init__(
            {
                "i": In(stream.Signature(packer_input(word_bytes, self.beat_units))),
                "o": Out(
                    stream.Signature(data.StructLayout({"data": bus_bytes * 8, "strb": bus_bytes}))
                ),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unit = self.unit_bytes * 8
        in_units = self.word_bytes // self.unit_bytes
        out_units = self.beat_units
        size = in_units + 2 * out_units - 1
        held = Signal(size * unit, reset_less=True)
        fill = Signal(range(size + 1))
        lead = Signal(range(max(out_units, 2)))
        flush = Signal()

        # Registers say where the fill count stands: much logic waits for either side.
        some = Signal()
        full_beat = Signal()
        room = Signal(init=1)
        m.d.comb += [
            self.o.valid.eq(full_beat | (flush & some)),
            self.o.p.data.eq(held[: out_units * unit]),
            self.i.ready.eq(room & ~flush),
            self.empty.eq(~some & ~flush),
        ]
        m.d.comb += self.o.p.strb.eq(
            Cat(
                ((lead <= index) & (fill > index)).replicate(self.unit_bytes)
                for index in range(out_units)
            )
        )
        pop = self.o.valid & self.o.ready
        push = self.i.valid & self.i.ready
        # The next content for either case: whether a beat leaves is known last, so it chooses last.
        next_held, next_fill = {}, {}
        for leaves in (False, True):
            suffix = "leave" if leaves else "stay"
            next_held[leaves] = Signal(size * unit, name=f"held_{suffix}")
            next_fill[leaves] = Signal(range(size + 1), name=f"fill_{suffix}")
            start = Signal(range(size + 1), name=f"start_{suffix}")
            kept = Mux(full_beat, fill - out_units, 0) if leaves else fill
            left = held >> (out_units * unit) if leaves else held
            m.d.comb += [
                start.eq(Mux(self.i.p.first, self.i.p.skip, kept)),
                next_fill[leaves].eq(Mux(push, start + in_units, kept)),
                next_held[leaves].eq(left),
            ]
            # Only with a push: the first word of the next run may already wait while this one
            # leaves.
            with m.If(push), m.Switch(start):
                for level in range(size - in_units + 1):
                    with m.Case(level):
                        m.d.comb += next_held[leaves].eq(Cat(left[: level * unit], self.i.p.data))
        m.d.sync += [
            held.eq(Mux(pop, next_held[True], next_held[False])),
            fill.eq(Mux(pop, next_fill[True], next_fill[False])),
            some.eq(Mux(pop, next_fill[True] != 0, next_fill[False] != 0)),
            full_beat.eq(Mux(pop, next_fill[True] >= out_units, next_fill[False] >= out_units)),
            room.eq(
                Mux(pop, next_fill[True] <= size - in_units, next_fill[False] <= size - in_units)
            ),
        ]
        empties = ~full_beat | (fill == out_units)
        with m.If(pop):
            m.d.sync += lead.eq(0)
        with m.If(push & self.i.p.first):
            # A run opens only after the one before has left: its last word set flush.
            m.d.sync += lead.eq(self.i.p.skip)
        with m.If(push & self.i.p.last):
            m.d.sync += flush.eq(1)
        with m.Elif(flush & Mux(pop, empties, ~some)):
            m.d.sync += flush.eq(0)
        return m
