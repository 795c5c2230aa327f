"""A ring of two chunks of transformed values: written patch by patch, read lane by lane."""

from typing import Any

from amaranth.hdl import MemoryData, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.buffers import BufferRead, BufferShape
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.spec.winograd import LANES

__all__ = ["Ring", "ring_shape"]


def ring_shape(memories: int, items: int, element: Any) -> BufferShape:
    """Return the shape of a ring of two chunks of `items` patches or kernels, in `memories` banks.

    Parameters
    ----------
    memories : int
        Rows or columns of the array that the ring feeds.
    items : int
        Most items of a chunk.
    element : ShapeLike
        Of a transformed value.
    """
    return BufferShape(element, memories, 1, 2 * LANES * items)


class Ring(wiring.Component):
    """Holds two chunks of items, which are patches or kernels, of 36 values each.

    Lane k of item n is word ``k * items + n`` of the chunk's half, where `items` is the most that a
    chunk has; the second half follows the first. The writer takes the halves in turn, and the
    reader must do the same. The addresses of both travel along the memories as in
    :class:`SkewedMemory`, one cycle each.

    Parameters
    ----------
    shape : BufferShape
        Of :func:`ring_shape`: a memory for each row or column of the array.

    Members
    -------
    free : Out
        The writer can take a half for the next chunk.
    will_be_free : Out
        ``free`` in the next cycle.
    take : In, pulse
        The writer takes a half.
    begin : In, pulse
        In the next cycle the first of an item's 36 values is at ``i[0]``.
    last : In, with ``begin``
        The item is the last of its chunk.
    i : In, a value for each memory, skewed
    full : Out
        A chunk can be read. Its last values may still be on their way: each is in place in time for
        a reader that begins now and takes at least five cycles for each lane.
    start : In, pulse
        The reader begins with that chunk.
    release : In, pulse
        The half that was read first is free again, see :mod:`systolith_hw.spec.timing`.
    read : In, :class:`BufferRead`
        Data follows its address LATENCY cycles later.
    """

    free: Signal
    will_be_free: Signal
    take: Signal
    begin: Signal
    last: Signal
    i: Any
    full: Signal
    start: Signal
    release: Signal
    read: Any

    LATENCY = SkewedMemory.LATENCY

    def __init__(self, shape: BufferShape) -> None:
        self.shape = shape
        super().__init__(
            {
                "free": Out(1),
                "will_be_free": Out(1),
                "take": In(1),
                "begin": In(1),
                "last": In(1),
                "i": In(shape.word_layout),
                "full": Out(1),
                "start": In(1),
                "release": In(1),
                "read": In(BufferRead(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        half = self.shape.depth // 2
        items = half // LANES
        free = Signal(range(3), init=2)
        full = Signal(range(3))
        m.d.comb += [
            self.free.eq(free != 0),
            self.will_be_free.eq(self.release | Mux(self.take, free[1], free != 0)),
            self.full.eq(full != 0),
        ]
        m.d.sync += [
            free.eq(free + self.release - self.take),
            full.eq(full + (self.begin & self.last) - self.start),
        ]

        addr = Signal(range(2 * half), reset_less=True)
        base = Signal(range(2 * half))
        second = Signal()
        left = Signal(range(LANES + 1))
        with m.If(self.begin):
            m.d.sync += [addr.eq(base), base.eq(base + 1), left.eq(LANES)]
            with m.If(self.last):
                m.d.sync += [base.eq(Mux(second, 0, half)), second.eq(~second)]
        with m.Elif(left != 0):
            m.d.sync += [addr.eq(addr + items), left.eq(left - 1)]

        write: Any = Signal(data.StructLayout({"en": 1, "addr": addr.shape()}), name="write_0")
        m.d.comb += [write.en.eq(left != 0), write.addr.eq(addr)]
        read = self.read.addr
        for index in range(self.shape.lanes):
            if index:
                write = delay(m, write, 1, f"write_to_{index}")
                read = delay(m, read, 1, f"read_to_{index}")
            store = MemoryData(shape=self.shape.element, depth=self.shape.depth, init=[])
            m.submodules[f"bank_{index}"] = bank = RegisteredMemory(store)
            m.d.comb += [
                bank.w_addr.eq(write.addr),
                bank.w_data.eq(self.i[index]),
                bank.w_en.eq(write.en),
                bank.r_addr.eq(read),
                self.read.data[index].eq(delay(m, bank.r_data, 1, f"output_{index}")),
            ]
        return m
