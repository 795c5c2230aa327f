"""The exact division by nine, as a product with the inverse of nine."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.register import drive

__all__ = ["Ninth"]


class Ninth(wiring.Component):
    """Divides a multiple of nine by nine: one word per cycle, LATENCY cycles from word to result.

    9 * 57 = 1 + 2**9, and (1 + 2**9) (1 - 2**9) (1 + 2**18) = 1 - 2**36. Therefore
    57 (1 - 2**9) (1 + 2**18) is the inverse of 9 modulo any power of two up to 2**MOST_WIDTH.

    Parameters
    ----------
    width : int
        Bits of a word and of a result, 1 to MOST_WIDTH.

    Members
    -------
    i : In, `width` bits, modulo 2**width nine times the result
    o : Out, the result, signed(width)
    """

    i: Signal
    o: Signal

    LATENCY = 4
    MOST_WIDTH = 36

    def __init__(self, width: int) -> None:
        if not 0 < width <= self.MOST_WIDTH:
            raise ValueError(f"Ninth width must be between 1 and {self.MOST_WIDTH}, not {width}")
        self.width = width
        super().__init__({"i": In(width), "o": Out(signed(width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        times_7, times_57, times_57_less = (
            Signal(self.width, name=name, reset_less=True)
            for name in ("times_7", "times_57", "times_57_less")
        )
        o = drive(m, self.o, "result")
        m.d.sync += [
            times_7.eq((self.i << 3) - self.i),
            times_57.eq((delay(m, self.i, 1, "before") << 6) - times_7),
            times_57_less.eq(times_57 - (times_57 << 9)),
            o.eq(times_57_less + (times_57_less << 18)),
        ]
        return m
