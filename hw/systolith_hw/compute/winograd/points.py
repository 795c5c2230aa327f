"""The transform of activations in one dimension: six words to six points, one per cycle."""

from typing import Any

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.adder import plus_minus
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.register import drive
from systolith_hw.spec.winograd import B_T, point_range

__all__ = ["POINT_CONTROL", "PointTransform", "point_control"]


class _Operands(enum.Enum, shape=2):
    """The operands of the next sum or difference."""

    HOLD = 0
    NEAR = 1
    """Of points 2 and -2: d[4] and 2 d[3]."""
    FAR = 2
    """Of points 0 and infinity: d[p] and 4 d[p - 2]."""
    UNIT = 3
    """Of points 1 and -1: q[4] and q[3]."""


POINT_CONTROL = data.StructLayout({"operands": _Operands, "plus": 1})
"""The control of a transform; it travels from row to row of the array."""


def point_control(m: Module, first: Any, name: str) -> Any:
    """Return the registered control of the transform of row 0.

    Parameters
    ----------
    m : Module
        The component's.
    first : Value
        Pulse, in the cycle after the first of each six words.
    name : str
        Prefix of the registers' names.
    """
    ages = [first]
    for age in range(1, 9):
        ages.append(delay(m, ages[-1], 1, f"{name}_age_{age}", reset=True))
    control: Any = Signal(POINT_CONTROL, name=f"{name}_control", reset_less=True)
    m.d.sync += [
        control.operands.eq(_Operands.HOLD),
        control.plus.eq(ages[4] | ages[8]),
    ]
    for operands, when in (
        (_Operands.NEAR, ages[3]),
        (_Operands.FAR, ages[5] | ages[6]),
        (_Operands.UNIT, ages[7]),
    ):
        with m.If(when):
            m.d.sync += control.operands.eq(operands)
    return control


class PointTransform(wiring.Component):
    """Takes six words x and gives the six points B_T x, LATENCY cycles later, one each per cycle.

    With d[p] = x[p] - x[p - 2] and q[p] = x[p] - 4 x[p - 2] the points are d[4] + 2 d[3],
    d[4] - 2 d[3], d[4] - 4 d[2], d[5] - 4 d[3], q[4] + q[3] and q[4] - q[3]. Three carry chains
    compute them all. The next six words may follow at once or after any pause.

    Parameters
    ----------
    low, high : int
        Smallest and largest word.

    Attributes
    ----------
    out_low, out_high : int
        Smallest and largest point.

    Members
    -------
    i : In, a word
    control : In, of :func:`point_control`
    o : Out, a point
    """

    i: Signal
    control: Any
    o: Signal

    LATENCY = 7

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.out_low, self.out_high = point_range(B_T, low, high)
        super().__init__(
            {
                "i": In(range(low, high + 1)),
                "control": In(POINT_CONTROL),
                "o": Out(range(self.out_low, self.out_high + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low, high = self.low, self.high
        d_shape = Shape.cast(range(low - high, high - low + 1))
        q_shape = Shape.cast(range(low - 4 * high, high - 4 * low + 1))
        widest = max(d_shape.width, q_shape.width)
        control = self.control

        two_ago = delay(m, self.i, 2, "word")
        d = [Signal(d_shape, name="d_now", reset_less=True)]
        q = [Signal(q_shape, name="q_now", reset_less=True)]
        m.d.sync += [d[0].eq(self.i - two_ago), q[0].eq(self.i - (two_ago << 2))]
        for age in range(1, 5):
            d.append(delay(m, d[-1], 1, f"d_{age}"))
        q.append(delay(m, q[0], 1, "q_1"))
        # The sums that use q come when the next six words have already taken the places of these.
        q_held = [Signal(q_shape, name=f"q_held_{age}", reset_less=True) for age in range(2)]
        with m.If(control.operands == _Operands.NEAR):
            m.d.sync += [held.eq(now) for held, now in zip(q_held, q, strict=True)]

        a = Signal(Shape(widest, signed=True), reset_less=True)
        b = Signal(Shape(max(d_shape.width + 2, q_shape.width), signed=True), reset_less=True)
        with m.Switch(control.operands):
            with m.Case(_Operands.NEAR):
                m.d.sync += [a.eq(d[0]), b.eq(d[1] << 1)]
            with m.Case(_Operands.FAR):
                m.d.sync += [a.eq(d[2]), b.eq(d[4] << 2)]
            with m.Case(_Operands.UNIT):
                m.d.sync += [a.eq(q_held[0]), b.eq(q_held[1])]
        o = drive(m, self.o, "point")
        m.d.sync += o.eq(plus_minus(a, b, ~control.plus, len(o)))
        return m
