"""Rules of the width changers: every unit arrives once, unchanged, in its place."""

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, Signal, Value

from systolith_hw.stream.gearbox import Packer, Unpacker
from systolith_sim.formal.prove import Specification
from systolith_sim.formal.stream_contract import StreamContract
from systolith_sim.formal.tracked import Items, Tracked

__all__ = ["PackerSpecification", "UnpackerSpecification"]


class UnpackerSpecification(Specification):
    """The rules of an unpacker, for beats that take no units beyond their own.

    - The units that beats append leave in their order, unchanged, none lost or doubled.
    - A word is offered if enough units are inside, and stays, unchanged, until it is taken.
    - A beat is taken when it fits at the latest when fewer units are inside than two words have.

    Parameters
    ----------
    dut : Unpacker
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    DEPTH = 2

    seen_held: Any
    seen_fill: Signal
    seen_some: Signal
    seen_room: Signal

    def __init__(self, dut: Unpacker, *, inside: bool = True) -> None:
        self.dut = dut
        self.unit = dut.unit_bytes * 8
        self.units = dut.bus_bytes // dut.unit_bytes
        self.word_units = dut.word_bytes // dut.unit_bytes
        self.size = self.units + 2 * self.word_units - 1
        super().__init__(probes=_registers(self.size, self.unit), inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, beat, word = self.dut, self.dut.i.p, self.dut.o.p
        self.place(m, dut)
        m.d.comb += Assume(
            ~dut.i.valid | (beat.skip + beat.take <= self.units), "a beat takes its own units"
        )
        taken, given = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
        m.submodules.contract = contract = StreamContract.of(dut.o)
        m.submodules.units = units = Tracked(
            [
                (
                    taken & (beat.skip <= at) & (at < beat.skip + beat.take),
                    beat.data.word_select(at, self.unit),
                )
                for at in range(self.units)
            ],
            [(given, word.word_select(at, self.unit)) for at in range(self.word_units)],
            self.size,
        )
        m.d.comb += [
            Assert(contract.kept, "a word stays until it is taken"),
            *units.rules("units"),
            Assert(dut.o.valid == (units.level >= self.word_units), "whole words are offered"),
            Assert(dut.i.ready | (units.level >= 2 * self.word_units), "what fits is taken"),
            Assert(dut.empty == (units.level == 0), "that it is empty is known"),
        ]
        if self.inside:
            m.d.comb += units.invariants(_held(self), "units")
            m.d.comb += [
                Assert(self.seen_fill <= self.size, "units have places"),
                Assert(self.seen_some == (self.seen_fill >= self.word_units), "some is known"),
                Assert(
                    self.seen_room == (self.seen_fill <= self.size - self.units), "room is known"
                ),
            ]
        return m


class PackerSpecification(Specification):
    """The rules of a packer, for words that come in runs.

    - The units of words leave in their order, unchanged, none lost or doubled, under strobes of all
      their bytes; nothing else has strobes.
    - The first unit of a run leaves in the place of its beat that the run names, each further one
      in the next place, and after the last place of a beat in the first of the next one.
    - No beat is empty or has units of two runs.
    - A beat is offered as soon as it is full or its run has ended, and stays, unchanged, until it
      is taken. A word is taken unless a run that has ended is still inside, or it does not fit.

    Parameters
    ----------
    dut : Packer
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    DEPTH = 2

    seen_held: Any
    seen_fill: Signal
    seen_some: Signal
    seen_room: Signal
    seen_lead: Signal
    seen_flush: Signal
    seen_full_beat: Signal

    def __init__(self, dut: Packer, *, inside: bool = True) -> None:
        self.dut = dut
        self.unit = dut.unit_bytes * 8
        self.units = dut.beat_units
        self.word_units = dut.word_bytes // dut.unit_bytes
        self.size = self.word_units + 2 * self.units - 1
        probes = {
            "seen_lead": ("dut.lead", len(self._place())),
            "seen_flush": ("dut.flush", 1),
            "seen_full_beat": ("dut.full_beat", 1),
        }
        super().__init__(probes=_registers(self.size, self.unit) | probes, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, word, beat = self.dut, self.dut.i.p, self.dut.o.p
        self.place(m, dut)
        taken, given = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
        # Whether the last run to come is open, and the places of its next unit and of the unit that
        # is to leave next.
        opened = Signal()
        following, begin = self._place(), self._place()
        place = Mux(word.first, word.skip, following)
        with m.If(given):
            m.d.sync += begin.eq(0)
        with m.If(taken):
            m.d.sync += [
                opened.eq(~word.last),
                following.eq((place + self.word_units) % self.units),
            ]
            with m.If(word.first):
                m.d.sync += begin.eq(word.skip)
        m.d.comb += [
            Assume(~dut.i.valid | (word.first == ~opened), "words come in runs"),
            Assume(~dut.i.valid | (word.skip < self.units), "a run opens inside of a beat"),
        ]

        entering = []
        for at in range(self.word_units):
            own = (place + at) % self.units
            opens = (own == 0) | (word.first if at == 0 else 0)
            unit = word.data.word_select(at, self.unit)
            entering.append((taken, self._tagged(unit, own, opens)))
        strobes = [beat.strb[at * dut.unit_bytes] for at in range(self.units)]
        leaving = []
        for at, strobe in enumerate(strobes):
            opens = ~strobes[at - 1] if at else Const(1)
            unit = beat.data.word_select(at, self.unit)
            leaving.append((given & strobe, self._tagged(unit, at, opens)))
        m.submodules.units = units = Tracked(entering, leaving, self.size)
        m.submodules.contract = contract = StreamContract.of(dut.o)

        whole = Cat(strobe.replicate(dut.unit_bytes) for strobe in strobes)
        begins = Cat(
            strobe & ~below for below, strobe in zip([Const(0), *strobes], strobes, strict=False)
        )
        fill = begin + units.level
        ending = (units.level != 0) & ~opened
        m.d.comb += [
            Assert(contract.kept, "a beat stays until it is taken"),
            *units.rules("units"),
            Assert(~dut.o.valid | (beat.strb == whole), "a unit has all its strobes"),
            Assert(~dut.o.valid | beat.strb.any(), "a beat has units"),
            Assert(
                ~dut.o.valid | ~(begins & (begins - 1)).any(), "the units of a beat are neighbours"
            ),
            Assert(dut.o.valid == ((fill >= self.units) | ending), "a beat is offered in time"),
            Assert(
                dut.i.ready == (~ending & (fill <= self.size - self.word_units)),
                "what fits is taken",
            ),
            Assert(dut.empty == (units.level == 0), "that it is empty is known"),
        ]
        if self.inside:
            inside = []
            for at in range(self.size):
                unit = self.seen_held.word_select(at, self.unit)
                opens = (begin == at) | (at % self.units == 0)
                there = (begin <= at) & (at < self.seen_fill)
                inside.append((there, self._tagged(unit, at % self.units, opens)))
            m.d.comb += units.invariants(inside, "units")
            m.d.comb += [
                Assert(self.seen_fill == fill, "the fill count is known"),
                Assert(fill <= self.size, "units have places"),
                Assert(self.seen_lead == begin, "the first place is known"),
                Assert(self.seen_some == (fill != 0), "some is known"),
                Assert(self.seen_full_beat == (fill >= self.units), "a full beat is known"),
                Assert(self.seen_room == (fill <= self.size - self.word_units), "room is known"),
                Assert(self.seen_flush == ending, "the end of a run is known"),
                Assert((units.level != 0) | (begin == 0), "an empty one begins at the first place"),
                Assert(~opened | (following == fill % self.units), "the next place is known"),
            ]
        return m

    def _place(self) -> Signal:
        """Return a register for a place in a beat."""
        return Signal(range(max(self.units, 2)))

    def _tagged(self, unit: Any, place: Any, opens: Any) -> Any:
        """Return a unit, its place, and whether it is the first one in its beat, as one item."""
        bits = len(self._place())
        return Cat(unit, (Value.cast(place) | Const(0, bits))[:bits], opens)


def _registers(size: int, unit: int) -> dict[str, tuple[str, int]]:
    """Return the probes of the registers that both have."""
    return {
        "seen_held": ("dut.held", size * unit),
        "seen_fill": ("dut.fill", size.bit_length()),
        "seen_some": ("dut.some", 1),
        "seen_room": ("dut.room", 1),
    }


def _held(specification: Any) -> Items:
    """Return the units in the places of an unpacker."""
    return [
        (at < specification.seen_fill, specification.seen_held.word_select(at, specification.unit))
        for at in range(specification.size)
    ]
