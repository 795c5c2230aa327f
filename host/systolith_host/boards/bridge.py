# LiteX is untyped, and not installed where the rest of the package is.
# pyright: reportMissingImports=false
"""From the accelerator's AXI4 to a port of the memory controller: clock, identifiers, width."""

from typing import Any

from litedram.frontend.axi import LiteDRAMAXI2Native
from litex.gen import LiteXModule
from litex.soc.interconnect import axi, stream
from migen import Array, ClockDomainsRenamer, If, Mux, Signal, log2_int

__all__ = ["AxiCrossing", "MemoryBridge"]

FIFO_DEPTH = 16
"""Depth of the crossings between the clocks: more than the round trip of their pointers."""

MAX_BURSTS = 64
"""Bursts under way that the bridge can hold; no configuration has more."""


class MemoryBridge(LiteXModule):
    """Takes a master in the clock ``accel`` to a port in the clock ``sys``.

    Parameters
    ----------
    master : AXIInterface
    port : LiteDRAMNativePort
        As wide as the controller.
    """

    def __init__(self, master: Any, port: Any) -> None:
        def interface(width: int) -> Any:
            return axi.AXIInterface(
                data_width=width, address_width=master.address_width, id_width=master.id_width
            )

        crossed, named = interface(master.data_width), interface(master.data_width)
        matched = interface(port.data_width)
        self.crossing = AxiCrossing(master, crossed, "accel", "sys")
        self.identifiers = ReadIdentifiers(crossed, named)
        if port.data_width > master.data_width:
            self.width = WidthGatherer(named, matched)
        else:
            self.width = axi.AXIConverter(named, matched)
        self.native = LiteDRAMAXI2Native(
            matched, port, w_buffer_depth=2 * FIFO_DEPTH, r_buffer_depth=2 * FIFO_DEPTH
        )


class AxiCrossing(LiteXModule):
    """All five channels of AXI4 from one clock to another.

    LiteX's own crossing queues four beats, which is less than the round trip of its pointers.
    """

    def __init__(self, master: Any, slave: Any, cd_from: str, cd_to: str) -> None:
        for name, source, sink, clocks in (
            ("aw", master.aw, slave.aw, (cd_from, cd_to)),
            ("w", master.w, slave.w, (cd_from, cd_to)),
            ("ar", master.ar, slave.ar, (cd_from, cd_to)),
            ("b", slave.b, master.b, (cd_to, cd_from)),
            ("r", slave.r, master.r, (cd_to, cd_from)),
        ):
            crossing = stream.ClockDomainCrossing(
                source.description, *clocks, depth=FIFO_DEPTH, buffered=True
            )
            self.add_module(name=f"{name}_crossing", module=crossing)
            self.comb += crossing.source.connect(sink)
            if name == "w":
                # Written data would go straight from one block RAM into that of the crossing, and
                # from the crossing's counters to the accelerator it is far.
                stage = stream.Buffer(source.description, pipe_ready=True)
                stage = ClockDomainsRenamer(cd_from)(stage)
                self.add_module(name=f"{name}_stage", module=stage)
                self.comb += [source.connect(stage.sink), stage.source.connect(crossing.sink)]
            else:
                self.comb += source.connect(crossing.sink)


class ReadIdentifiers(LiteXModule):
    """Gives read beats the identifier of their burst; the slave answers in order.

    LiteX's width converter delays identifiers by one cycle, which is wrong once a beat has to wait.
    """

    def __init__(self, master: Any, slave: Any) -> None:
        self.queue = queue = stream.SyncFIFO([("id", master.id_width)], MAX_BURSTS)
        self.comb += [
            master.aw.connect(slave.aw),
            master.w.connect(slave.w),
            slave.b.connect(master.b),
            master.ar.connect(slave.ar, omit={"valid", "ready"}),
            slave.ar.valid.eq(master.ar.valid & queue.sink.ready),
            master.ar.ready.eq(slave.ar.ready & queue.sink.ready),
            queue.sink.valid.eq(master.ar.valid & slave.ar.ready),
            queue.sink.id.eq(master.ar.id),
            slave.r.connect(master.r, omit={"id"}),
            master.r.id.eq(queue.source.id),
            queue.source.ready.eq(master.r.valid & master.r.ready & master.r.last),
        ]


class WidthGatherer(LiteXModule):
    """Packs words of a narrow master into those of a wide slave, and unpacks them again.

    Bursts are INCR, of whole words of the master, at any of its words. LiteX's own converter
    wants them aligned to the slave's words, and LiteDRAM's stopped in the simulation.
    """

    def __init__(self, master: Any, slave: Any) -> None:
        self.ratio = slave.data_width // master.data_width
        self.low = log2_int(master.data_width // 8)
        self.bits = log2_int(self.ratio)
        layout = [("offset", self.bits), ("len", 8)]
        self.reads = reads = stream.SyncFIFO(layout, MAX_BURSTS)
        self.writes = writes = stream.SyncFIFO(layout, MAX_BURSTS)
        for address, wide, queue in (
            (master.ar, slave.ar, reads),
            (master.aw, slave.aw, writes),
        ):
            self._address(address, wide, queue)
        self._read(master.r, slave.r, reads.source)
        self._write(master.w, slave.w, writes.source)
        self.comb += slave.b.connect(master.b)

    def _address(self, narrow: Any, wide: Any, queue: Any) -> None:
        offset = narrow.addr[self.low : self.low + self.bits]
        size = self.low + self.bits
        last = Signal(9)
        self.comb += [
            narrow.connect(wide, omit={"valid", "ready", "addr", "len", "size"}),
            wide.addr[size:].eq(narrow.addr[size:]),
            last.eq(narrow.len + offset),
            wide.len.eq(last >> self.bits),
            wide.size.eq(size),
            wide.valid.eq(narrow.valid & queue.sink.ready),
            narrow.ready.eq(wide.ready & queue.sink.ready),
            queue.sink.valid.eq(narrow.valid & wide.ready),
            queue.sink.offset.eq(offset),
            queue.sink.len.eq(narrow.len),
        ]

    def _place(self, burst: Any, taken: Any, last: Any) -> Signal:
        """Return the part of the wide word that a burst has reached."""
        first, place, following = Signal(reset=1), Signal(self.bits), Signal(self.bits)
        self.comb += place.eq(Mux(first, burst.offset, following))
        self.sync += If(taken, following.eq(place + 1), first.eq(last))
        return place

    def _read(self, narrow: Any, wide: Any, burst: Any) -> None:
        count, taken, last = Signal(8), Signal(), Signal()
        place = self._place(burst, taken, last)
        width = len(narrow.data)
        parts = Array(wide.data[width * i : width * (i + 1)] for i in range(self.ratio))
        self.comb += [
            last.eq(count == burst.len),
            taken.eq(narrow.valid & narrow.ready),
            narrow.valid.eq(wide.valid & burst.valid),
            narrow.data.eq(parts[place]),
            narrow.resp.eq(wide.resp),
            narrow.last.eq(last),
            wide.ready.eq(taken & (last | (place == self.ratio - 1))),
            burst.ready.eq(taken & last),
        ]
        self.sync += If(taken, count.eq(Mux(last, 0, count + 1)))

    def _write(self, narrow: Any, wide: Any, burst: Any) -> None:
        taken, full, fresh = Signal(), Signal(), Signal(reset=1)
        place = self._place(burst, taken, narrow.last)
        complete = narrow.last | (place == self.ratio - 1)
        self.comb += [
            narrow.ready.eq(burst.valid & (~full | wide.ready)),
            taken.eq(narrow.valid & narrow.ready),
            wide.valid.eq(full),
            burst.ready.eq(taken & narrow.last),
        ]
        width, strobes = len(narrow.data), len(narrow.strb)
        self.sync += [
            If(wide.ready, full.eq(0)),
            If(taken, full.eq(complete), fresh.eq(complete), wide.last.eq(narrow.last)),
        ]
        for i in range(self.ratio):
            strobe = wide.strb[strobes * i : strobes * (i + 1)]
            self.sync += If(
                taken,
                If(fresh, strobe.eq(0)),
                If(
                    place == i,
                    strobe.eq(narrow.strb),
                    wide.data[width * i : width * (i + 1)].eq(narrow.data),
                ),
            )
