"""Weights of 4 bits: each word of memory makes two words of the weight buffer."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, connect, flipped

from systolith_hw.load.linear import LinearWriter
from systolith_hw.load.units import UnitWriter
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer

__all__ = ["NibbleWriter", "weight_writer"]


class NibbleWriter(wiring.Component):
    """Takes words of nibbles apart for a writer of weights; other words pass as they are.

    A word of nibbles is written in two cycles, its low nibbles first, and is taken in the second
    one. No register holds it. The writer sees two words, `last` and `run_last` with the second one.

    Parameters
    ----------
    config : AcceleratorConfig
    writer : UnitWriter or LinearWriter

    Members
    -------
    nibbles : In, with ``job``: its words hold nibbles
    others : those of the writer
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
    ring: Any
    run_last: Signal
    complete: Signal
    nibbles: Signal

    def __init__(self, config: AcceleratorConfig, writer: UnitWriter | LinearWriter) -> None:
        self.config = config
        self.writer = writer
        super().__init__({**writer.signature.members, "nibbles": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.writer = writer = self.writer
        splits = Signal()
        # The word at hand is written for the last time: unsplit, or its high nibbles.
        second = Signal(init=1)
        connect(m, flipped(self.job), writer.job)
        connect(m, writer.write, flipped(self.write))
        lanes = [self.word.p[8 * i : 8 * i + 8] for i in range(self.config.cols)]
        parts = [Mux(second, lane[4:], lane[:4]) for lane in lanes]
        extended = Cat(Cat(part, part[3].replicate(4)) for part in parts)
        m.d.comb += [
            writer.word.valid.eq(self.word.valid),
            writer.word.p.eq(Mux(splits, extended, self.word.p)),
            self.word.ready.eq(writer.word.ready & second),
            writer.last.eq(self.last & second),
            self.taken.eq(writer.taken & second),
            self.busy.eq(writer.busy),
            self.finish.eq(writer.finish),
            self.fault.eq(writer.fault),
            self.fault_addr.eq(writer.fault_addr),
        ]
        if isinstance(writer, UnitWriter):
            m.d.comb += [
                writer.ring.eq(self.ring),
                writer.run_last.eq(self.run_last & second),
                self.complete.eq(writer.complete),
            ]
        with m.If(writer.taken & splits):
            m.d.sync += second.eq(~second)
        # Nothing is written before there is a job, so these load the input, valid or not.
        with m.If(writer.job.ready):
            m.d.sync += [splits.eq(self.nibbles), second.eq(~self.nibbles)]
        return m


def weight_writer(config: AcceleratorConfig) -> LinearWriter | UnitWriter | NibbleWriter:
    """Return the sink of a configuration's weights."""
    writer = UnitWriter(config) if config.gather else LinearWriter(Buffer.WEIGHT, config)
    return NibbleWriter(config, writer) if config.nibbles else writer
