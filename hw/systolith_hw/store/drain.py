"""The drain: reads an accumulator bank window by window and gives words of channels."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.interface.buffers import BufferRead, BufferWrite, buffer_shape
from systolith_hw.interface.core import DrainRead
from systolith_hw.interface.layouts import OUTPUT_LAYOUT, instruction_layout
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.primitives.walk import Level, walk
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import REGION_FIELDS, Buffer, Opcode, Role, fields_of
from systolith_hw.spec.timing import DRAIN_WORDS, drain_latency, strip_latency
from systolith_hw.store.lanes import PostLanes, drain_flags
from systolith_hw.store.winograd.path import PatchPath
from systolith_hw.store.winograd.strips import STRIP_FIELDS
from systolith_hw.stream.queue import Queue

__all__ = ["Drain", "drain_job_layout", "drained_word_layout"]


def drain_job_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of the fields of a STORE that the drain needs."""
    layout = instruction_layout(Opcode.STORE, config)
    return data.StructLayout(
        {
            field.name: layout[field.name].shape
            for field in fields_of(Opcode.STORE, config)
            if field.name not in REGION_FIELDS and field.role is not Role.TOKEN
        }
    )


def drained_word_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of a word of ``block`` channels, with whether it is its STORE's last."""
    return data.StructLayout({"data": config.block * 8, "last": 1})


class Drain(wiring.Component):
    """Reads one sum for each lane per cycle while the word queue has room for the results.

    A word whose window has k sums takes k * block / post_lanes cycles. A STORE begins when the
    results of the one before are in the queue, because zero point and clamps change with it.

    With ``winograd`` the drain reads the 36 sums of a patch without a pause, for one group of lanes
    after the other. They pass the output transform in front of the lanes, and the results go into
    the staging memory. A strip of patches begins when half of that memory is free; its words go to
    the queue in raster order, while there is room. The next STORE begins when all results are
    staged if it drains patches, and when all words have left the staging memory if it drains
    windows.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job : In, stream of :func:`drain_job_layout`
    drain : Out, :class:`DrainRead`
    param : Out, the parameter buffer's read side (SkewedMemory)
    table : In, only with ``functions``: the tables' write side
    word : Out, stream of :func:`drained_word_layout`
    drained : Out, pulse: the last sum of a STORE has been read
    active : Out, a STORE is being drained, or its results are on their way
    busy : Out, a sum is read
    fault : Out, pulse: an address lies beyond the end of the bank or of the parameter buffer
    fault_addr : Out, with ``fault``: that bank address or parameter entry
    holds : Out, only with ``winograd``: the staging memory holds words
    """

    job: stream.Interface
    drain: Any
    param: Any
    table: Any
    word: stream.Interface
    drained: Signal
    active: Signal
    busy: Signal
    fault: Signal
    fault_addr: Signal
    holds: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "job": In(stream.Signature(drain_job_layout(config))),
                "drain": Out(DrainRead(config)),
                "param": Out(BufferRead(buffer_shape(Buffer.PARAM, config))),
                "word": Out(stream.Signature(drained_word_layout(config))),
                "drained": Out(1),
                "active": Out(1),
                "busy": Out(1),
                "fault": Out(1),
                "fault_addr": Out(24),
                **({"holds": Out(1)} if config.winograd else {}),
                **(
                    {"table": In(BufferWrite(buffer_shape(Buffer.TABLE, config)))}
                    if config.functions
                    else {}
                ),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.config.post_lanes
        groups = self.config.block // lanes
        m.submodules.lanes = post = PostLanes(self.config)
        m.submodules.queue = queue = Queue(drained_word_layout(self.config), DRAIN_WORDS)
        connect(m, queue.o, flipped(self.word))

        active = Signal()
        job: Any = Signal(self.job.p.shape(), reset_less=True)
        settle_cycles: Any = drain_latency(self.config) + 1
        slowest = strip_latency if self.config.winograd else drain_latency
        settle = Signal(range(slowest(self.config) + 2))
        ends = Signal(reset_less=True)
        idle = Signal(init=1)
        room = Signal(range(DRAIN_WORDS + 1), init=DRAIN_WORDS)
        has_room = Signal(init=1)
        left = {
            level: Countdown(len(job[f"{level}_count"]), level)
            for level in ("dx", "dy", "x", "y", "n")
        }
        blocks = Countdown(8, "blocks")
        group = Signal(range(max(2, groups)), reset_less=True)
        group_last = Signal(reset_less=True)
        window_first = Signal(reset_less=True)
        word_first = Signal(reset_less=True)
        addr = Signal(16, reset_less=True)
        base = Signal(16, reset_less=True)
        # The parameters of this channel block's first group, in words of the parameter buffer.
        param_word = Signal(16, reset_less=True)
        column_group = Signal(range(max(2, self.config.cols // lanes)), reset_less=True)

        may_begin = has_room
        patches = PatchPath(self.config) if self.config.winograd else None
        if patches:
            m.submodules.patches = patches
            may_begin = Mux(job.winograd, patches.may_begin, has_room)
            settle_cycles = Mux(job.winograd, strip_latency(self.config) + 1, settle_cycles)
        issue = active & (~word_first | may_begin)
        last = {level: counter.last for level, counter in left.items()}
        window_last = last["dx"] & last["dy"]
        word_last = window_last & group_last
        # Values that change with a word, and the step to the next word. The walk to that word may
        # come one cycle late where a word takes at least two cycles; and where it takes at least
        # three, so may the tests for the last word.
        word_done = Signal()
        last_place = Signal(reset_less=True)
        last_of_all = Signal(reset_less=True)
        step = Signal(16, reset_less=True)
        m.d["comb" if groups == 1 else "sync"] += word_done.eq(issue & word_last)
        m.d["comb" if groups < 3 else "sync"] += [
            last_place.eq(last["x"] & last["y"] & last["n"]),
            last_of_all.eq(last["x"] & last["y"] & last["n"] & blocks.last),
            step.eq(Mux(~last["x"], job.x_step, Mux(~last["y"], job.y_step, job.n_step))),
        ]
        finish = issue & word_last & last_of_all
        m.d.comb += [
            self.busy.eq(issue),
            self.active.eq(~idle),
            self.job.ready.eq(idle),
        ]

        def level(name: str, *step: Any) -> Level:
            return Level.counted(left[name], job[f"{name}_count"], *step)

        # Within a word: the sums of a window, then the same window of the next group of lanes.
        window = [
            level("dx", addr.eq(addr + job.dx_step)),
            level("dy", addr.eq(addr + job.dy_step)),
        ]
        first_group = [group.eq(0), group_last.eq(groups == 1)]
        following_group = [group.eq(group + 1), group_last.eq(group == groups - 2), addr.eq(base)]
        next_word = Mux(last_place, job.acc_base, base + step)[:16]
        next_group = column_group + groups
        if self.config.gather:
            # The next block of stacked sums: in the next columns, or again in the first ones.
            wraps = job.stacked & (column_group == self.config.cols // lanes - groups)
            next_word = Mux(job.stacked, base + wraps, next_word)[:16]
            next_group = Mux(wraps, 0, next_group)
        with m.If(issue):
            m.d.sync += [window_first.eq(window_last), word_first.eq(word_last)]
            walk(
                m,
                [*window, Level(group_last, first_group, following_group)],
                end=[addr.eq(next_word), base.eq(next_word)],
            )
            with m.If(word_last & last_place):
                m.d.sync += [
                    *blocks.advance(),
                    param_word.eq(param_word + groups),
                    column_group.eq(next_group),
                ]
        with m.If(word_done):
            walk(m, [level("x"), level("y"), level("n")])
        with m.If(finish):
            m.d.sync += active.eq(0)
        with m.If(self.drained):
            # Three cycles before `idle` its last word enters the queue, or may be read if staged.
            m.d.sync += settle.eq(settle_cycles)
        with m.Elif(settle != 0):
            m.d.sync += settle.eq(settle - 1)
            with m.If(settle == 1):
                m.d.sync += idle.eq(1)
        m.d.sync += ends.eq(settle == 4)
        # Nothing reads these registers before `active`, so they load the payload, valid or not.
        with m.If(idle):
            m.d.sync += [
                active.eq(self.job.valid),
                idle.eq(~self.job.valid),
                job.eq(self.job.p),
                *first_group,
                window_first.eq(1),
                word_first.eq(1),
                addr.eq(self.job.p.acc_base),
                base.eq(self.job.p.acc_base),
                *blocks.load(self.job.p.blocks),
                param_word.eq(self.job.p.param_base // lanes),
                column_group.eq(0),
            ]
            m.d.sync += [left[level].load(self.job.p[f"{level}_count"]) for level in left]

        taken = issue & word_first
        if patches:
            # Windows wait until all words of the patches before are in the queue.
            waits = Signal()
            with m.If(idle):
                early = ~self.job.p.winograd & ~patches.empty
                m.d.sync += [
                    active.eq(self.job.valid & ~early),
                    waits.eq(self.job.valid & early),
                ]
            with m.Elif(waits & patches.empty):
                m.d.sync += [active.eq(1), waits.eq(0)]
            reads = issue & job.winograd
            m.d.comb += [
                *(patches.store[name].eq(job[name]) for name in STRIP_FIELDS.members),
                patches.between.eq(idle),
                patches.group_first.eq(reads & window_first),
                patches.patch_first.eq(reads & word_first),
                patches.patch_last.eq(reads & word_last),
                patches.across_last.eq(last["x"]),
                patches.down_last.eq(last["y"]),
                patches.store_last.eq(last_of_all),
                patches.room.eq(has_room),
                self.holds.eq(~patches.empty),
            ]
            taken = patches.reading | (taken & ~job.winograd)
        given = self.word.valid & self.word.ready
        m.d.sync += room.eq(room - taken + given)
        with m.If(given & ~taken):
            m.d.sync += has_room.eq(1)
        with m.Elif(taken & ~given):
            m.d.sync += has_room.eq(room != 1)

        flags = Signal(drain_flags(self.config))
        param_addr = Signal(17, reset_less=True)
        param: Any = Signal(self.param.data.shape(), reset_less=True)
        bank_fault = issue & (addr >= self.config.acc_depth)
        has_param = flags.valid
        if patches:
            has_param = flags.valid & (flags.last | ~job.winograd)
        param_fault = has_param & (param_addr >= self.config.param_depth // lanes)
        drain = drive(m, self.drain.place, "drain_out")
        drain_group = drive(m, self.drain.group, "drain_group_out")
        fault_place = Mux(bank_fault, addr, param_addr << (lanes.bit_length() - 1))
        # The upper bits of a shifted entry are never set. If the register is as wide as the port,
        # Yosys reports a conflict of initial values for them.
        width = min(len(fault_place), len(self.fault_addr) - 1)
        fault_addr = Signal(width, reset_less=True)
        m.d.comb += self.fault_addr.eq(fault_addr)
        m.d.sync += [
            flags.valid.eq(issue),
            flags.first.eq(window_first),
            flags.last.eq(window_last),
            flags.word_last.eq(group_last),
            flags.group.eq(group),
            drain.bank.eq(job.bank),
            drain.addr.eq(addr),
            drain_group.eq(column_group + group),
            param_addr.eq(param_word + group),
            # The parameter buffer answers one cycle earlier than the accumulators.
            param.eq(self.param.data),
            self.drained.eq(finish),
            self.fault.eq(bank_fault | param_fault),
            fault_addr.eq(fault_place),
        ]
        sums = self.drain.sum
        if patches:
            # A patch uses its parameters from its last read to the last read of the next patch.
            with m.If(job.winograd & ~(issue & window_last)):
                m.d.sync += param_addr.eq(param_addr)
            sums = Signal.like(post.sum, name="sums")
            for lane in range(lanes):
                exact = patches.exact_valid[lane]
                m.d.comb += sums[lane].eq(Mux(exact, patches.exact[lane], self.drain.sum[lane]))
        shared = Signal(OUTPUT_LAYOUT)
        m.d.comb += [
            shared.zero_point.eq(job.zero_point),
            shared.low.eq(job.low),
            shared.high.eq(job.high),
            post.flags.eq(flags),
            post.sum.eq(sums),
            self.param.addr.eq(param_addr),
            post.param.eq(param),
            post.output.eq(shared),
            queue.i.p.data.eq(post.word),
            queue.i.p.last.eq(ends),
            queue.i.valid.eq(post.word_valid),
        ]
        if self.config.functions:
            connect(m, flipped(self.table), post.table)
            m.d.comb += post.use_table.eq(job.table)
        if patches:
            m.d.comb += [
                post.flags.valid.eq(flags.valid & ~job.winograd),
                patches.sum.eq(self.drain.sum),
                patches.value.eq(post.value),
            ]
            with m.If(patches.word_valid):
                m.d.comb += [
                    queue.i.p.data.eq(patches.word),
                    queue.i.p.last.eq(patches.word_last),
                    queue.i.valid.eq(1),
                ]
        return m
