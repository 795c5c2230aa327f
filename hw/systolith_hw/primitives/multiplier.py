"""A multiplier with registers on both sides, which the multipliers of FPGAs have inside."""

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.ecp5 import Ecp5, bits

__all__ = ["Multiplier"]


class Multiplier(wiring.Component):
    """product = a x b, exactly; a product a cycle, LATENCY cycles after its factors.

    On an ECP5 up to 18 x 18 bits it is one MULT18X18D with its input and output registers.

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

    HARD_WIDTH = 18
    """Bits of a factor of ECP5's multiplier."""

    def __init__(self, a: Any, b: Any, *, site: str | None = None) -> None:
        self.shapes = (Shape.cast(a), Shape.cast(b))
        self.site = site
        width = sum(shape.width for shape in self.shapes)
        product = Shape(width, any(shape.signed for shape in self.shapes))
        super().__init__({"a": In(a), "b": In(b), "product": Out(product)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fits = all(shape.width <= self.HARD_WIDTH for shape in self.shapes)
        if isinstance(platform, Ecp5) and fits:
            self._build_ecp5(m)
            return m
        a = Signal.like(self.a, name="a_held", reset_less=True)
        b = Signal.like(self.b, name="b_held", reset_less=True)
        product = Signal.like(self.product, name="product_held", reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(a * b)]
        m.d.comb += self.product.eq(product)
        return m

    def _build_ecp5(self, m: Module) -> None:
        """Left-align the factors: sign extension would cost routing for every upper bit."""
        width = self.HARD_WIDTH
        result = Signal(2 * width)
        ports: dict[str, Any] = {}
        for name, factor, shape in zip("AB", (self.a, self.b), self.shapes, strict=True):
            aligned = Cat(Const(0, width - shape.width), factor)
            ports |= bits("i", name, aligned, width)
            ports[f"i_SIGNED{name}"] = Const(shape.signed, 1)
            ports[f"i_SOURCE{name}"] = Const(0, 1)
            # Both input registers or neither: else nextpnr takes the multiplier for unregistered.
            ports[f"p_REG_INPUT{name}_CLK"] = "CLK0"
            ports[f"p_REG_INPUT{name}_CE"] = "CE0"
            ports[f"p_REG_INPUT{name}_RST"] = "RST0"
        if self.site is not None:
            ports["a_BEL"] = self.site
        m.submodules.hard = Instance(
            "MULT18X18D",
            **ports,
            **bits("o", "P", result, 2 * width),
            p_REG_OUTPUT_CLK="CLK0",
            p_REG_OUTPUT_CE="CE0",
            p_REG_OUTPUT_RST="RST0",
            i_CLK0=ClockSignal(),
            i_CE0=Const(1, 1),
            i_RST0=Const(0, 1),
        )
        m.d.comb += self.product.eq(result[2 * width - len(self.product) :])
