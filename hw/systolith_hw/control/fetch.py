"""Instruction fetch: reads the program from memory and hands each instruction to its engine."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.bus.bursts import BurstSplitter, single_burst
from systolith_hw.interface.bus_layouts import burst_layout
from systolith_hw.interface.layouts import (
    COUNTER_BITS,
    address_bits,
    instruction_layout,
    packed_instruction_layout,
)
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import COUNTERS, INSTRUCTION_BYTES, Opcode, Role, fields_of
from systolith_hw.spec.legal import rules
from systolith_hw.spec.timing import fetch_beats
from systolith_hw.stream.queue import Queue

__all__ = ["Fetch"]

_RAISED_BY: dict[str, Opcode] = dict(
    zip(COUNTERS, (Opcode.LOAD, Opcode.CONV, Opcode.STORE, Opcode.STORE), strict=True)
)
"""The instructions that each progress counter counts."""


class Fetch(wiring.Component):
    """Reads ahead as far as its queue has room; at most one instruction every four cycles.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In, pulse
    addr, count : In, of the program's first instruction, and how many there are
    halt : In, hand out nothing more
    burst : Out, stream of bursts to read
    beat : In, stream of the beats read
    load, conv, store : Out, streams of instructions
    fetched : Out, instructions handed out since the start
    fault : Out, pulse: instruction number `fetched` is illegal, or `addr` is not aligned
    rest : Out, no instruction or part of one was held a cycle ago
    """

    start: Signal
    addr: Signal
    count: Signal
    halt: Signal
    burst: stream.Interface
    beat: stream.Interface
    load: stream.Interface
    conv: stream.Interface
    store: stream.Interface
    fetched: Signal
    fault: Signal
    rest: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "addr": In(address_bits(config)),
                "count": In(32),
                "halt": In(1),
                "burst": Out(stream.Signature(burst_layout(config))),
                "beat": In(stream.Signature(config.bus_bytes * 8)),
                "load": Out(stream.Signature(instruction_layout(Opcode.LOAD, config))),
                "conv": Out(stream.Signature(instruction_layout(Opcode.CONV, config))),
                "store": Out(stream.Signature(instruction_layout(Opcode.STORE, config))),
                "fetched": Out(32),
                "fault": Out(1),
                "rest": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        beats = INSTRUCTION_BYTES // config.bus_bytes
        depth = fetch_beats(config)
        m.submodules.splitter = splitter = BurstSplitter(config)
        m.submodules.queue = queue = Queue(config.bus_bytes * 8, depth)
        connect(m, flipped(self.beat), queue.i)

        pending = Signal()
        aligned = self.addr % INSTRUCTION_BYTES == 0
        with m.If(self.start & (self.count != 0) & aligned):
            m.d.sync += pending.eq(1)
        with m.Elif(splitter.run.ready):
            m.d.sync += pending.eq(0)
        # A program larger than the memory is read up to the memory's end, where it is refused.
        total = Signal(splitter.run.p.beats.shape(), reset_less=True)
        needed = self.count * beats
        short = Signal(reset_less=True)
        m.d.sync += [
            total.eq(Mux(needed >> len(total) == 0, needed, ~0)),
            short.eq(single_burst(config, self.count * INSTRUCTION_BYTES, self.addr)),
        ]
        m.d.comb += [
            splitter.run.valid.eq(pending),
            splitter.run.p.addr.eq(self.addr),
            splitter.run.p.beats.eq(total),
            splitter.run.p.short.eq(short),
            splitter.run.p.last.eq(1),
        ]

        # A burst is requested when the queue has room for all of it.
        room = Signal(range(depth + 1), init=depth)
        length = splitter.burst.p.length
        fits = Signal()
        m.d.comb += [
            self.burst.valid.eq(splitter.burst.valid & fits),
            self.burst.p.eq(splitter.burst.p),
            splitter.burst.ready.eq(self.burst.ready & fits),
        ]
        asked = self.burst.valid & self.burst.ready
        popped = queue.o.valid & queue.o.ready
        # Known one cycle before it is used: until a burst is requested, room only grows.
        m.d.sync += [
            fits.eq(splitter.burst.valid & (room > length) & ~asked),
            room.eq(room + popped - Mux(asked, length + 1, 0)),
        ]

        # Join beats to instructions. Each passes a register first: the queue may be a block RAM.
        word = Signal(config.bus_bytes * 8, reset_less=True)
        word_valid = Signal()
        layout = packed_instruction_layout()
        instruction = Signal(layout, reset_less=True)
        complete = Signal()
        beat = Signal(range(max(2, beats)))
        sent = Signal()
        m.d.comb += queue.o.ready.eq(~word_valid | ~complete)
        with m.If(queue.o.ready):
            m.d.sync += [word.eq(queue.o.p), word_valid.eq(queue.o.valid)]
        raw = instruction.as_value()
        following = data.View(layout, Cat(raw[config.bus_bytes * 8 :], word))
        shifts = word_valid & ~complete
        with m.If(shifts):
            m.d.sync += [raw.eq(following.as_value()), beat.eq(beat + 1)]
            with m.If(beat == beats - 1):
                m.d.sync += [beat.eq(0), complete.eq(1)]

        # The check for legal values takes one cycle more. An instruction may wait only
        # for earlier ones: for later ones it would wait forever.
        checked = Signal()
        m.d.sync += checked.eq(complete & ~sent)
        targets = {Opcode.LOAD: self.load, Opcode.CONV: self.conv, Opcode.STORE: self.store}
        legal = Signal(len(targets))
        before = {opcode: Signal(COUNTER_BITS, name=f"{opcode.name}s") for opcode in targets}
        for index, (opcode, target) in enumerate(targets.items()):
            mine = instruction.opcode == opcode.value
            fields: Any = Signal(instruction_layout(opcode), name=f"{opcode.name.lower()}_fields")
            m.d.comb += fields.as_value().eq(instruction.fields)
            present = fields_of(opcode, config)
            m.d.comb += [target.p[f.name].eq(fields[f.name]) for f in present]
            tests = [fields[f.name] >= f.least for f in present if f.least is not None]
            tests += [fields[f.name] <= f.most for f in present if f.most is not None]
            tests += [
                fields[f.name] >> config.addr_width == 0
                for f in present
                if f.external and f.width > config.addr_width
            ]
            tests += [
                fields[f.name] <= before[_RAISED_BY[f.counter]]
                for f in present
                if f.role is Role.TOKEN
            ]
            values = {f.name: fields[f.name] for f in present}
            next_fields: Any = data.View(fields.shape(), following.fields[: fields.shape().size])
            for rule in rules(opcode, config):
                for name, of in rule.early.items():
                    value = of({f.name: next_fields[f.name] for f in present})
                    values[name] = early = Signal.like(value, name="early", reset_less=True)
                    with m.If(shifts):
                        m.d.sync += early.eq(value)
                tests.append(rule.kept(values))
            m.d.sync += legal[index].eq(mine & Cat(tests).all())
            m.d.comb += target.valid.eq(checked & legal[index] & ~self.halt)
        m.d.comb += sent.eq(Cat(target.valid & target.ready for target in targets.values()).any())
        m.d.sync += self.fault.eq((checked & ~legal.any() & ~self.halt) | (self.start & ~aligned))
        with m.If(sent):
            m.d.sync += [complete.eq(0), self.fetched.eq(self.fetched + 1)]
        m.d.sync += self.rest.eq(
            Cat(
                ~pending, ~splitter.burst.valid, queue.empty, ~word_valid, beat == 0, ~complete
            ).all()
        )
        for opcode, target in targets.items():
            with m.If(target.valid & target.ready):
                m.d.sync += before[opcode].eq(before[opcode] + 1)
        with m.If(self.start):
            m.d.sync += [self.fetched.eq(0), *(count.eq(0) for count in before.values())]
        return m
