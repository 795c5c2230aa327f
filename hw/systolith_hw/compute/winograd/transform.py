"""The transform of activations: patches of 6x6 pixels to 36 lanes, in each row of the array."""

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.compute.winograd.place import PatchPlace
from systolith_hw.compute.winograd.points import POINT_CONTROL, PointTransform, point_control
from systolith_hw.primitives.delay import delay
from systolith_hw.spec.winograd import B_T, LANES, PATCH, point_range

__all__ = ["PatchTransform"]

_INT8 = (-128, 127)
_DOWN = point_range(B_T, *_INT8)
_ACROSS = point_range(B_T, *_DOWN)

_CONTROL = data.StructLayout(
    {
        "down": POINT_CONTROL,
        "write": 1,
        "write_addr": range(LANES),
        "read_addr": range(LANES),
        "across": POINT_CONTROL,
    }
)

_TURN = (PATCH - 1) ** 2 + 1
"""Cycles from the write of the first column to the read of the first row, with all its words."""


def _shape(extremes: tuple[int, int]) -> Shape:
    return Shape.cast(range(extremes[0], extremes[1] + 1))


class _RowTransform(wiring.Component):
    """Transforms the patches of one row of the array: first the columns, then the rows.

    Members
    -------
    i : In, int8 pixels, column by column
    control : In
    control_next : Out, ``control`` one cycle later, for the next row
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
        m.submodules.down = down = PointTransform(*_INT8)
        m.submodules.across = across = PointTransform(*_DOWN)
        turn = memory.Memory(shape=down.o.shape(), depth=LANES, init=[])
        m.submodules.turn = turn
        write: Any = turn.write_port()
        read = turn.read_port(domain="comb")
        control = self.control
        m.d.comb += [
            self.control_next.eq(delay(m, control, 1, "control")),
            down.i.eq(self.i),
            down.control.eq(control.down),
            write.addr.eq(control.write_addr),
            write.data.eq(down.o),
            write.en.eq(control.write),
            read.addr.eq(control.read_addr),
            across.i.eq(delay(m, read.data, 1, "turned")),
            across.control.eq(control.across),
            self.o.eq(across.o),
        ]
        return m


class PatchTransform(wiring.Component):
    """Gives the 36 lanes of each patch, B_T d B, one per cycle for each row of the array.

    A patch d arrives column by column, one pixel per cycle. Its lanes leave in order (lane
    6 k1 + k2 has the vertical point k1 and the horizontal point k2), the first one LATENCY cycles
    after the first pixel. Row i works i cycles behind row 0, and so does its control, which travels
    from row to row. Patches follow each other every 36 cycles or after any pause.

    Each row of the array transforms the six columns of a patch first, and then the six rows of the
    result. A memory of 36 words turns columns into rows: the points of a patch are written in the
    order in which those of the patch before are read, so that columns and rows swap their places
    in the memory with every patch.

    Parameters
    ----------
    rows : int
        Rows of the array.

    Members
    -------
    begin : In, pulse with the first pixel of row 0
    i : In, an int8 pixel for each row, skewed
    o : Out, a lane for each row, skewed
    """

    begin: Signal
    i: Any
    o: Any

    LATENCY = 2 * PointTransform.LATENCY + _TURN + 1

    def __init__(self, rows: int) -> None:
        self.rows = rows
        super().__init__(
            {
                "begin": In(1),
                "i": In(data.ArrayLayout(_shape(_INT8), rows)),
                "o": Out(data.ArrayLayout(_shape(_ACROSS), rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self._build_head(m)
        for index in range(self.rows):
            m.submodules[f"row_{index}"] = row = _RowTransform()
            m.d.comb += [
                row.i.eq(self.i[index]),
                row.control.eq(control),
                self.o[index].eq(row.o),
            ]
            control = row.control_next
        return m

    def _build_head(self, m: Module) -> Any:
        """Return the control of row 0; only this method counts or decodes anything."""
        m.submodules.pixel = pixel = PatchPlace()
        m.submodules.written = written = PatchPlace()
        m.submodules.read = read = PatchPlace()
        # A place follows its `begin` by one cycle, and the control derived from it by two.
        begin_write = delay(m, self.begin, PointTransform.LATENCY - 2, "begin_write", reset=True)
        begin_read = delay(m, begin_write, _TURN, "begin_read", reset=True)
        m.d.comb += [
            pixel.begin.eq(self.begin),
            written.begin.eq(begin_write),
            read.begin.eq(begin_read),
        ]
        # Whether `inner` selects the memory's row instead of `outer`, for writes and for reads.
        turned, read_turned = Signal(), Signal()
        with m.If(begin_write):
            m.d.sync += turned.eq(~turned)
        with m.If(begin_read):
            m.d.sync += read_turned.eq(~turned)

        def address(place: PatchPlace, turned: Any) -> Any:
            major = Mux(turned, place.inner, place.outer)
            minor = Mux(turned, place.outer, place.inner)
            # Six times `major`, as a sum: tools would use a multiplier for the product.
            return (major << 2) + (major << 1) + minor

        first_read = read.valid & (read.inner == 0)
        control: Any = Signal(_CONTROL, name="control_of_row_0")
        write = delay(m, written.valid, 1, "write")
        write_addr = delay(m, address(written, turned), 1, "write_addr")
        read_addr = delay(m, address(read, read_turned), 1, "read_addr")
        m.d.comb += [
            control.down.eq(point_control(m, pixel.valid & (pixel.inner == 0), "down")),
            control.write.eq(write),
            control.write_addr.eq(write_addr),
            control.read_addr.eq(read_addr),
            control.across.eq(point_control(m, delay(m, first_read, 3, "first_read"), "across")),
        ]
        return control
