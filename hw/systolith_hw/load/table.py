"""Writing words to the tables of functions, a byte at a time."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring

from systolith_hw.interface.buffers import WordSink
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, TABLE_ENTRIES, Buffer
from systolith_hw.spec.legal import word_bytes

__all__ = ["TableWriter"]


class TableWriter(wiring.Component):
    """Writes the eight bytes of each word to successive entries, one per cycle.

    See WordSink for the members; a write comes one cycle after its decision. A word is taken with
    the decision on its first byte. With a word at hand all the time, each takes eight cycles.

    Parameters
    ----------
    config : AcceleratorConfig
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

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(WordSink(Buffer.TABLE, word_bytes(Buffer.TABLE, config), config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active = Signal()
        # Bytes of the present word after this one, the bytes, and whether the word is the last.
        left = Signal(range(PARAM_BYTES))
        rest = Signal((PARAM_BYTES - 1) * 8, reset_less=True)
        final = Signal(reset_less=True)
        place = Signal.like(self.job.p.dest, reset_less=True)
        first = self.word.valid & self.word.ready
        step = first | (left != 0)
        m.d.comb += [
            self.job.ready.eq(~active),
            self.word.ready.eq(active & (left == 0)),
            self.taken.eq(first),
            self.busy.eq(step),
            self.finish.eq((left == 1) & final),
            self.fault.eq(step & (place >= TABLE_ENTRIES)),
            self.fault_addr.eq(place),
        ]
        addr = drive(m, self.write.addr, "write_addr_out")
        value = drive(m, self.write.data, "write_data_out")
        m.d.sync += [addr.eq(place), self.write.en.eq(step)]
        with m.If(first):
            m.d.sync += [
                value.as_value().eq(self.word.p),
                rest.eq(self.word.p >> 8),
                left.eq(PARAM_BYTES - 1),
                final.eq(self.last),
            ]
        with m.Else():
            m.d.sync += [value.as_value().eq(rest), rest.eq(rest >> 8)]
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
        with m.If(step):
            m.d.sync += place.eq(place + 1)
        with m.If(self.finish):
            m.d.sync += active.eq(0)
        # Nothing reads these registers before `active`, so they load the payload, valid or not.
        with m.If(~active):
            m.d.sync += [active.eq(self.job.valid), place.eq(self.job.p.dest)]
        return m
