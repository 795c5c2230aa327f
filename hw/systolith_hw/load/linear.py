"""Writing words to successive places of a buffer: weights and parameters."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring

from systolith_hw.interface.buffers import WordSink, buffer_shape
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.legal import word_bytes

__all__ = ["LinearWriter"]


class LinearWriter(wiring.Component):
    """Writes one word per cycle, group after group of a buffer's word, until the region's last.

    See WordSink for the members; a write comes one cycle after its decision.

    Parameters
    ----------
    buffer : Buffer
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

    def __init__(self, buffer: Buffer, config: AcceleratorConfig) -> None:
        self.buffer = buffer
        self.config = config
        super().__init__(WordSink(buffer, word_bytes(buffer, config), config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape = buffer_shape(self.buffer, self.config)
        # `takes` is a copy of `active` for the source of words: a single register would have to
        # drive two places that are far apart.
        active = Signal()
        takes = Signal(reset_less=True)
        place = Signal.like(self.job.p.dest, reset_less=True)
        step = active & self.word.valid
        m.d.comb += [
            self.job.ready.eq(~active),
            self.word.ready.eq(takes),
            self.taken.eq(step),
            self.busy.eq(step),
            self.finish.eq(step & self.last),
            self.fault.eq(step & (place >= shape.groups * shape.depth)),
            self.fault_addr.eq(place),
        ]
        with m.If(step):
            m.d.sync += place.eq(place + 1)
        with m.If(self.finish):
            m.d.sync += [active.eq(0), takes.eq(0)]
        # Nothing reads these registers before `active`, so they load the payload, valid or not.
        with m.If(~active):
            m.d.sync += [
                active.eq(self.job.valid),
                takes.eq(self.job.valid),
                place.eq(self.job.p.dest),
            ]

        group_bits = shape.groups.bit_length() - 1
        groups = [place[:group_bits] == group for group in range(shape.groups)]
        addr = drive(m, self.write.addr, "write_addr_out")
        value = drive(m, self.write.data, "write_data_out")
        m.d.sync += [
            addr.eq(place >> group_bits),
            value.as_value().eq(self.word.p),
            self.write.en.eq(Cat(step & group for group in groups)),
        ]
        return m
