"""The write side of the AXI4 master: a burst is issued when all its data is in the queue."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.bus.axi import Response, axi4_write_members
from systolith_hw.bus.issue import BurstIssue
from systolith_hw.interface.bus_layouts import burst_layout, write_beat_layout
from systolith_hw.interface.layouts import address_bits
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.stream.queue import Queue

__all__ = ["WritePort"]


class WritePort(wiring.Component):
    """Holds the output buffer and writes it in bursts; never stalls the bus for lack of data.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    bus : AXI4 AW, W and B, master side
    burst : In, stream of bursts
    beat : In, stream of beats, in the bursts' order
    halt : In, issue no further burst; those issued end as usual
    window_base, window_end : In
    fault : Out, pulse: a burst outside of the window, not issued
    fault_addr : Out
    bus_error : Out, pulse: the memory answered with an error
    acknowledged : Out, pulse: a burst marked ``last`` is in the memory
    quiet : Out, nothing outstanding
    rest : Out, no beat was held a cycle ago, and no answer awaited
    beat_taken : Out, pulse for every beat
    broken : Out
        The memory has sent a response to no burst, or before the burst was sent; until a reset.
    """

    bus: Any
    burst: stream.Interface
    beat: stream.Interface
    halt: Signal
    window_base: Signal
    window_end: Signal
    fault: Signal
    fault_addr: Signal
    bus_error: Signal
    acknowledged: Signal
    quiet: Signal
    rest: Signal
    beat_taken: Signal
    broken: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "bus": Out(wiring.Signature(axi4_write_members(config))),
                "burst": In(stream.Signature(burst_layout(config))),
                "beat": In(stream.Signature(write_beat_layout(config))),
                "halt": In(1),
                "window_base": In(address_bits(config)),
                "window_end": In(address_bits(config)),
                "fault": Out(1),
                "fault_addr": Out(address_bits(config)),
                "bus_error": Out(1),
                "acknowledged": Out(1),
                "quiet": Out(1),
                "rest": Out(1),
                "beat_taken": Out(1),
                "broken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, bus = self.config, self.bus
        depth = config.out_bytes // config.bus_bytes
        m.submodules.buffer = buffer = Queue(write_beat_layout(config), depth)
        # Bursts whose data is being sent, and bursts that await their response.
        m.submodules.lengths = lengths = Queue(8, config.outstanding_writes + 1)
        m.submodules.answers = answers = Queue(1, config.outstanding_writes + 1)
        wiring.connect(m, wiring.flipped(self.beat), buffer.i)

        unclaimed = Signal(range(depth + 1))
        outstanding = Signal(range(config.outstanding_writes + 1))
        # A burst comes early: the splitter does not see the bus.
        m.submodules.issue = issue = BurstIssue(config)
        early = Signal(burst_layout(config), reset_less=True)
        early_valid = Signal()
        m.d.comb += self.burst.ready.eq(~early_valid)
        with m.If(~early_valid):
            m.d.sync += [early_valid.eq(self.burst.valid), early.eq(self.burst.p)]
        with m.Elif(issue.burst.ready):
            m.d.sync += early_valid.eq(0)
        m.d.comb += [
            issue.burst.valid.eq(early_valid),
            issue.burst.p.eq(early),
            issue.room.eq(
                (unclaimed > issue.held.length) & (outstanding != config.outstanding_writes)
            ),
            issue.halt.eq(self.halt),
            issue.window_base.eq(self.window_base),
            issue.window_end.eq(self.window_end),
            bus.awvalid.eq(issue.address.valid),
            bus.awaddr.eq(issue.address.p.addr),
            bus.awlen.eq(issue.address.p.length),
            issue.address.ready.eq(bus.awready),
            self.fault.eq(issue.fault),
            self.fault_addr.eq(issue.fault_addr),
            lengths.i.valid.eq(issue.issued),
            lengths.i.p.eq(issue.held.length),
            answers.i.valid.eq(issue.issued),
            answers.i.p.eq(issue.held.last),
        ]
        arrived = buffer.i.valid & buffer.i.ready
        m.d.sync += unclaimed.eq(unclaimed + arrived - Mux(issue.issued, issue.held.length + 1, 0))

        # Data: beats of the front burst.
        sent = Signal(8)
        m.d.comb += [
            bus.wvalid.eq(lengths.o.valid & buffer.o.valid),
            bus.wdata.eq(buffer.o.p.data),
            bus.wstrb.eq(buffer.o.p.strb),
            bus.wlast.eq(sent == lengths.o.p),
        ]
        beat = bus.wvalid & bus.wready
        m.d.comb += [
            buffer.o.ready.eq(lengths.o.valid & bus.wready),
            lengths.o.ready.eq(beat & bus.wlast),
        ]
        with m.If(beat):
            m.d.sync += sent.eq(Mux(bus.wlast, 0, sent + 1))
        m.d.sync += self.beat_taken.eq(beat)

        # Answers come in order, as all bursts have one identifier.
        answered = bus.bvalid & bus.bready
        m.d.comb += [bus.bready.eq(1), answers.o.ready.eq(answered)]
        m.d.sync += [
            # It never goes below zero, whatever the memory sends.
            outstanding.eq(outstanding + issue.issued - (answered & (outstanding != 0))),
            self.acknowledged.eq(answered & answers.o.valid & answers.o.p),
            self.rest.eq(buffer.empty & lengths.empty & answers.empty),
            self.bus_error.eq(
                answered & (bus.bresp != Response.OKAY) & (bus.bresp != Response.EXOKAY)
            ),
            self.quiet.eq((outstanding == 0) & issue.idle & ~early_valid),
        ]
        # Bursts that await their response, after both address and last beat were sent. It is read
        # one cycle after a response, which may come in the same cycle as the later of these two.
        addressed = Signal(range(config.outstanding_writes + 2))
        sent_bursts = Signal(range(config.outstanding_writes + 2))
        answer = Signal()
        stranger = Signal(reset_less=True)
        m.d.sync += [answer.eq(answered), stranger.eq(bus.bid != bus.awid)]
        for count, more in (
            (addressed, bus.awvalid & bus.awready),
            (sent_bursts, beat & bus.wlast),
        ):
            m.d.sync += count.eq(count + more - (answer & (count != 0)))
        with m.If(answer & (stranger | (addressed == 0) | (sent_bursts == 0))):
            m.d.sync += self.broken.eq(1)
        with m.If(self.halt):
            m.d.sync += early_valid.eq(0)
        return m
