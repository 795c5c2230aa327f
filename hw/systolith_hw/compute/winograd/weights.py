"""The transform of weights: kernels of 3x3 taps to 36 lanes, in each column of the array."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.compute.winograd.place import PatchPlace
from systolith_hw.primitives.adder import plus_minus
from systolith_hw.primitives.delay import delay
from systolith_hw.spec.winograd import KERNEL, PATCH, G, point_range

__all__ = ["KernelTransform"]

_INT8 = (-128, 127)
_DOWN = point_range(G, *_INT8)
_ACROSS = point_range(G, *_DOWN)

_ADDR = data.StructLayout({"column": range(KERNEL + 1), "half": 1})

_FOLD = data.StructLayout({"first": 1, "third": 1, "scaled": 1, "minus": 1})
"""How a point is made of three words: first + third +- second, or the first or third alone.

With ``scaled`` the second word counts twice and the third four times. ``minus`` arrives one cycle
after the other bits.
"""

_CONTROL = data.StructLayout(
    {
        "write": KERNEL,
        "write_addr": _ADDR,
        "read_addr": _ADDR,
        "down": _FOLD,
        "load": 1,
        "across": _FOLD,
    }
)


def _shape(extremes: tuple[int, int]) -> Shape:
    return Shape.cast(range(extremes[0], extremes[1] + 1))


def _fold_control(m: Module, point: Any, name: str) -> Any:
    """Return the control for a point, in the same cycle; ``minus`` follows one cycle later."""
    control: Any = Signal(_FOLD, name=f"{name}_control")
    minus = Signal(name=f"{name}_minus")
    with m.Switch(point):
        for index, (first, second, third) in enumerate(G):
            with m.Case(index):
                m.d.comb += [
                    control.first.eq(first != 0),
                    control.third.eq(third != 0),
                    control.scaled.eq(third == 4),
                    minus.eq(second < 0),
                ]
    m.d.comb += control.minus.eq(delay(m, minus, 1, f"{name}_minus"))
    return control


def _fold(m: Module, words: Sequence[Any], control: Any, shape: Shape, name: str) -> Signal:
    """Return the point of three words, two cycles later; it takes two carry chains in a row."""
    first, second, third = words
    outer = Signal(shape, name=f"{name}_outer", reset_less=True)
    inner = Signal(shape, name=f"{name}_inner", reset_less=True)
    point = Signal(shape, name=f"{name}_point", reset_less=True)
    scaled = control.scaled
    m.d.sync += [
        outer.eq(
            Mux(control.first, first, 0) + Mux(control.third, Mux(scaled, third << 2, third), 0)
        ),
        inner.eq(Mux(control.first & control.third, Mux(scaled, second << 1, second), 0)),
        point.eq(plus_minus(outer, inner, control.minus, len(point))),
    ]
    return point


class _ColumnTransform(wiring.Component):
    """Transforms the kernels of one column of the array.

    Members
    -------
    i : In, int8 taps, row by row
    control : In
    control_next : Out, ``control`` one cycle later, for the next column
    o : Out, lanes
    """

    i: Signal
    control: Any
    control_next: Any
    o: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(_shape(_INT8)),
                "control": In(_CONTROL),
                "control_next": Out(_CONTROL),
                "o": Out(_shape(_ACROSS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self.control
        m.d.comb += self.control_next.eq(delay(m, control, 1, "control"))
        # Each row of taps has a memory of its own, so that a column of three is read in one cycle.
        column = []
        for row in range(KERNEL):
            taps = memory.Memory(shape=self.i.shape(), depth=1 << _ADDR.size, init=[])
            m.submodules[f"taps_{row}"] = taps
            write: Any = taps.write_port()
            read = taps.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(control.write_addr),
                write.data.eq(self.i),
                write.en.eq(control.write[row]),
                read.addr.eq(control.read_addr),
            ]
            column.append(delay(m, read.data, 1, f"tap_{row}"))
        down = _fold(m, column, control.down, _shape(_DOWN), "down")
        # The points of the three columns arrive one after the other and are used together.
        one_ago = delay(m, down, 1, "down_one_ago")
        two_ago = delay(m, one_ago, 1, "down_two_ago")
        line = [Signal.like(down, name=f"line_{index}", reset_less=True) for index in range(KERNEL)]
        with m.If(control.load):
            m.d.sync += [
                word.eq(point) for word, point in zip(line, (two_ago, one_ago, down), strict=True)
            ]
        across = _fold(m, line, control.across, _shape(_ACROSS), "across")
        m.d.comb += self.o.eq(across)
        return m


class KernelTransform(wiring.Component):
    """Gives the 36 lanes of each kernel, G g G^T, one per cycle for each column of the array.

    A kernel g arrives row by row, one tap per cycle. Its lanes leave in order (lane 6 k1 + k2 has
    the vertical point k1 and the horizontal point k2), the first one LATENCY cycles after the first
    tap. Column j works j cycles behind column 0, and so does its control, which travels from column
    to column. Kernels follow each other every 36 cycles or after any pause.

    Parameters
    ----------
    cols : int
        Columns of the array.

    Members
    -------
    begin : In, pulse in the cycle before the first tap of column 0
    i : In, an int8 tap for each column, skewed
    o : Out, a lane for each column, skewed
    """

    begin: Signal
    i: Any
    o: Any

    LATENCY = 15

    def __init__(self, cols: int) -> None:
        self.cols = cols
        super().__init__(
            {
                "begin": In(1),
                "i": In(data.ArrayLayout(_shape(_INT8), cols)),
                "o": Out(data.ArrayLayout(_shape(_ACROSS), cols)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self._build_head(m)
        for index in range(self.cols):
            m.submodules[f"column_{index}"] = column = _ColumnTransform()
            m.d.comb += [
                column.i.eq(self.i[index]),
                column.control.eq(control),
                self.o[index].eq(column.o),
            ]
            control = column.control_next
        return m

    def _build_head(self, m: Module) -> Any:
        """Return the control of column 0; only this method counts or decodes anything."""
        # Writing: one bit for the row of a tap, its column, and the half of the memory, which
        # changes with each kernel.
        row, write_addr = Signal(KERNEL), Signal(_ADDR)
        with m.If(self.begin):
            m.d.sync += [row.eq(1), write_addr.column.eq(0), write_addr.half.eq(~write_addr.half)]
        with m.Elif(write_addr.column != KERNEL - 1):
            m.d.sync += write_addr.column.eq(write_addr.column + 1)
        with m.Else():
            m.d.sync += [row.eq(row << 1), write_addr.column.eq(0)]

        # Reading: the seventh tap completes the first column.
        m.submodules.place = place = PatchPlace()
        begin_read = delay(m, self.begin, 2 * KERNEL, "begin_read", reset=True)
        half = Signal()
        with m.If(begin_read):
            m.d.sync += half.eq(write_addr.half)
        m.d.comb += place.begin.eq(begin_read)

        control: Any = Signal(_CONTROL, name="control_of_column_0")
        down = _fold_control(m, delay(m, place.outer, 2, "down_place"), "down")
        across = _fold_control(m, delay(m, place.inner, 7, "across_place"), "across")
        m.d.comb += [
            control.write.eq(row),
            control.write_addr.eq(write_addr),
            control.read_addr.column.eq(delay(m, place.inner, 1, "read_column")),
            control.read_addr.half.eq(delay(m, half, 1, "read_half")),
            control.down.eq(down),
            control.load.eq(delay(m, place.inner == PATCH - 1, 1, "load")),
            control.across.eq(across),
        ]
        return control
