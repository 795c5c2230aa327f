"""One lane of requantisation: bias, multiply, round, shift, zero point, clamp."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.layouts import OUTPUT_LAYOUT, PARAM_LAYOUT
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.multiplier import Multiplier
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Requantizer"]

_LOW_PART = 17
"""Bits of the sum that the first multiplier takes: an 18-bit signed operand, never negative."""

_SCALED_WIDTH = 11
"""A scaled value saturates to this many bits: beyond them any zero point leaves it clamped."""


class Requantizer(wiring.Component):
    """Requantises one sum per cycle, exactly as systolith_hw.spec.numerics.requantize does.

    The product of sum and multiplier is made of two narrow products, so that each fits the 18-bit
    multipliers of small FPGAs with registers on both sides. Instead of adding half before the
    shift, the shift stops one bit early and the last bit rounds: the result is the same.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    sum : In, signed(acc_width)
    param : In, :data:`PARAM_LAYOUT`, with the sum
    output : In, :data:`OUTPUT_LAYOUT`
    value : Out, signed(8), LATENCY cycles after the sum
    """

    sum: Signal
    param: Any
    output: Any
    value: Signal

    LATENCY = 9

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "sum": In(signed(config.acc_width)),
                "param": In(PARAM_LAYOUT),
                "output": In(OUTPUT_LAYOUT),
                "value": Out(signed(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.acc_width
        factor_width = self.config.multiplier_width

        def register(name: str, shape: Any) -> Signal:
            return Signal(shape, name=name, reset_less=True)

        m.submodules.low = low = Multiplier(unsigned(_LOW_PART), unsigned(factor_width))
        m.submodules.high = high = Multiplier(signed(width - _LOW_PART), unsigned(factor_width))
        # One cycle for the sum alone: the multipliers' sites may be far from the accumulators.
        biased = register("biased", signed(width))
        factor = register("factor", unsigned(factor_width))
        # One less: the last bit of the shift rounds.
        shift = register("shift", unsigned(6))
        m.d.sync += [
            biased.eq(self.sum + self.param.bias),
            factor.eq(self.param.multiplier),
            shift.eq(self.param.shift - 1),
        ]
        m.d.comb += [
            low.a.eq(biased[:_LOW_PART]),
            high.a.eq(biased[_LOW_PART:].as_signed()),
            low.b.eq(factor),
            high.b.eq(factor),
        ]
        coarse_shift = delay(m, shift, low.LATENCY + 1, "coarse_shift")
        fine_shift = delay(m, coarse_shift, 1, "fine_shift")

        product = register("product", signed(width + factor_width))
        m.d.sync += product.eq((high.product << _LOW_PART) + low.product)

        coarse = register("coarse", product.shape())
        fine = register("fine", product.shape())
        m.d.sync += [
            coarse.eq(product >> (coarse_shift[3:] << 3)),
            fine.eq(coarse >> fine_shift[:3]),
        ]
        top = fine[_SCALED_WIDTH - 1 :]
        saturated = register("saturated", signed(_SCALED_WIDTH))
        sign = fine[-1]
        m.d.sync += saturated.eq(
            Mux(
                top.all() | ~top.any(),
                fine[:_SCALED_WIDTH].as_signed(),
                Mux(sign, -(1 << (_SCALED_WIDTH - 1)), (1 << (_SCALED_WIDTH - 1)) - 1),
            )
        )
        shifted = register("shifted", signed(_SCALED_WIDTH))
        m.d.sync += shifted.eq(((saturated + 1) >> 1) + self.output.zero_point)
        value = drive(m, self.value, "value_out")
        m.d.sync += value.eq(
            Mux(
                shifted < self.output.low,
                self.output.low,
                Mux(shifted > self.output.high, self.output.high, shifted),
            )
        )
        return m
