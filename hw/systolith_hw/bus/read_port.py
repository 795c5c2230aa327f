"""The read side of the AXI4 master: bursts of two users, several outstanding."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.bus.axi import AxiId, Response, axi4_read_members
from systolith_hw.bus.follow import BurstFollower
from systolith_hw.bus.issue import BurstIssue
from systolith_hw.interface.bus_layouts import burst_layout
from systolith_hw.interface.layouts import address_bits
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.timing import READ_BEATS
from systolith_hw.stream.queue import Queue

__all__ = ["ReadPort"]


class ReadPort(wiring.Component):
    """Issues bursts of fetch (first) and load, and hands each its beats by their identifier.

    One beat per cycle. Every burst is checked against the window before it is issued.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    bus : AXI4 AR and R, master side
    load, fetch : In, streams of bursts
    load_beat, fetch_beat : Out, streams of beats
    halt : In
        Issue nothing more and, a cycle later, drop what arrives.
    window_base, window_end : In
    fault : Out, pulse: a burst outside of the window, not issued
    fault_fetch : Out, it was fetch's
    fault_addr : Out
    bus_error : Out, pulse: the memory answered with an error
    bus_error_fetch : Out, it answered to fetch
    quiet : Out, nothing outstanding
    rest : Out, no beat was held a cycle ago
    beat_taken : Out, pulse for every beat
    broken_fetch, broken_load : Out
        The memory has sent fetch, or load, a beat that it did not request, or has ended a burst at
        a wrong beat; until a reset.
    """

    bus: Any
    load: stream.Interface
    fetch: stream.Interface
    load_beat: stream.Interface
    fetch_beat: stream.Interface
    halt: Signal
    window_base: Signal
    window_end: Signal
    fault: Signal
    fault_fetch: Signal
    fault_addr: Signal
    bus_error: Signal
    bus_error_fetch: Signal
    quiet: Signal
    rest: Signal
    beat_taken: Signal
    broken_fetch: Signal
    broken_load: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        bits = config.bus_bytes * 8
        super().__init__(
            {
                "bus": Out(wiring.Signature(axi4_read_members(config))),
                "load": In(stream.Signature(burst_layout(config))),
                "fetch": In(stream.Signature(burst_layout(config))),
                "load_beat": Out(stream.Signature(bits)),
                "fetch_beat": Out(stream.Signature(bits)),
                "halt": In(1),
                "window_base": In(address_bits(config)),
                "window_end": In(address_bits(config)),
                "fault": Out(1),
                "fault_fetch": Out(1),
                "fault_addr": Out(address_bits(config)),
                "bus_error": Out(1),
                "bus_error_fetch": Out(1),
                "quiet": Out(1),
                "rest": Out(1),
                "beat_taken": Out(1),
                "broken_fetch": Out(1),
                "broken_load": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, bus = self.config, self.bus
        outstanding = Signal(range(config.outstanding_reads + 1))

        # Each user's next burst waits in registers, so that neither user sees the other's valid or
        # the bus. Then one of them is chosen; fetch has priority.
        m.submodules.issue = issue = BurstIssue(config)
        users = {"fetch": self.fetch, "load": self.load}
        waiting = {
            name: Signal(burst_layout(config), name=f"waiting_{name}", reset_less=True)
            for name in users
        }
        waits = {name: Signal(name=f"waits_{name}") for name in users}
        choose = {
            "fetch": issue.burst.ready & waits["fetch"],
            "load": issue.burst.ready & waits["load"] & ~waits["fetch"],
        }
        for name, user in users.items():
            m.d.comb += user.ready.eq(~waits[name])
            with m.If(~waits[name]):
                m.d.sync += [waits[name].eq(user.valid), waiting[name].eq(user.p)]
            with m.Elif(choose[name]):
                m.d.sync += waits[name].eq(0)
        # The user of the held burst.
        held_fetch = Signal(reset_less=True)
        fault_fetch = drive(m, self.fault_fetch, "fault_fetch_out")
        arid = drive(m, bus.arid, "arid_out")
        m.d.comb += [
            issue.burst.valid.eq(waits["fetch"] | waits["load"]),
            issue.burst.p.eq(Mux(waits["fetch"], waiting["fetch"], waiting["load"])),
            issue.room.eq(outstanding != config.outstanding_reads),
            issue.halt.eq(self.halt),
            issue.window_base.eq(self.window_base),
            issue.window_end.eq(self.window_end),
            bus.arvalid.eq(issue.address.valid),
            bus.araddr.eq(issue.address.p.addr),
            bus.arlen.eq(issue.address.p.length),
            issue.address.ready.eq(bus.arready),
            self.fault.eq(issue.fault),
            self.fault_addr.eq(issue.fault_addr),
        ]
        with m.If(issue.burst.ready):
            m.d.sync += held_fetch.eq(waits["fetch"])
        with m.If(issue.issued):
            m.d.sync += arid.eq(held_fetch)
        m.d.sync += fault_fetch.eq(held_fetch)

        beat_layout = data.StructLayout(
            {"data": config.bus_bytes * 8, "id": AxiId, "resp": Response, "last": 1}
        )
        m.submodules.beats = beats = Queue(beat_layout, READ_BEATS)
        m.d.comb += [
            beats.i.valid.eq(bus.rvalid),
            beats.i.p.data.eq(bus.rdata),
            beats.i.p.id.eq(bus.rid),
            beats.i.p.resp.eq(bus.rresp),
            beats.i.p.last.eq(bus.rlast),
            bus.rready.eq(beats.i.ready),
            self.load_beat.p.eq(beats.o.p.data),
            self.fetch_beat.p.eq(beats.o.p.data),
        ]
        # One cycle late, so that no path leads from the controller through here to the engines.
        discard = Signal()
        m.d.sync += discard.eq(self.halt)
        is_fetch = beats.o.p.id == AxiId.FETCH
        m.d.comb += [
            self.load_beat.valid.eq(beats.o.valid & ~is_fetch & ~discard),
            self.fetch_beat.valid.eq(beats.o.valid & is_fetch & ~discard),
            beats.o.ready.eq(discard | Mux(is_fetch, self.fetch_beat.ready, self.load_beat.ready)),
        ]
        taken = beats.o.valid & beats.o.ready
        ended = Signal()
        m.d.sync += [
            ended.eq(taken & beats.o.p.last),
            # It never goes below zero, whatever the memory sends.
            outstanding.eq(outstanding + issue.issued - (ended & (outstanding != 0))),
            self.beat_taken.eq(taken),
            self.rest.eq(beats.empty),
            self.bus_error_fetch.eq(is_fetch),
            self.bus_error.eq(
                taken & (beats.o.p.resp != Response.OKAY) & (beats.o.p.resp != Response.EXOKAY)
            ),
            self.quiet.eq((outstanding == 0) & issue.idle & ~waits["fetch"] & ~waits["load"]),
        ]
        # Checked on arrival: a beat that nobody requested may wait in the queue forever.
        arrives = bus.rvalid & bus.rready
        for name, broken in (("fetch", self.broken_fetch), ("load", self.broken_load)):
            follower = BurstFollower(config.outstanding_reads)
            m.submodules[f"{name}_follower"] = follower
            fetches = name == "fetch"
            m.d.comb += [
                follower.burst.valid.eq(issue.issued & (held_fetch == fetches)),
                follower.burst.p.eq(issue.held.length),
                follower.beat.eq(arrives & ((bus.rid == AxiId.FETCH) == fetches)),
                follower.last.eq(bus.rlast),
            ]
            with m.If(follower.broken):
                m.d.sync += broken.eq(1)
        # With halt, waiting bursts are dropped.
        with m.If(self.halt):
            m.d.sync += [flag.eq(0) for flag in waits.values()]
        return m
