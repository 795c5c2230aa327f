"""Rules of the splitter of runs into bursts."""

from typing import Any

from amaranth.hdl import Assert, Assume, Module, Mux, Signal

from systolith_hw.bus.bursts import BurstSplitter
from systolith_hw.interface.bus_layouts import beat_bits
from systolith_hw.interface.layouts import address_bits
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.formal.prove import Specification
from systolith_sim.formal.stream_contract import StreamContract

__all__ = ["BurstSplitterSpecification"]


class BurstSplitterSpecification(Specification):
    """The rules of the burst splitter, for any runs of whole beats.

    - The bursts of a run follow each other without a gap and have its beats, no more and no fewer.
    - Each ends where its run ends, or else at the next multiple of the longest burst, so that it
      never crosses 4 KiB.
    - Only the last burst of a run that is the last one of its region is marked.
    - An offered burst stays, unchanged, until it is taken; one is offered for a run until all its
      beats were.

    The address of a run is one of a beat, it has beats, and ``short`` says whether a single burst
    is enough; addresses may wrap at the end of their bits.

    Parameters
    ----------
    dut : BurstSplitter
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    DEPTH = 2

    seen_beats: Signal
    seen_rest: Signal
    seen_final: Signal
    seen_last: Signal

    def __init__(
        self, dut: BurstSplitter, config: AcceleratorConfig, *, inside: bool = True
    ) -> None:
        self.dut = dut
        self.config = config
        probes = {
            "seen_beats": ("dut.beats", config.burst_beats.bit_length()),
            "seen_rest": ("dut.rest", beat_bits(config)),
            "seen_final": ("dut.final", 1),
            "seen_last": ("dut.last", 1),
        }
        super().__init__(probes=probes, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, longest = self.dut, self.config.burst_beats
        run, burst = dut.run, dut.burst
        self.place(m, dut)
        shift = self.config.bus_bytes.bit_length() - 1

        def reach(addr: Any) -> Any:
            """Return the beats from an address to the next multiple of the longest burst."""
            return longest - ((addr >> shift) & (longest - 1))

        m.d.comb += [
            Assume(~run.valid | (run.p.addr % self.config.bus_bytes == 0), "a run is of beats"),
            Assume(~run.valid | (run.p.beats != 0), "a run has beats"),
            Assume(
                ~run.valid | (run.p.short == (run.p.beats <= reach(run.p.addr))),
                "a short run is known",
            ),
        ]
        m.submodules.contract = contract = StreamContract.of(burst)
        # Where the next burst begins, the beats that are left, and whether the run is the last.
        addr = Signal(address_bits(self.config))
        left = Signal(beat_bits(self.config))
        last = Signal()
        beats = burst.p.length + 1
        ends = beats == left
        taken = burst.valid & burst.ready
        with m.If(taken):
            m.d.sync += [left.eq(left - beats), addr.eq(addr + (beats << shift))]
        with m.If(run.valid & run.ready):
            m.d.sync += [left.eq(run.p.beats), addr.eq(run.p.addr), last.eq(run.p.last)]
        m.d.comb += [
            Assert(contract.kept, "a burst stays until it is taken"),
            Assert(burst.valid == (left != 0), "a burst is offered until no beats are left"),
            Assert(~burst.valid | (burst.p.addr == addr), "bursts follow each other"),
            Assert(
                ~burst.valid | (beats == Mux(left < reach(addr), left, reach(addr))),
                "a burst ends with its run or at a multiple of the longest",
            ),
            Assert(~burst.valid | (burst.p.last == (ends & last)), "the last one is marked"),
            Assert(run.ready == ((left == 0) | (taken & ends)), "a run is taken when none is left"),
        ]
        if self.inside:
            m.d.comb += [
                Assert(~burst.valid | (self.seen_final == ends), "the final burst is known"),
                Assert(~burst.valid | (self.seen_last == last), "the last run is known"),
                Assert(~burst.valid | ends | (self.seen_beats == beats), "the beats are known"),
                Assert(~burst.valid | ends | (self.seen_rest == left - beats), "the rest is known"),
            ]
        return m
