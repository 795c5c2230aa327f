"""A processing element: one multiplier, its weight, the next weight, and what passes through."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ACT_LAYOUT", "WEIGHT_LAYOUT", "ProcessingElement"]

ACT_LAYOUT = data.StructLayout({"value": signed(8), "swap": 1})
"""Moves right. ``swap`` comes with the first activation of a pass: the next weight takes over."""

WEIGHT_LAYOUT = data.StructLayout({"value": signed(8), "capture": 1})
"""Moves down. ``capture`` moves at half the speed of the weights, so that the capture that enters
with the weight of row 0 meets the weight of row i, which entered i cycles later, in row i."""


class ProcessingElement(wiring.Component):
    """psum_o = psum_i + activation x weight, with the weight double-buffered.

    The activation of cycle t is passed on in cycle t + 1 and multiplied by the weight in force
    then; its product joins the partial sum that stands at ``psum_i`` in cycle t + PRODUCT_LATENCY,
    and ``psum_o`` carries it one cycle later. Weights pass in one cycle, ``capture`` in two. No
    control is broadcast: everything comes from the neighbours.

    Parameters
    ----------
    psum_width : int
        Bits of a partial sum.

    Members
    -------
    act_i, act_o : :data:`ACT_LAYOUT`
    weight_i, weight_o : :data:`WEIGHT_LAYOUT`
    psum_i, psum_o : signed
    """

    act_i: Any
    act_o: Any
    weight_i: Any
    weight_o: Any
    psum_i: Signal
    psum_o: Signal

    PRODUCT_LATENCY = 2

    def __init__(self, psum_width: int) -> None:
        super().__init__(
            {
                "act_i": In(ACT_LAYOUT),
                "act_o": Out(ACT_LAYOUT),
                "weight_i": In(WEIGHT_LAYOUT),
                "weight_o": Out(WEIGHT_LAYOUT),
                "psum_i": In(signed(psum_width)),
                "psum_o": Out(signed(psum_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        act = Signal(ACT_LAYOUT, reset_less=True)
        passing = Signal(signed(8), reset_less=True)
        capture = Signal(2, reset_less=True)
        shadow = Signal(signed(8), reset_less=True)
        weight = Signal(signed(8), reset_less=True)
        product = Signal(signed(16), reset_less=True)
        psum = Signal.like(self.psum_o, reset_less=True)
        m.d.sync += [
            act.eq(self.act_i),
            passing.eq(self.weight_i.value),
            capture.eq(capture << 1 | self.weight_i.capture),
            shadow.eq(Mux(self.weight_i.capture, self.weight_i.value, shadow)),
            weight.eq(Mux(self.act_i.swap, shadow, weight)),
            product.eq(act.value * weight),
            psum.eq(self.psum_i + product),
        ]
        m.d.comb += [
            self.act_o.eq(act),
            self.weight_o.value.eq(passing),
            self.weight_o.capture.eq(capture[1]),
            self.psum_o.eq(psum),
        ]
        return m
