"""Rules of instruction fetch: no beat without room for it, and none lost on its way."""

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal
from amaranth.lib import data

from systolith_hw.control.fetch import Fetch
from systolith_hw.interface.layouts import instruction_layout, packed_instruction_layout
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Opcode, fields_of
from systolith_hw.spec.timing import fetch_beats
from systolith_sim.formal.prove import Specification
from systolith_sim.formal.queue import QueueView
from systolith_sim.formal.stream_contract import StreamContract
from systolith_sim.formal.tracked import Items, Tracked

__all__ = ["FetchOrderSpecification", "FetchRoomSpecification"]


class FetchRoomSpecification(Specification):
    """The rules of fetch's room, for a memory that sends only beats that were requested.

    - Beats that were requested and have not come, and those in the queue, are never more than the
      queue holds; so a beat waits for a cycle at most.
    - A burst with room for it is offered two cycles later at the latest: no room is lost.
    - An offered burst stays, unchanged, until it is taken.

    This holds for any program, and for a start or ``halt`` in any cycle.

    Parameters
    ----------
    dut : Fetch
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what the induction needs. The rules themselves look inside, too.
    """

    DEPTH = 2

    seen_fits: Any
    seen_room: Any
    seen_wanted: Any

    def __init__(self, dut: Fetch, config: AcceleratorConfig, *, inside: bool = True) -> None:
        self.dut = dut
        self.depth = fetch_beats(config)
        self.queue = QueueView("dut.queue", config.bus_bytes * 8, self.depth, words=False)
        probes = {
            "seen_fits": ("dut.fits", 1),
            "seen_room": ("dut.room", self.depth.bit_length()),
            "seen_wanted": ("dut.splitter.active", 1),
        }
        super().__init__(probes=probes | self.queue.probes)
        self.inside = inside

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.dut
        self.place(m, dut)
        m.submodules.contract = contract = StreamContract.of(dut.burst)
        size = dut.burst.p.length + 1
        asked = Mux(dut.burst.valid & dut.burst.ready, size, 0)
        owed = Signal(range(2 * self.depth + 1))  # requested, and not yet here
        waited, late = Signal(), Signal(2)
        claimed = owed + self.queue.level(self)
        fits = self.seen_wanted & (claimed + size <= self.depth)
        m.d.sync += [
            owed.eq(owed + asked - (dut.beat.valid & dut.beat.ready)),
            waited.eq(dut.beat.valid & ~dut.beat.ready),
            late.eq(Mux(fits & ~dut.burst.valid, late + 1, 0)),
        ]
        m.d.comb += [
            Assume(~dut.beat.valid | (owed != 0), "only what was requested comes"),
            Assert(claimed <= self.depth, "no more is requested than there is room for"),
            Assert(~waited | dut.beat.ready, "a beat that was requested is taken"),
            Assert(late < 2, "a burst with room for it is offered"),
            Assert(contract.kept, "a burst stays until it is taken"),
        ]
        if self.inside:
            m.d.comb += [
                *self.queue.invariants(self),
                Assert(self.seen_room + claimed == self.depth, "the room is known"),
                Assert(~self.seen_fits | self.seen_wanted, "what fits is wanted"),
                Assert(~self.seen_fits | (self.seen_room >= size), "what fits has room"),
                Assert((late == 0) | self.seen_fits, "what is late is offered next"),
            ]
        return m


class FetchOrderSpecification(Specification):
    """The rules of joining beats to instructions.

    - Beats of the queue leave as instructions, as they came and in their order, none lost or
      doubled.
    - An instruction goes to the engine of its opcode, with the fields that it has in memory.

    This holds for any program, and for a start or ``halt`` in any cycle. The queue in front has a
    proof of its own.

    Parameters
    ----------
    dut : Fetch
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what the induction needs. The rules themselves look inside, too.
    """

    DEPTH = 2

    seen_comes: Any
    seen_front: Any
    seen_taken: Any
    seen_instruction: Any
    seen_complete: Any
    seen_checked: Any
    seen_beat: Any
    seen_word: Any
    seen_word_valid: Any

    def __init__(self, dut: Fetch, config: AcceleratorConfig, *, inside: bool = True) -> None:
        self.dut = dut
        self.config = config
        self.bits = config.bus_bytes * 8
        self.beats = INSTRUCTION_BYTES // config.bus_bytes
        wires = {
            "comes": ("queue.o__valid", 1),
            "front": ("queue.o__payload", self.bits),
            "taken": ("queue.o__ready", 1),
            "instruction": ("instruction", INSTRUCTION_BYTES * 8),
            "complete": ("complete", 1),
            "checked": ("checked", 1),
            "beat": ("beat", max(1, (self.beats - 1).bit_length())),
            "word": ("word", self.bits),
            "word_valid": ("word_valid", 1),
        }
        super().__init__(
            probes={f"seen_{name}": (f"dut.{wire}", bits) for name, (wire, bits) in wires.items()}
        )
        self.inside = inside

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.dut
        self.place(m, dut)
        targets = {Opcode.LOAD: dut.load, Opcode.CONV: dut.conv, Opcode.STORE: dut.store}
        leaves = Cat(port.valid & port.ready for port in targets.values()).any()
        shares: Items = [
            (
                self.seen_complete | (self.seen_beat >= self.beats - number),
                self.seen_instruction[number * self.bits : (number + 1) * self.bits],
            )
            for number in range(self.beats)
        ]
        m.submodules.tracked = tracked = Tracked(
            [(self.seen_comes & self.seen_taken, self.seen_front)],
            [(leaves, share) for _, share in shares],
            self.beats + 1,
        )
        m.d.comb += tracked.rules("beats")
        instruction: Any = data.View(packed_instruction_layout(), self.seen_instruction)
        for opcode, port in targets.items():
            layout = instruction_layout(opcode)
            fields: Any = data.View(layout, instruction.fields[: layout.size])
            present = fields_of(opcode, self.config)
            same = Cat(port.p[field.name] == fields[field.name] for field in present).all()
            mine = instruction.opcode == opcode.value
            m.d.comb += [
                Assert(~port.valid | mine, "an instruction goes to its engine"),
                Assert(~port.valid | same, "an instruction has its fields"),
            ]
        if self.inside:
            m.d.comb += [
                *tracked.invariants([*shares, (self.seen_word_valid, self.seen_word)], "beats"),
                Assert(self.seen_beat < self.beats, "the number of a beat is known"),
                Assert(~self.seen_complete | (self.seen_beat == 0), "an instruction is whole"),
                Assert(~self.seen_checked | self.seen_complete, "what is checked is whole"),
            ]
        return m
