"""The store engine: drains accumulator banks and writes the results to memory."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.bus.bursts import BurstSplitter, RegionWalker
from systolith_hw.interface.buffers import BufferRead, BufferWrite, buffer_shape
from systolith_hw.interface.bus_layouts import burst_layout, write_beat_layout
from systolith_hw.interface.core import DrainRead
from systolith_hw.interface.engine import EngineStatus, StoreState
from systolith_hw.interface.layouts import (
    COUNTER_BITS,
    PROGRESS_LAYOUT,
    instruction_layout,
)
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import REGION_FIELDS, Buffer, Opcode
from systolith_hw.spec.timing import STORE_RUNS
from systolith_hw.store.drain import Drain, drain_job_layout
from systolith_hw.stream.gate import TokenGate
from systolith_hw.stream.gearbox import Packer
from systolith_hw.stream.queue import Queue

__all__ = ["StoreEngine"]


class StoreEngine(wiring.Component):
    """Drains accumulators, packs the words into beats, and splits regions into bursts.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    store : In, stream of STORE instructions
    progress : In, the counters it waits for
    drain : Out, :class:`DrainRead`
    param : Out, the parameter buffer's read side
    table : In, only with ``functions``: the tables' write side
    burst : Out, stream of bursts to write
    beat : Out, stream of the beats to write
    pending : In, the memory has not acknowledged all STOREs yet
    status : Out, :class:`EngineStatus`, done when the last sum of a STORE has left its bank
    """

    store: stream.Interface
    progress: Any
    drain: Any
    param: Any
    table: Any
    burst: stream.Interface
    beat: stream.Interface
    pending: Signal
    status: Any

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "store": In(stream.Signature(instruction_layout(Opcode.STORE, config))),
                "progress": In(PROGRESS_LAYOUT),
                "drain": Out(DrainRead(config)),
                "param": Out(BufferRead(buffer_shape(Buffer.PARAM, config))),
                "burst": Out(stream.Signature(burst_layout(config))),
                "beat": Out(stream.Signature(write_beat_layout(config))),
                "pending": In(1),
                **(
                    {"table": In(BufferWrite(buffer_shape(Buffer.TABLE, config)))}
                    if config.functions
                    else {}
                ),
                "status": Out(EngineStatus(StoreState, regions=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.gate = gate = TokenGate(
            instruction_layout(Opcode.STORE, config),
            {"after_computed": "computed", "after_loaded": "loaded"},
        )
        m.submodules.walker = walker = RegionWalker(config, [config.block])
        m.submodules.splitter = splitter = BurstSplitter(config)
        m.submodules.drain = drain = Drain(config)
        m.submodules.packer = packer = Packer(config.bus_bytes, config.block)
        skip_shift = packer.unit_bytes.bit_length() - 1
        m.submodules.runs = runs = Queue(
            data.StructLayout(
                {
                    "skip": range(max(2, packer.beat_units)),
                    "following": len(walker.region.p.run_words),
                    "single": 1,
                    "last": 1,
                }
            ),
            STORE_RUNS,
        )
        connect(m, flipped(self.store), gate.i)
        connect(m, splitter.burst, flipped(self.burst))

        both = walker.region.ready & drain.job.ready
        m.d.comb += [
            gate.progress.eq(self.progress),
            gate.o.ready.eq(both),
            walker.region.valid.eq(gate.o.valid & both),
            drain.job.valid.eq(gate.o.valid & both),
        ]
        m.d.comb += [walker.region.p[name].eq(gate.o.p[name]) for name in REGION_FIELDS]
        m.d.comb += [
            drain.job.p[name].eq(gate.o.p[name]) for name in drain_job_layout(config).members
        ]

        # The number of words of a run after its first one.
        following = Signal(len(walker.region.p.run_words), reset_less=True)
        single = Signal(reset_less=True)
        with m.If(walker.region.valid & walker.region.ready):
            m.d.sync += [
                following.eq(walker.region.p.run_words - 1),
                single.eq(walker.region.p.run_words == 1),
            ]
        fork = splitter.run.ready & runs.i.ready
        m.d.comb += [
            walker.run.ready.eq(fork),
            splitter.run.valid.eq(walker.run.valid & fork),
            splitter.run.p.eq(walker.run.p),
            runs.i.valid.eq(walker.run.valid & fork),
            runs.i.p.skip.eq(walker.run.p.skip >> skip_shift),
            runs.i.p.following.eq(following),
            runs.i.p.single.eq(single),
            runs.i.p.last.eq(walker.run.p.last),
        ]

        # Mark each word that begins or ends a run.
        first = Signal(init=1)
        words = Countdown(len(following), "words")
        last = Mux(first, runs.o.p.single, words.last)
        moved = packer.i.valid & packer.i.ready
        m.d.comb += [
            packer.i.valid.eq(drain.word.valid & runs.o.valid),
            packer.i.p.data.eq(drain.word.p.data),
            packer.i.p.first.eq(first),
            packer.i.p.last.eq(last),
            packer.i.p.skip.eq(runs.o.p.skip),
            drain.word.ready.eq(runs.o.valid & packer.i.ready),
            runs.o.ready.eq(moved & last),
            self.beat.valid.eq(packer.o.valid),
            self.beat.p.eq(packer.o.p),
            packer.o.ready.eq(self.beat.ready),
        ]
        with m.If(moved):
            m.d.sync += [first.eq(last), *words.advance()]
            with m.If(first):
                m.d.sync += words.load(runs.o.p.following)

        # A miscount: the last word drained is not the last of the region, or the other way round.
        # While no STORE is in progress, as many STOREs are packed as the controller counts stored.
        packed = Signal(COUNTER_BITS, reset_less=True)
        with m.If(moved & drain.word.p.last):
            m.d.sync += packed.eq(packed + 1)
        with m.Elif(~self.pending):
            m.d.sync += packed.eq(self.progress.stored)
        miscount_number = drive(m, self.status.miscount_number, "miscount_number_out")
        m.d.sync += [
            self.status.miscount.eq(moved & (drain.word.p.last != (last & runs.o.p.last))),
            miscount_number.eq(packed),
        ]

        connect(m, drain.drain, flipped(self.drain))
        connect(m, drain.param, flipped(self.param))
        if config.functions:
            connect(m, flipped(self.table), drain.table)
        m.d.comb += [
            self.status.done.eq(drain.drained),
            self.status.fault.eq(drain.fault),
            self.status.fault_addr.eq(drain.fault_addr),
        ]
        m.d.sync += self.status.rest.eq(
            Cat(
                gate.i.ready,
                walker.region.ready,
                ~splitter.burst.valid,
                runs.empty,
                ~drain.active,
                ~drain.word.valid,
                packer.empty,
                first,
                *([~drain.holds] if config.winograd else []),
            ).all()
        )
        with m.If(drain.busy):
            m.d.comb += self.status.state.eq(StoreState.BUSY)
        with m.Elif(drain.active):
            m.d.comb += self.status.state.eq(StoreState.WAIT_MEMORY)
        with m.Elif(gate.waiting[0]):
            m.d.comb += self.status.state.eq(StoreState.WAIT_COMPUTE)
        with m.Elif(gate.waiting[1]):
            m.d.comb += self.status.state.eq(StoreState.WAIT_PARAMS)
        with m.Elif(self.pending):
            m.d.comb += self.status.state.eq(StoreState.WAIT_MEMORY)
        return m
