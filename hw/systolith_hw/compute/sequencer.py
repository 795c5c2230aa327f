"""The pixel sequencer: walks a tile's activations pass by pass, one address per cycle."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.compute.accumulator import AccumulatorColumn
from systolith_hw.interface.core import accumulate_layout
from systolith_hw.interface.gather import ACTIVE_LAYOUT
from systolith_hw.interface.layouts import instruction_layout
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.primitives.walk import Level, walk
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import FIELDS, Opcode

__all__ = ["PIXEL_JOB", "PixelSequencer", "pixel_job_layout"]

_PIXEL_LEVELS = ("x", "y", "n")
_PASS_LEVELS = ("s", "r", "c")
_LEVELS = (*_PIXEL_LEVELS, *_PASS_LEVELS)

PIXEL_JOB = data.StructLayout(
    {
        field.name: instruction_layout(Opcode.CONV)[field.name].shape
        for field in FIELDS[Opcode.CONV]
        if not field.option and field.name not in ("after_loaded_weight", "weight_base")
    }
)
"""The fields of a CONV that the pixel sequencer needs."""


def pixel_job_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return :data:`PIXEL_JOB`, with ``gather`` in the configuration also how to do that."""
    fields = instruction_layout(Opcode.CONV)
    more = ("gather", "unsigned") if config.gather else ()
    return data.StructLayout({**PIXEL_JOB.members, **{name: fields[name].shape for name in more}})


def _first_clear(bits: Sequence[Any]) -> list[Any]:
    """Return one bit for each of `bits`, set at the first clear one, and a last: all are set."""
    return [Cat(*bits[:index]).all() & ~bit for index, bit in enumerate(bits)] + [Cat(*bits).all()]


class PixelSequencer(wiring.Component):
    """Issues one pixel per cycle; passes and instructions follow each other without a pause.

    A pass begins when its weight block is ready and the sums that it adds to are stored. Once begun
    it never waits. The address of a pixel follows two cycles after its issue.

    In a job with ``gather`` c counts the words that the last scan has made. The pass s of each of
    them adds to the sum s, so ``clear`` holds for the passes of the first word.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job : In, stream of :func:`pixel_job_layout`
    weights_ready : In, see WeightLoader
    swap : Out, see WeightLoader
    act_addr : Out, word of the activation buffer
    act_first : Out, with the first address of a pass
    accumulate : Out, :func:`accumulate_layout`, in the cycle of the pixel's ``act_addr``
    done : Out, ``accumulate`` is the last of an instruction
    busy : Out, a pixel is issued
    wait_weights : Out, a pass waits for its weight block, or for the sums of the pass before
    fault : Out, pulse: an address lies beyond the end of the activation buffer or of the bank
    fault_addr : Out, with ``fault``: that address
    words : In, only with ``gather``: the words that the last scan has made
    unsigned : Out, only with ``gather``: the activation at ``act_addr`` is 0 to 255
    """

    job: stream.Interface
    weights_ready: Signal
    swap: Signal
    act_addr: Signal
    act_first: Signal
    accumulate: Any
    done: Signal
    busy: Signal
    wait_weights: Signal
    fault: Signal
    fault_addr: Signal
    words: Signal
    unsigned: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                **(
                    {"words": In(ACTIVE_LAYOUT["words"].shape), "unsigned": Out(1)}
                    if config.gather
                    else {}
                ),
                "job": In(stream.Signature(pixel_job_layout(config))),
                "weights_ready": In(1),
                "swap": Out(1),
                "act_addr": Out(24),
                "act_first": Out(1),
                "accumulate": Out(accumulate_layout(config)),
                "done": Out(1),
                "busy": Out(1),
                "wait_weights": Out(1),
                "fault": Out(1),
                "fault_addr": Out(24),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active = Signal()
        job: Any = Signal(pixel_job_layout(self.config), reset_less=True)
        left = {level: Countdown(PIXEL_JOB[f"{level}_count"].width, level) for level in _LEVELS}
        pass_start = Signal()
        first_pass = Signal(reset_less=True)
        # The same accumulator address must not come again before its last sum is stored.
        cooldown = Signal(range(AccumulatorColumn.UPDATE_LATENCY))
        cold = Signal(init=1)

        begin = self.weights_ready & cold
        issue = active & (~pass_start | begin)
        m.d.comb += [self.busy.eq(issue), self.wait_weights.eq(active & ~issue)]

        last = {level: counter.last for level, counter in left.items()}
        last_pixel = last["x"] & last["y"] & last["n"]
        # One bit for each level that the next pass may advance, and one for the last pass. It
        # comes one cycle late: either the pass is longer than that, or the accumulators make the
        # next pass wait.
        advances = Signal(len(_PASS_LEVELS) + 1, reset_less=True)
        m.d.sync += advances.eq(Cat(_first_clear([last[level] for level in _PASS_LEVELS])))
        last_pass = advances[-1]

        # `cold` also keeps the next pass from using the same block: `swap` takes it a cycle after
        # this pass has begun.
        with m.If(issue & pass_start):
            m.d.sync += [
                cooldown.eq(AccumulatorColumn.UPDATE_LATENCY - 1),
                cold.eq(0),
            ]
        with m.Elif(~cold):
            m.d.sync += [cooldown.eq(cooldown - 1), cold.eq(cooldown == 1)]

        # Stage 0: counters, and the step that leads to the next pixel.
        step = Signal(24, reset_less=True)
        restart = Signal(reset_less=True)
        # Nothing reads these registers before `active`, so they load the payload, valid or not.
        # Nothing reads their values after the very last pixel either, so no level has to look at
        # the outer ones.
        counts = {level: self.job.p[f"{level}_count"] for level in _LEVELS}
        cleared, first_sum = last_pixel, pass_start
        unit_start = None
        if self.config.gather:
            counts["c"] = Mux(self.job.p.gather, self.words, counts["c"])
            cleared = last_pixel & (~job.gather | last["s"])
            # A pass begins at the first sum, but those of a gathered unit each at their own.
            unit_start = Signal(reset_less=True)
            first_sum = pass_start & (~job.gather | unit_start)
        moves = ~active | issue
        renews = ~active | (last_pixel & last_pass)
        m.d.comb += self.job.ready.eq(moves & renews)
        ends = last | {level: ~advances[index] for index, level in enumerate(_PASS_LEVELS)}
        levels = [
            Level(
                ends[level],
                left[level].load(job[f"{level}_count"]),
                [*left[level].advance(), step.eq(job[f"{level}_step"])],
            )
            for level in _LEVELS
        ]
        with m.If(moves):
            m.d.sync += [pass_start.eq(last_pixel), restart.eq(0)]
            with m.If(cleared):
                m.d.sync += first_pass.eq(0)
            walk(m, levels)
            with m.If(renews):
                m.d.sync += [
                    active.eq(self.job.valid),
                    job.eq(self.job.p),
                    pass_start.eq(1),
                    first_pass.eq(1),
                    restart.eq(1),
                    step.eq(self.job.p.act_base),
                    advances.eq(Cat(_first_clear([counts[level] == 1 for level in _PASS_LEVELS]))),
                ]
                for level in _LEVELS:
                    m.d.sync += left[level].load(counts[level])
            if unit_start is not None:
                with m.If(last_pixel):
                    m.d.sync += unit_start.eq(last["s"])
                with m.If(renews):
                    m.d.sync += unit_start.eq(1)

        # Stage 1: the step that leads to this pixel's address, and its flags.
        valid_1 = Signal()
        delta = Signal(24, reset_less=True)
        absolute = Signal(reset_less=True)
        first_1 = Signal(reset_less=True)
        done_1 = Signal(reset_less=True)
        overwrite_1 = Signal(reset_less=True)
        shift_1 = Signal(reset_less=True)
        bank_1 = Signal(reset_less=True)
        acc_base = Signal(16, reset_less=True)
        sums_1 = first_1
        if self.config.gather:
            sums_1 = Signal(reset_less=True)
            unsigned_1 = Signal(reset_less=True)
            unsigned = drive(m, self.unsigned, "unsigned_out")
            m.d.sync += [
                sums_1.eq(first_sum),
                unsigned_1.eq(job.unsigned),
                unsigned.eq(unsigned_1),
            ]
        m.d.sync += [
            valid_1.eq(issue),
            delta.eq(step),
            absolute.eq(restart),
            first_1.eq(pass_start),
            done_1.eq(last_pixel & last_pass),
            overwrite_1.eq(first_pass & job.clear),
            shift_1.eq(first_pass & job.shift),
            bank_1.eq(job.bank),
            acc_base.eq(job.acc_base),
        ]
        m.d.sync += self.swap.eq(issue & pass_start)

        # Stage 2: the addresses.
        valid_2 = Signal()
        acc_addr = Signal(17, reset_less=True)
        overwrite_2 = Signal(reset_less=True)
        shift_2 = Signal(reset_less=True)
        done_2 = Signal()
        bank_2 = Signal(reset_less=True)
        m.d.sync += [
            valid_2.eq(valid_1),
            self.act_first.eq(valid_1 & first_1),
            overwrite_2.eq(overwrite_1),
            shift_2.eq(shift_1),
            done_2.eq(valid_1 & done_1),
            bank_2.eq(bank_1),
        ]
        act_addr = drive(m, self.act_addr, "act_addr_out")
        with m.If(valid_1):
            m.d.sync += [
                act_addr.eq(Mux(absolute, 0, act_addr) + delta),
                acc_addr.eq(Mux(sums_1, acc_base, acc_addr + 1)),
            ]
        act_fault = act_addr >= self.config.act_depth
        m.d.comb += [
            self.accumulate.valid.eq(valid_2),
            self.accumulate.overwrite.eq(overwrite_2),
            self.accumulate.shift.eq(shift_2),
            self.done.eq(done_2),
            self.accumulate.bank.eq(bank_2),
            self.accumulate.addr.eq(acc_addr),
            self.fault.eq(valid_2 & (act_fault | (acc_addr >= self.config.acc_depth))),
            self.fault_addr.eq(Mux(act_fault, act_addr, acc_addr)),
        ]
        return m
