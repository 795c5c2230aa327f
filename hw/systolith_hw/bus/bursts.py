"""From regions of external memory to runs, and from runs to AXI4 bursts."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.bus_layouts import beat_bits, burst_layout, region_layout, run_layout
from systolith_hw.interface.layouts import address_bits
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.primitives.walk import Level, walk
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["BurstSplitter", "RegionWalker", "single_burst"]


def _at_most(power: int, value: Any, place: Any) -> Any:
    """Return whether ``value + place``, with `place` below the power of two, is at most that."""
    bits = power.bit_length() - 1
    # Only the low bits are added: a sum of all bits would delay the comparison.
    low = value[: bits + 1] + place
    return ~value[bits + 1 :].any() & (low <= power)


def single_burst(config: AcceleratorConfig, size: Any, addr: Any) -> Any:
    """Return whether `size` bytes from `addr` on, at least one, are a run of a single burst."""
    window = config.burst_beats * config.bus_bytes
    return _at_most(window, size, addr % window)


def _times(value: Any, factor: int) -> Any:
    """Return the product with a constant as shifts and sums; the array needs the multipliers."""
    terms = [value << bit for bit in range(factor.bit_length()) if factor >> bit & 1]
    return sum(terms[1:], terms[0])


class RegionWalker(wiring.Component):
    """Splits regions into runs, at most one every two cycles.

    Parameters
    ----------
    config : AcceleratorConfig
    word_bytes : sequence of int
        Bytes of a word, for each kind of region.

    Members
    -------
    region : In, stream of :func:`region_layout`
    run : Out, stream of :func:`run_layout`
    """

    region: stream.Interface
    run: stream.Interface

    def __init__(self, config: AcceleratorConfig, word_bytes: Sequence[int]) -> None:
        self.config = config
        self.word_bytes = tuple(word_bytes)
        super().__init__(
            {
                "region": In(stream.Signature(region_layout(config, len(self.word_bytes)))),
                "run": Out(stream.Signature(run_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.config.bus_bytes
        shift = bus.bit_length() - 1
        region: Any = Signal(self.region.p.shape(), reset_less=True)
        size = Signal(address_bits(self.config), reset_less=True)
        addr = Signal(address_bits(self.config), reset_less=True)
        plane_addr = Signal.like(addr)
        runs = Countdown(16, "runs")
        planes = Countdown(16, "planes")
        last = runs.last & planes.last
        run = drive(m, self.run.p, "run")
        # State IDLE, in a register of its own: the source of regions may be far from the states.
        idle = Signal(init=1)
        m.d.comb += self.region.ready.eq(idle)

        with m.FSM():
            with m.State("IDLE"):  # until a region comes
                # Nothing reads it before it is valid.
                m.d.sync += [
                    region.eq(self.region.p),
                    addr.eq(self.region.p.addr),
                    plane_addr.eq(self.region.p.addr),
                    *runs.load(self.region.p.runs),
                    *planes.load(self.region.p.planes),
                ]
                with m.If(self.region.valid):
                    m.d.sync += idle.eq(0)
                    m.next = "SIZE"
            with m.State("SIZE"):  # one cycle
                # A size beyond all of memory becomes the largest one: the run is read or written up
                # to the window's end, where it is refused.
                products = [_times(region.run_words, number) for number in self.word_bytes]
                sizes = Array(Mux(product >> len(size) == 0, product, ~0) for product in products)
                m.d.sync += size.eq(sizes[region.kind])
                m.next = "SHAPE"
            with m.State("SHAPE"):  # one cycle: the next run as beats
                offset = addr[:shift]
                low_end = Signal(shift)
                m.d.comb += low_end.eq(size + offset - 1)
                m.d.sync += [
                    run.addr.eq(addr & ~(bus - 1)),
                    run.beats.eq((size + (offset + (bus - 1))) >> shift),
                    run.skip.eq(offset),
                    run.end.eq(low_end + 1),
                    run.short.eq(single_burst(self.config, size, addr)),
                    run.last.eq(last),
                ]
                next_plane = (plane_addr + region.plane_pitch)[: len(addr)]
                walk(
                    m,
                    [Level.counted(runs, region.runs, addr.eq(addr + region.run_pitch))],
                    end=[*planes.advance(), addr.eq(next_plane), plane_addr.eq(next_plane)],
                )
                m.next = "RUN"
            with m.State("RUN"):  # until the run is taken
                m.d.comb += self.run.valid.eq(1)
                with m.If(self.run.ready):
                    m.next = "SHAPE"
                    with m.If(run.last):
                        m.d.sync += idle.eq(1)
                        m.next = "IDLE"
        return m


class BurstSplitter(wiring.Component):
    """Cuts runs into bursts that end at multiples of the longest burst, so never cross 4 KiB.

    One burst per cycle.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    run : In, stream of :func:`run_layout`
    burst : Out, stream of :func:`burst_layout`
    """

    run: stream.Interface
    burst: stream.Interface

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "run": In(stream.Signature(run_layout(config))),
                "burst": Out(stream.Signature(burst_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        shift = config.bus_bytes.bit_length() - 1
        longest = config.burst_beats
        active = Signal()
        addr = Signal(address_bits(config), reset_less=True)
        # Of this burst, and what is left of the run after it, if this is not the last: both are
        # known when it begins.
        beats = Signal(range(longest + 1), reset_less=True)
        length = Signal(range(longest), reset_less=True)
        rest = Signal(beat_bits(config), reset_less=True)
        final = Signal(reset_less=True)
        last = Signal(reset_less=True)

        m.d.comb += [
            self.burst.valid.eq(active),
            self.burst.p.addr.eq(addr),
            self.burst.p.length.eq(length),
            self.burst.p.last.eq(final & last),
        ]
        taken = self.burst.valid & self.burst.ready
        with m.If(taken):
            whole = rest[longest.bit_length() - 1 :].any()
            m.d.sync += [
                addr.eq(addr + (beats << shift)),
                beats.eq(Mux(whole, longest, rest)),
                length.eq(Mux(whole, longest - 1, rest - 1)),
                rest.eq(rest - longest),
                final.eq(_at_most(longest, rest, 0)),
            ]
        m.d.comb += self.run.ready.eq(~active | (taken & final))

        place = Signal(range(max(2, longest)))
        reach = Signal(range(longest + 1))
        m.d.comb += [
            place.eq((self.run.p.addr >> shift) & (longest - 1)),
            reach.eq(longest - place),
        ]
        short = self.run.p.short
        # Nothing reads these registers before `active`, so they load the payload, valid or not.
        with m.If(self.run.ready):
            m.d.sync += [
                active.eq(self.run.valid),
                addr.eq(self.run.p.addr),
                beats.eq(Mux(short, self.run.p.beats, reach)),
                length.eq(Mux(short, self.run.p.beats - 1, longest - 1 - place)),
                rest.eq(self.run.p.beats - reach),
                final.eq(short),
                last.eq(self.run.p.last),
            ]
        return m
