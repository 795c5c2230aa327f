"""A multiplier with registers on both sides, which the multipliers of FPGAs have inside."""

from typing import Any

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.technology import ask

__all__ = ["Multiplier"]


class Multiplier(wiring.Component):
    """product = a x b, exactly; one product per cycle, LATENCY cycles after its factors.

    A technology may have a cell for it: ``get_multiplier`` of the platform.

    Parameters
    ----------
    a, b : ShapeLike
        Of the factors, signed or not.
    site : str, optional
        Where the technology's own multiplier stands; the tools choose without it.

    Members
    -------
    a, b : In
    product : Out, signed if a factor is
    """

    a: Signal
    b: Signal
    product: Signal

    LATENCY = 2

    def __init__(self, a: Any, b: Any, *, site: str | None = None) -> None:
        self.shapes = (Shape.cast(a), Shape.cast(b))
        self.site = site
        width = sum(shape.width for shape in self.shapes)
        product = Shape(width, any(shape.signed for shape in self.shapes))
        super().__init__({"a": In(a), "b": In(b), "product": Out(product)})

    def elaborate(self, platform: object) -> Module:
        hard = ask(platform, "get_multiplier", self)
        if hard is not None:
            return hard
        m = Module()
        a = Signal.like(self.a, name="a_held", reset_less=True)
        b = Signal.like(self.b, name="b_held", reset_less=True)
        product = Signal.like(self.product, name="product_held", reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(a * b)]
        m.d.comb += self.product.eq(product)
        return m
