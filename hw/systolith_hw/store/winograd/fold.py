"""The output transform of one dimension: six words of lanes to four words of sums, serially."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.adder import plus_minus
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.register import drive

__all__ = ["DROPPED_BITS", "Fold"]

DROPPED_BITS = 3
"""Bits that a fold drops: each result is a multiple of 8 before, which is divided out."""


class Fold(wiring.Component):
    """Multiplies A^T of :mod:`systolith_hw.spec.winograd` by six words m, and divides by 8.

    One word per cycle arrives, in the order of the points. The four results leave in the order of
    the sums, in four successive cycles, the first LATENCY cycles after the first word. The next six
    words may follow at once or at any later time. Arithmetic is modulo 2**width for words and
    2**(width - DROPPED_BITS) for results, which are exact if the words are those of a convolution.

    Two adders do all the work, one operation per cycle each. Let s2, d2 be the sum and difference
    of the first two words, and s1, d1 those of the last two. The first adder computes s2, d2, 3 m0,
    3 minf, s1, d1. The second computes u0 = s2 + 6 m0 and u3 = d2 + 3 minf, and then u0 - 4 s1,
    d2 - 2 d1, s2 - s1 and 2 u3 - d1: these are the rows of A^T divided by 1, 2, 4 and 4.

    Parameters
    ----------
    width : int
        Bits of a word.

    Members
    -------
    i : In, a word of `width` bits
    first : In, pulse with the first of six words
    o : Out, a result of `width` - DROPPED_BITS bits
    valid : Out, with each of the four results
    """

    i: Signal
    first: Signal
    o: Signal
    valid: Signal

    LATENCY = 9

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(
            {"i": In(width), "first": In(1), "o": Out(width - DROPPED_BITS), "valid": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.width
        # since[k]: the first word arrived k cycles ago. With these bits no counter is needed, and
        # the first operations on the next six words may overlap with the last ones on these.
        since = [self.first]
        for k in range(1, self.LATENCY + 3):
            since.append(delay(m, since[-1], 1, f"since_{k}", reset=True))

        def at(name: str, *times: int) -> Signal:
            """Return a register that is 1 in the cycles `times` after the first word."""
            signal = Signal(name=name)
            m.d.sync += signal.eq(Cat(since[time - 1] for time in times).any())
            return signal

        def word(name: str, value: Any) -> Signal:
            register = Signal(width, name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        def held(name: str, value: Signal, load: Signal) -> Signal:
            register = Signal(width, name=name, reset_less=True)
            with m.If(load):
                m.d.sync += register.eq(value)
            return register

        # `x` is s2, d2, 3 m0, 3 minf, s1, d1 from 2 cycles after the first word on.
        before = word("before", self.i)
        before_2 = word("before_2", before)
        difference = at("difference", 2, 6)
        triple = at("triple", 3, 4)
        alone = at("alone", 2, 3, 4, 6)
        a = Mux(triple, before << 1, Mux(difference, before_2, before))[:width]
        x = word("x", plus_minus(a, Mux(alone, before, self.i), difference, width))
        x_2 = word("x_2", word("x_1", x))
        s2 = held("s2", x, at("load_s2", 2))
        d2 = held("d2", x, at("load_d2", 3))

        # `z` is u0, u3, u0 - 4 s1, d2 - 2 d1, s2 - s1, 2 u3 - d1 from 6 cycles after it on. Its
        # operands are chosen in the cycle before, where the one to be subtracted is inverted.
        z = Signal(width, reset_less=True)
        z_2 = word("z_2", word("z_1", z))
        left = self._choice(at("left_0", 5, 7, 9), at("left_1", 6, 9), (s2, d2, z, z_2 << 1))
        minus = at("minus", 6, 7, 8, 9)
        right = self._choice(
            at("right_0", 5, 8, 9), at("right_1", 6, 8, 9), (x << 1, x, x << 2, x_2)
        )
        right_of_z = word("right_of_z", right ^ minus.replicate(width))
        carry = at("carry", 7, 8, 9, 10)
        total = Cat(Const(1, 1), word("left_of_z", left)) + Cat(carry, right_of_z)
        m.d.sync += z.eq(total >> 1)

        eighth, quarter = at("eighth", 8), at("quarter", 9)
        o = drive(m, self.o, "result")
        m.d.sync += o.eq(Mux(eighth, z >> 3, Mux(quarter, z >> 2, z >> 1)))
        m.d.comb += self.valid.eq(at("result_valid", *range(self.LATENCY, self.LATENCY + 4)))
        return m

    def _choice(self, low: Signal, high: Signal, values: Sequence[Any]) -> Any:
        """Return the value, of four, whose number has the bits `high` and `low`."""
        first, second, third, fourth = (value[: self.width] for value in values)
        return Mux(high, Mux(low, fourth, third), Mux(low, second, first))
