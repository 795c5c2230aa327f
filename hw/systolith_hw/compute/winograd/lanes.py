"""The lane sequencer: the 36 passes of each chunk over the patches in the ring."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.compute.accumulator import AccumulatorColumn
from systolith_hw.interface.core import accumulate_layout
from systolith_hw.interface.layouts import instruction_layout
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.primitives.walk import Level, walk
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.timing import patch_release
from systolith_hw.spec.winograd import LANES

__all__ = ["LANE_JOB", "LaneSequencer"]

LANE_JOB = data.StructLayout(
    {
        name: instruction_layout(Opcode.CONV)[name].shape
        for name in ("patches", "c_count", "acc_base", "bank", "clear")
    }
)
"""The fields of a CONV that the lane sequencer needs."""


class LaneSequencer(wiring.Component):
    """Issues one word of the ring per cycle: for each chunk, for each lane, for each patch.

    A pass goes over the patches of one lane. It begins when its weight block is ready and the sums
    that it adds to are stored; the first pass of a chunk also waits for the chunk. Once begun it
    never waits. The address of a word follows two cycles after its issue. Word (lane, patch) adds
    to the bank's sum at ``acc_base + lane * patches + patch``.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job : In, stream of :data:`LANE_JOB`
    weights_ready : In, see WeightLoader
    swap : Out, see WeightLoader
    full : In, see Ring
    start, release : Out, see Ring
    addr : Out, word of the ring of patches
    first : Out, with the first address of a pass
    accumulate : Out, :func:`accumulate_layout`, in the cycle of the word's ``addr``
    done : Out, ``accumulate`` is the last of an instruction
    busy : Out, a word is issued
    wait_chunk : Out, the next chunk is not in the ring yet
    wait_weights : Out, a pass waits for its weight block, or for the sums of the pass before
    fault : Out, pulse: an address lies beyond the bank's end
    fault_addr : Out, with ``fault``: that address
    """

    job: stream.Interface
    weights_ready: Signal
    swap: Signal
    full: Signal
    start: Signal
    release: Signal
    addr: Signal
    first: Signal
    accumulate: Any
    done: Signal
    busy: Signal
    wait_chunk: Signal
    wait_weights: Signal
    fault: Signal
    fault_addr: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "job": In(stream.Signature(LANE_JOB)),
                "weights_ready": In(1),
                "swap": Out(1),
                "full": In(1),
                "start": Out(1),
                "release": Out(1),
                "addr": Out(range(2 * LANES * config.winograd)),
                "first": Out(1),
                "accumulate": Out(accumulate_layout(config)),
                "done": Out(1),
                "busy": Out(1),
                "wait_chunk": Out(1),
                "wait_weights": Out(1),
                "fault": Out(1),
                "fault_addr": Out(24),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        active = Signal()
        job: Any = Signal(LANE_JOB, reset_less=True)
        patch, lane, chunk = Countdown(8, "patch"), Countdown(6, "lane"), Countdown(16, "chunk")
        pass_start = Signal()
        chunk_start = Signal()
        first_chunk = Signal(reset_less=True)
        # The same accumulator address must not come again before its last sum is stored.
        cooldown = Signal(range(AccumulatorColumn.UPDATE_LATENCY))
        cold = Signal(init=1)

        there = ~chunk_start | self.full
        issue = active & (~pass_start | (there & self.weights_ready & cold))
        finish = issue & patch.last & lane.last & chunk.last
        m.d.comb += [
            self.job.ready.eq(~active | finish),
            self.busy.eq(issue),
            self.wait_chunk.eq(active & ~there),
            self.wait_weights.eq(active & there & ~issue),
            self.start.eq(issue & chunk_start),
        ]
        with m.If(issue & pass_start):
            m.d.sync += [cooldown.eq(AccumulatorColumn.UPDATE_LATENCY - 1), cold.eq(0)]
        with m.Elif(~cold):
            m.d.sync += [cooldown.eq(cooldown - 1), cold.eq(cooldown == 1)]
        releases = lane.left == LANES - 1 - patch_release(config)
        m.d.sync += self.release.eq(issue & pass_start & releases)

        # Stage 0: counters.
        with m.If(issue):
            m.d.sync += [pass_start.eq(patch.last), chunk_start.eq(patch.last & lane.last)]
            levels = [Level.counted(patch, job.patches), Level.counted(lane, LANES)]
            walk(m, levels, end=[*chunk.advance(), first_chunk.eq(0), active.eq(~chunk.last)])
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [
                active.eq(1),
                job.eq(self.job.p),
                *patch.load(self.job.p.patches),
                *lane.load(LANES),
                *chunk.load(self.job.p.c_count),
                pass_start.eq(1),
                chunk_start.eq(1),
                first_chunk.eq(1),
            ]

        # Stage 1: the word's flags.
        valid_1 = Signal()
        first_1 = Signal(reset_less=True)
        restart_1 = Signal(reset_less=True)
        done_1 = Signal(reset_less=True)
        overwrite_1 = Signal(reset_less=True)
        bank_1 = Signal(reset_less=True)
        acc_base = Signal(16, reset_less=True)
        m.d.sync += [
            valid_1.eq(issue),
            first_1.eq(pass_start),
            restart_1.eq(chunk_start),
            done_1.eq(patch.last & lane.last & chunk.last),
            overwrite_1.eq(first_chunk & job.clear),
            bank_1.eq(job.bank),
            acc_base.eq(job.acc_base),
        ]
        m.d.sync += self.swap.eq(issue & pass_start)

        # Stage 2: the addresses. `lane_addr`, a pass's first, advances through both halves.
        valid_2 = Signal()
        overwrite_2 = Signal(reset_less=True)
        done_2 = Signal()
        bank_2 = Signal(reset_less=True)
        acc_addr = Signal(17, reset_less=True)
        lane_addr = Signal(self.addr.shape())
        m.d.sync += [
            valid_2.eq(valid_1),
            self.first.eq(valid_1 & first_1),
            overwrite_2.eq(overwrite_1),
            done_2.eq(valid_1 & done_1),
            bank_2.eq(bank_1),
        ]
        addr = drive(m, self.addr, "addr_out")
        with m.If(valid_1):
            m.d.sync += [
                addr.eq(Mux(first_1, lane_addr, addr + 1)),
                acc_addr.eq(Mux(restart_1, acc_base, acc_addr + 1)),
            ]
        with m.If(self.swap):
            end = (2 * LANES - 1) * config.winograd
            m.d.sync += lane_addr.eq(Mux(lane_addr == end, 0, lane_addr + config.winograd))
        m.d.comb += [
            self.accumulate.valid.eq(valid_2),
            self.accumulate.overwrite.eq(overwrite_2),
            self.done.eq(done_2),
            self.accumulate.bank.eq(bank_2),
            self.accumulate.addr.eq(acc_addr),
            self.fault.eq(valid_2 & (acc_addr >= config.acc_depth)),
            self.fault_addr.eq(acc_addr),
        ]
        return m
