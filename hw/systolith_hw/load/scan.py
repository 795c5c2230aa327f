"""Scanning activations: those that differ from the zero point go packed into the buffer."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out

from systolith_hw.interface.buffers import WordSink
from systolith_hw.interface.gather import ACTIVE_LAYOUT, MaskWrite
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer

__all__ = ["ScanWriter"]


class ScanWriter(wiring.Component):
    """Packs the active bytes of words, one per cycle, and keeps a bit for each byte in a mask.

    A word takes a cycle for each active byte, at least one. Behind the last word a cycle for each
    zero that fills the buffer's last word. If no byte is active, the last one counts as active: its
    difference, a zero, fills a word together with the others.

    See WordSink for the members. ``busy`` says that a word is under way or is filled; a write comes
    three cycles after the step with its last byte, and
    ``finish`` one cycle after the last step.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    mask : Out, :class:`MaskWrite`
    active : Out, :data:`ACTIVE_LAYOUT`, of the last scan from its ``finish`` on
    """

    job: stream.Interface
    word: stream.Interface
    last: Signal
    write: Any
    taken: Signal
    busy: Signal
    finish: Signal
    fault: Signal
    fault_addr: Signal
    mask: Any
    active: Any

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                **WordSink(Buffer.ACT, config.block, config).members,
                "mask": Out(MaskWrite(config)),
                "active": Out(ACTIVE_LAYOUT),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        block, groups = config.block, config.row_groups
        busy = Signal()
        zero = Signal(8, reset_less=True)
        # The present word, its active bytes that have not gone yet, and whether it is the last.
        some = Signal()
        final = Signal()
        current = Signal(block * 8, reset_less=True)
        left = Signal(block, reset_less=True)
        # There is room for a word: at most one byte is left. The source of words has a register of
        # its own, since the whole load engine waits for it.
        takes = Signal(reset_less=True)
        ready = Signal()
        place = Signal(range(config.mask_words + 1), reset_less=True)
        # Filling the buffer's last word.
        fills = Signal()
        # Places of the next value in its group of lanes, and of the group in the buffer's word.
        lane = Signal(range(block), reset_less=True)
        group = Signal(range(groups), reset_less=True)
        word_begins = Signal()
        m.d.comb += word_begins.eq((lane == 0) & (group == 0))
        rest = Signal(block)
        goes, push = Signal(), Signal()
        m.d.comb += [
            rest.eq(left & (left - 1)),
            goes.eq(some & left.any()),
            self.job.ready.eq(~busy),
            self.word.ready.eq(ready),
            self.taken.eq(self.word.valid & self.word.ready),
            push.eq(goes | fills),
        ]
        nothing = Signal(reset_less=True)
        differs = Cat(self.word.p[8 * i : 8 * i + 8] != zero for i in range(block))
        mask_addr = drive(m, self.mask.addr, "mask_addr_out")
        mask_data = drive(m, self.mask.data, "mask_data_out")
        m.d.sync += [mask_addr.eq(place), mask_data.eq(differs), self.mask.en.eq(self.taken)]
        with m.If(goes):
            m.d.sync += [
                left.eq(rest),
                nothing.eq(0),
                self.active.inputs.eq(self.active.inputs + 1),
            ]
        with m.If(takes):
            m.d.sync += some.eq(0)
        with m.Else():
            # At most one of `rest`, which is known later.
            m.d.sync += [takes.eq(_at_most(2, left)), ready.eq(_at_most(2, left) & ~final)]
        with m.If(self.taken):
            m.d.sync += [
                some.eq(1),
                current.eq(self.word.p),
                left.eq(differs),
                takes.eq(_at_most(1, differs)),
                ready.eq(_at_most(1, differs) & ~self.last),
                final.eq(self.last),
                place.eq(place + 1),
            ]
        ends = some & final & takes
        # With a byte that goes now the word may be complete.
        completes = Signal()
        m.d.comb += completes.eq((lane == block - 1) & (group == groups - 1))
        done = Signal()
        with m.If(ends):
            empty = nothing & ~goes
            m.d.comb += done.eq(~empty & Mux(goes, completes, word_begins))
            m.d.sync += fills.eq(~done)
            with m.If(empty):
                m.d.sync += [
                    self.active.inputs.eq(1),
                    mask_addr.eq(mask_addr),
                    mask_data.eq(1 << (block - 1)),
                    self.mask.en.eq(1),
                ]
        with m.If(fills & completes):
            m.d.comb += done.eq(1)
            m.d.sync += fills.eq(0)
        with m.If(push):
            m.d.sync += [
                lane.eq(Mux(lane == block - 1, 0, lane + 1)),
                self.active.words.eq(self.active.words + completes),
            ]
            with m.If(lane == block - 1):
                m.d.sync += group.eq(Mux(group == groups - 1, 0, group + 1))
        m.d.sync += self.finish.eq(done)
        with m.If(self.finish):
            m.d.sync += busy.eq(0)
        with m.If(~busy):
            m.d.sync += [
                busy.eq(self.job.valid),
                ready.eq(self.job.valid),
                zero.eq(self.job.p.pad_value),
                takes.eq(1),
                final.eq(0),
                place.eq(0),
                lane.eq(0),
                group.eq(0),
                nothing.eq(1),
            ]
            with m.If(self.job.valid):
                m.d.sync += [self.active.inputs.eq(0), self.active.words.eq(0)]

        self._build_packing(m, push, fills, current, left & ~rest, zero, lane, group, busy)
        beyond = self.taken & (place >= config.mask_words)
        mask_fault = delay(m, beyond, 1, "mask_fault", reset=True)
        addr_fault = self.write.en.any() & self._beyond
        m.d.comb += [
            self.busy.eq(some | fills),
            self.fault.eq(mask_fault | addr_fault),
            self.fault_addr.eq(Mux(mask_fault, config.mask_words, self._dest)),
        ]
        return m

    def _build_packing(
        self,
        m: Module,
        push: Signal,
        fills: Signal,
        current: Signal,
        chosen: Any,
        zero: Signal,
        lane: Signal,
        group: Signal,
        busy: Signal,
    ) -> None:
        """Take the chosen byte of a word, its difference, and join differences to words."""
        config = self.config
        block = config.block
        # Stage 1: the word and which byte.
        word = delay(m, current, 1, "word")
        which = delay(m, chosen, 1, "which")
        fill_1 = delay(m, fills, 1, "fill")
        # Stage 2: the byte.
        byte = Signal(8, reset_less=True)
        fill_2 = delay(m, fill_1, 1, "fill_byte")
        bytes_of = [Mux(which[i], word[8 * i : 8 * i + 8], 0) for i in range(block)]
        m.d.sync += byte.eq(reduce(or_, bytes_of))
        # Stage 3: the difference, behind those before it.
        go = delay(m, push, 2, "push", reset=True)
        last_lane = delay(m, lane == block - 1, 2, "last_lane")
        into = delay(m, group, 2, "group")
        difference = Mux(fill_2, 0, byte - zero)[:8]
        joined = drive(m, self.write.data, "write_data_out")
        addr = drive(m, self.write.addr, "write_addr_out")
        dest = Signal(24, reset_less=True)
        groups = len(self.write.en)
        self._dest = Signal(24, name="written", reset_less=True)
        self._beyond = Signal(name="beyond", reset_less=True)
        with m.If(go):
            m.d.sync += joined.as_value().eq(Cat(joined.as_value()[8:], difference))
        m.d.sync += [
            addr.eq(dest),
            self._dest.eq(dest),
            self._beyond.eq(dest >= config.act_depth),
            self.write.en.eq(Cat(go & last_lane & (into == index) for index in range(groups))),
        ]
        with m.If(go & last_lane & (into == groups - 1)):
            m.d.sync += dest.eq(dest + 1)
        with m.If(~busy):
            m.d.sync += dest.eq(self.job.p.dest)


def _at_most(count: int, bits: Any) -> Any:
    """Return whether at most `count` bits are set."""
    return ~_at_least(count + 1, bits)


def _at_least(count: int, bits: Any) -> Any:
    """Return whether at least `count` bits are set, from the counts of parts: the way is short."""
    if count == 0 or len(bits) < count:
        return Const(count == 0)
    if len(bits) == 1:
        return bits[0]
    middle = 1 << ((len(bits) - 1).bit_length() - 1)
    low, high = bits[:middle], bits[middle:]
    return Cat(_at_least(i, low) & _at_least(count - i, high) for i in range(count + 1)).any()
