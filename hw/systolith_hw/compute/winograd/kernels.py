"""Transformed weights: takes raw weights from the buffer, gives blocks to the weight loader."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.compute.weights import WEIGHT_JOB
from systolith_hw.compute.winograd.ring import Ring, ring_shape
from systolith_hw.compute.winograd.taps import TAP_JOB, TapReader
from systolith_hw.compute.winograd.weights import KernelTransform
from systolith_hw.interface.buffers import BufferRead, buffer_shape
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.primitives.delay import delay
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.timing import kernel_release
from systolith_hw.spec.winograd import LANES

__all__ = ["KernelSource"]


class KernelSource(wiring.Component):
    """Reads and transforms the weights of each chunk of input channels, into a ring of two chunks.

    A chunk has 36 weight blocks, one for each lane. The weight loader reads them from the ring.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job : In, stream of :data:`TAP_JOB`
    raw : Out, the weight buffer's read side
    fault : Out, see TapReader
    fault_addr : Out, with ``fault``: that address
    blocks : Out, stream of :data:`WEIGHT_JOB`: one job of 36 blocks for each chunk
    capture : In, see WeightLoader
    read : In, the ring's read side, which the loader uses instead of the weight buffer's
    """

    job: stream.Interface
    raw: Any
    fault: Signal
    fault_addr: Signal
    blocks: stream.Interface
    capture: Signal
    read: Any

    LATENCY = 1 + SkewedMemory.LATENCY + KernelTransform.LATENCY
    """Cycles from the decision on a kernel to the write of its first lane."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.shape = ring_shape(config.cols, config.rows, signed(config.weight_width))
        super().__init__(
            {
                "job": In(stream.Signature(TAP_JOB)),
                "raw": Out(BufferRead(buffer_shape(Buffer.WEIGHT, config))),
                "fault": Out(1),
                "fault_addr": Out(24),
                "blocks": Out(stream.Signature(WEIGHT_JOB)),
                "capture": In(1),
                "read": In(BufferRead(self.shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.taps = taps = TapReader(config)
        m.submodules.transform = transform = KernelTransform(config.cols)
        m.submodules.ring = ring = Ring(self.shape)
        connect(m, flipped(self.job), taps.job)
        connect(m, flipped(self.read), ring.read)
        m.d.comb += [
            self.raw.addr.eq(taps.addr),
            self.fault.eq(taps.fault),
            self.fault_addr.eq(taps.addr),
            taps.free.eq(ring.free),
            ring.take.eq(taps.take),
            ring.i.eq(transform.o),
        ]
        m.d.comb += [i.eq(raw) for i, raw in zip(transform.i, self.raw.data, strict=True)]
        # `taps.begin` comes with a kernel's first address. Transform and ring need `begin` one
        # cycle ahead of the data.
        arrive = SkewedMemory.LATENCY - 1
        begin = delay(m, taps.begin, arrive, "begin_arrives", reset=True)
        m.d.comb += [
            transform.begin.eq(begin),
            ring.begin.eq(delay(m, begin, transform.LATENCY, "begin_leaves", reset=True)),
            ring.last.eq(delay(m, taps.last, arrive + transform.LATENCY, "last")),
        ]

        second = Signal()
        started = self.blocks.valid & self.blocks.ready
        m.d.comb += [
            self.blocks.valid.eq(ring.full),
            self.blocks.p.weight_base.eq(Mux(second, LANES * config.rows, 0)),
            self.blocks.p.s_count.eq(LANES),
            self.blocks.p.r_count.eq(1),
            self.blocks.p.c_count.eq(1),
            # The loader takes the next chunk many cycles later.
            ring.start.eq(delay(m, started, 1, "started", reset=True)),
        ]
        with m.If(started):
            m.d.sync += second.eq(~second)
        block = Signal(range(LANES))
        release = Signal()
        with m.If(self.capture):
            m.d.sync += block.eq(Mux(block == LANES - 1, 0, block + 1))
        m.d.sync += release.eq(self.capture & (block == kernel_release(config)))
        m.d.comb += ring.release.eq(release)
        return m
