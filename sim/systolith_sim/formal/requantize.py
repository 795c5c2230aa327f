"""The requantiser's formula: after the product for whole widths, the product for small ones."""

from typing import Any

from amaranth.asserts import AnyConst, AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Module, Mux, Signal, signed

from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.multiplier import Multiplier
from systolith_hw.spec.numerics import MAX_SHIFT
from systolith_hw.store.requantize import Requantizer
from systolith_sim.formal.prove import Specification

_SATURATED = 11
"""Bits of a value with one more bit after the point, before the zero point is added."""

__all__ = ["RequantizeProductSpecification", "RequantizeSpecification"]


class _FreeMultipliers:
    """A technology whose multipliers give any product."""

    def get_multiplier(self, multiplier: Multiplier) -> Module:
        m = Module()
        m.d.comb += multiplier.product.eq(AnySeq(len(multiplier.product)))
        return m


class _Stages(Specification):
    """Inputs of some cycles ago: those of the sum that a stage holds.

    Parameters
    ----------
    dut : Requantizer
    probes : dict
        See :class:`Specification`; the rules themselves need some of them.
    inside : bool
        Whether to assert also what the induction needs.
    """

    DEPTH = 1

    def __init__(self, dut: Requantizer, probes: Any, *, inside: bool = True) -> None:
        self.dut = dut
        self.width, self.factor = dut.config.acc_width, dut.config.multiplier_width
        super().__init__(probes=probes)
        self.inside = inside

    def history(self, m: Module, value: Any, name: str, first: int, last: int) -> dict[int, Any]:
        """Return a value by its age in cycles, of which it has `first` now."""
        ages = {first: value}
        for age in range(first + 1, last + 1):
            ages[age] = delay(m, ages[age - 1], 1, f"{name}_{age}")
        return ages

    def observe(self, m: Module) -> None:
        """Place the requantiser, and count cycles until all its registers have their values."""
        self.place(m, self.dut)
        self.cycles = Signal(range(Requantizer.LATENCY + 1), reset_less=True)
        m.d.sync += self.cycles.eq(self.cycles + (self.cycles != Requantizer.LATENCY))

    def after(self, age: int, rule: Any) -> Any:
        """Return whether a rule is kept about a stage that holds inputs of that age."""
        return (self.cycles < age) | rule


class RequantizeProductSpecification(_Stages):
    """The product is that of the multiplier and the sum with its bias, four cycles later.

    Sum and bias together fit the accumulator's width, and the multiplier its own, as the compiler
    ensures.
    """

    seen_product: Any
    seen_biased: Any
    seen_factor: Any

    def __init__(self, dut: Requantizer, *, inside: bool = True) -> None:
        width, factor, low = dut.config.acc_width, dut.config.multiplier_width, dut.LOW_PART
        probes = {"seen_product": ("dut.product", width + factor)}
        if inside:
            probes |= {"seen_biased": ("dut.biased", width), "seen_factor": ("dut.factor", factor)}
            for part, bits in (("low", low), ("high", width - low)):
                for wire, size in (("a", bits), ("b", factor), ("product", bits + factor)):
                    probes[f"seen_{part}_{wire}"] = (f"dut.{part}.{wire}_held", size)
        super().__init__(dut, probes, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, width, low = self.dut, self.width, self.dut.LOW_PART
        self.observe(m)
        exact = Signal(signed(width))
        m.d.comb += [
            exact.eq(dut.sum + dut.param.bias),
            Assume(exact == dut.sum + dut.param.bias, "sum and bias fit"),
            Assume(dut.param.multiplier >> self.factor == 0, "the multiplier fits"),
        ]
        sums = self.history(m, exact, "sums", 0, 4)
        factors = self.history(m, dut.param.multiplier[: self.factor], "factors", 0, 4)
        product = (sums[4] * factors[4])[: width + self.factor]
        m.d.comb += Assert(self.after(4, self.seen_product == product), "the product is exact")
        if self.inside:
            m.d.comb += [
                Assert(self.after(1, self.seen_biased.as_signed() == sums[1]), "sum"),
                Assert(self.after(1, self.seen_factor == factors[1]), "factor"),
            ]
            halves = {
                "low": lambda value: value[:low],
                "high": lambda value: value[low:].as_signed(),
            }
            for part, half in halves.items():
                a, b, ab = (getattr(self, f"seen_{part}_{wire}") for wire in ("a", "b", "product"))
                expected = (half(sums[3]) * factors[3])[: len(ab)]
                m.d.comb += [
                    Assert(self.after(2, a == half(sums[2]).as_unsigned()), f"{part} a"),
                    Assert(self.after(2, b == factors[2]), f"{part} b"),
                    Assert(self.after(3, ab == expected), f"{part} product"),
                ]
        return m


class RequantizeSpecification(_Stages):
    """The value is the formula's, five cycles after the product and nine after the parameters.

    ``clamp(((product + half) >> shift) + zero_point, low, high)`` with half = 2**(shift - 1), for
    any product of the accumulator's and the multiplier's bits, and shifts from 1 to MAX_SHIFT. Zero
    point and clamps are constant.
    """

    PLATFORM = _FreeMultipliers()

    seen_product: Any
    seen_coarse: Any
    seen_fine: Any
    seen_saturated: Any
    seen_shifted: Any

    def __init__(self, dut: Requantizer, *, inside: bool = True) -> None:
        bits = dut.config.acc_width + dut.config.multiplier_width
        probes = {"seen_product": ("dut.product", bits)}
        if inside:
            probes |= {"seen_coarse": ("dut.coarse", bits), "seen_fine": ("dut.fine", bits)}
            probes |= {
                f"seen_{name}": (f"dut.{name}", _SATURATED) for name in ("saturated", "shifted")
            }
            places = ["shift", *(f"coarse_shift_{at}" for at in range(3)), "fine_shift_0"]
            probes |= {f"seen_shift_{at + 1}": (f"dut.{name}", 6) for at, name in enumerate(places)}
        super().__init__(dut, probes, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.dut
        self.observe(m)
        output: Any = dut.output
        m.d.comb += [
            Assume(output.as_value() == AnyConst(len(output.as_value())), "outputs are constant"),
            Assume(output.low <= output.high, "there is a range"),
            Assume(_is_legal(dut.param.shift), "shifts are legal"),
        ]
        shifts = self.history(m, dut.param.shift[:6], "shifts", 0, 5)
        product = self.seen_product.as_signed()
        half = 1 << (shifts[4] - 1)[:6]
        now = ((product + half) >> shifts[4])[: len(product)].as_signed()
        scaled = self.history(m, now, "scaled", 4, 9)
        exact = scaled[9] + output.zero_point
        m.d.comb += Assert(
            self.after(9, dut.value == _clamp(exact, output.low, output.high)),
            "the value is the formula's",
        )
        if self.inside:
            self._judge_inside(m, product, scaled, shifts)
        return m

    def _judge_inside(self, m: Module, product: Any, scaled: Any, shifts: Any) -> None:
        """Assert what each stage holds, and that to round by the last bit is to add half."""
        few = shifts[4] - 1
        eighths = self.history(m, product >> (few[3:6] << 3), "coarse", 4, 5)
        halves = self.history(m, product >> few[:6], "fine", 4, 7)
        for age in range(1, 6):
            seen = getattr(self, f"seen_shift_{age}")
            m.d.comb += [
                Assert(self.after(age, _is_legal(shifts[age])), f"shift {age} is legal"),
                Assert(self.after(age, seen == (shifts[age] - 1)[:6]), f"shift {age} is known"),
            ]
        for age in range(4, 8):
            rounded = (halves[age] + 1) >> 1
            m.d.comb += Assert(self.after(age, scaled[age] == rounded), f"halves of age {age}")
        for age in (4, 5):
            whole = eighths[age] >> (shifts[age] - 1)[:3]
            m.d.comb += Assert(self.after(age, halves[age] == whole), f"shifts of age {age}")
        limit = 1 << (_SATURATED - 1)
        stages = {
            5: (self.seen_coarse, eighths[5]),
            6: (self.seen_fine, halves[6]),
            7: (self.seen_saturated, _clamp(halves[7], -limit, limit - 1)),
            8: (
                self.seen_shifted,
                _clamp(scaled[8], -limit // 2, limit // 2) + self.dut.output.zero_point,
            ),
        }
        for age, (seen, expected) in stages.items():
            same = seen.as_signed() == expected
            m.d.comb += Assert(self.after(age, same), f"stage {age} is known")


def _clamp(value: Any, low: Any, high: Any) -> Any:
    return Mux(value < low, low, Mux(value > high, high, value))


def _is_legal(shift: Any) -> Any:
    return (shift >= 1) & (shift <= MAX_SHIFT)
