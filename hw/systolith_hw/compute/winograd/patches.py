"""Transformed activations: takes the pixels of patches, holds their lanes in a ring."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.compute.winograd.ring import Ring, ring_shape
from systolith_hw.compute.winograd.transform import PatchTransform
from systolith_hw.interface.buffers import BufferRead
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.delay import delay
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.winograd import LANES

__all__ = ["PatchSource"]

_ISSUE = 2
"""Cycles from a pixel's issue to its address, see PixelSequencer."""


class PatchSource(wiring.Component):
    """Transforms the patches that a pixel sequencer walks, and puts their lanes into a ring.

    A pass of the sequencer is a row of patches of one chunk of input channels. The first row of a
    chunk waits until the ring has a free half; the others may begin at once.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    load : In, pulse
        The sequencer takes an instruction, whose pixels come from the next cycle on.
    patches : In, with ``load``: patches of each chunk
    pixel : In, a pixel is issued
    ready : Out, a row of patches may begin
    i : In, the activation buffer's data
    full : Out, see Ring
    start, release, read : In, see Ring
    """

    load: Signal
    patches: Signal
    pixel: Signal
    ready: Signal
    i: Any
    full: Signal
    start: Signal
    release: Signal
    read: Any

    LATENCY = _ISSUE + SkewedMemory.LATENCY + PatchTransform.LATENCY
    """Cycles from the issue of a patch's first pixel to the write of its first lane."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.shape = ring_shape(config.rows, config.winograd, signed(config.act_width))
        super().__init__(
            {
                "load": In(1),
                "patches": In(8),
                "pixel": In(1),
                "ready": Out(1, init=1),  # pyright: ignore[reportCallIssue]  # not in the stubs
                "i": In(data.ArrayLayout(8, config.rows)),
                "full": Out(1),
                "start": In(1),
                "release": In(1),
                "read": In(BufferRead(self.shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transform = transform = PatchTransform(self.config.rows)
        m.submodules.ring = ring = Ring(self.shape)
        connect(m, flipped(self.read), ring.read)

        patches = Signal(8, reset_less=True)
        left = Countdown(8, "patch")
        place = Signal(range(LANES))
        chunk_start = Signal(init=1)
        begins = self.pixel & (place == 0)
        m.d.comb += ring.take.eq(begins & chunk_start)
        # A register that is always equal to `~chunk_start | ring.free`.
        m.d.sync += self.ready.eq(Mux(begins, ~left.last, ~chunk_start) | ring.will_be_free)
        with m.If(self.pixel):
            m.d.sync += place.eq(Mux(place == LANES - 1, 0, place + 1))
        with m.If(begins):
            m.d.sync += chunk_start.eq(left.last)
            with m.If(left.last):
                m.d.sync += left.load(patches)
            with m.Else():
                m.d.sync += left.advance()
        with m.If(self.load):
            m.d.sync += [patches.eq(self.patches), *left.load(self.patches)]

        arrive = _ISSUE + SkewedMemory.LATENCY
        begin = delay(m, begins, arrive, "begin_arrives", reset=True)
        leave = transform.LATENCY - 1
        m.d.comb += [
            transform.begin.eq(begin),
            transform.i.eq(self.i),
            ring.begin.eq(delay(m, begin, leave, "begin_leaves", reset=True)),
            ring.last.eq(delay(m, left.last, arrive + leave, "last")),
            ring.i.eq(transform.o),
            self.full.eq(ring.full),
            ring.start.eq(self.start),
            ring.release.eq(self.release),
        ]
        return m
