"""A processing element: one multiplier, its weight, the next weight, and data passing through."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.multiplier import Multiplier

__all__ = ["ProcessingElement", "act_layout", "weight_layout"]


def act_layout(width: int) -> data.StructLayout:
    """Return the layout of data that moves right: an activation of `width` bits, and ``swap``.

    ``swap`` travels with the first activation of a pass and makes the next weight the current one.
    """
    return data.StructLayout({"value": signed(width), "swap": 1})


def weight_layout(width: int) -> data.StructLayout:
    """Return the layout of data that moves down: a weight of `width` bits, and ``capture``.

    ``capture`` moves at half the speed of the weights. A capture that enters with the weight of
    row 0 therefore meets the weight of row i, which entered i cycles later, in row i.
    """
    return data.StructLayout({"value": signed(width), "capture": 1})


class ProcessingElement(wiring.Component):
    """psum_o = psum_i + activation x weight, with the weight double-buffered.

    The element passes the activation of cycle t on in cycle t + 1 and multiplies it by the weight
    that is current then. It adds the product to the partial sum at ``psum_i`` in cycle
    t + PRODUCT_LATENCY and puts the result on ``psum_o`` one cycle later. A weight passes in one
    cycle, ``capture`` in two. No control is broadcast: every input comes from a neighbour.

    Parameters
    ----------
    act_width, weight_width, psum_width : int
        Bits of an activation, a weight and a partial sum.
    site : str, optional
        Place of the multiplier on the chip, see :class:`Multiplier`.

    Members
    -------
    act_i, act_o : :func:`act_layout`
    weight_i, weight_o : :func:`weight_layout`
    psum_i, psum_o : signed(psum_width)
    """

    act_i: Any
    act_o: Any
    weight_i: Any
    weight_o: Any
    psum_i: Signal
    psum_o: Signal

    PRODUCT_LATENCY = Multiplier.LATENCY

    def __init__(
        self, act_width: int, weight_width: int, psum_width: int, *, site: str | None = None
    ) -> None:
        self.act_shape = signed(act_width)
        self.weight_shape = signed(weight_width)
        self.site = site
        super().__init__(
            {
                "act_i": In(act_layout(act_width)),
                "act_o": Out(act_layout(act_width)),
                "weight_i": In(weight_layout(weight_width)),
                "weight_o": Out(weight_layout(weight_width)),
                "psum_i": In(signed(psum_width)),
                "psum_o": Out(signed(psum_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = Multiplier(
            self.act_shape, self.weight_shape, site=self.site
        )
        act = Signal(self.act_shape, reset_less=True)
        swap = Signal(reset_less=True)
        passing = Signal(self.weight_shape, reset_less=True)
        capture = Signal(2, reset_less=True)
        shadow = Signal(self.weight_shape, reset_less=True)
        weight = Signal(self.weight_shape, reset_less=True)
        next_weight = Signal(self.weight_shape)
        psum = Signal.like(self.psum_o, reset_less=True)
        m.d.sync += [
            act.eq(self.act_i.value),
            swap.eq(self.act_i.swap),
            passing.eq(self.weight_i.value),
            capture.eq(capture << 1 | self.weight_i.capture),
            shadow.eq(Mux(self.weight_i.capture, self.weight_i.value, shadow)),
            weight.eq(next_weight),
            psum.eq(self.psum_i + multiplier.product),
        ]
        # The multiplier has input registers of its own, equal to `act` and `weight`; the Verilog
        # for simulators merges them with these.
        m.d.comb += [
            next_weight.eq(Mux(self.act_i.swap, shadow, weight)),
            multiplier.a.eq(self.act_i.value),
            multiplier.b.eq(next_weight),
            self.act_o.value.eq(act),
            self.act_o.swap.eq(swap),
            self.weight_o.value.eq(passing),
            self.weight_o.capture.eq(capture[1]),
            self.psum_o.eq(psum),
        ]
        return m
