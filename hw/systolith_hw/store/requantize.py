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

_SCALED_WIDTH = 11
"""Bits that a scaled value saturates to: beyond them it is clamped with any zero point."""


class Requantizer(wiring.Component):
    """Requantises one sum per cycle, exactly as systolith_hw.spec.numerics.requantize does.

    The product of sum and multiplier is the sum of two narrow products. Each of these fits the
    18-bit multipliers of small FPGAs, for a multiplier_width of at most 18, with registers on both
    sides. Instead of adding half before the shift, the shift stops one bit early and the last bit
    rounds; the result is the same.

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

    LOW_PART = 17
    """Low bits of the sum, for one multiplier: with a zero in front, an 18-bit signed operand."""

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
        low_part = self.LOW_PART

        def register(name: str, shape: Any) -> Signal:
            return Signal(shape, name=name, reset_less=True)

        m.submodules.low = low = Multiplier(unsigned(low_part), unsigned(factor_width))
        m.submodules.high = high = Multiplier(signed(width - low_part), unsigned(factor_width))
        # Adding the bias has a cycle of its own, since accumulators and multipliers may be far
        # from each other.
        biased = register("biased", signed(width))
        factor = register("factor", unsigned(factor_width))
        # One less than the parameter's shift: the last bit rounds.
        shift = register("shift", unsigned(6))
        m.d.sync += [
            biased.eq(self.sum + self.param.bias),
            factor.eq(self.param.multiplier),
            shift.eq(self.param.shift - 1),
        ]
        m.d.comb += [
            low.a.eq(biased[:low_part]),
            high.a.eq(biased[low_part:].as_signed()),
            low.b.eq(factor),
            high.b.eq(factor),
        ]
        coarse_shift = delay(m, shift, low.LATENCY + 1, "coarse_shift")
        fine_shift = delay(m, coarse_shift, 1, "fine_shift")

        product = register("product", signed(width + factor_width))
        m.d.sync += product.eq((high.product << low_part) + low.product)

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
