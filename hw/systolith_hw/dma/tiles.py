"""Writing activation tiles into their buffer: padding around planes, and packed pixels unfolded."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.control.layouts import instruction_layout
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Opcode

__all__ = ["TILE_JOB", "TileWriter"]

_FIELDS = (
    "dest",
    "planes",
    "rows",
    "pixels",
    "pad_top",
    "pad_bottom",
    "pad_left",
    "pad_right",
    "pad_value",
    "pixel_bytes",
)

TILE_JOB = data.StructLayout(
    {name: instruction_layout(Opcode.LOAD)[name].shape for name in _FIELDS}
)
"""The fields of a LOAD that the tile writer needs."""


class TileWriter(wiring.Component):
    """Writes one word a cycle: from memory, or padding.

    A packed row of p pixels takes ``pixels per word - 1`` cycles more than its words: they fill
    the window of pixels that the first word holds.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job : In, stream of :data:`TILE_JOB`
    word : In, stream of words of ``block`` bytes
    addr, data, enable : Out
        The write, registered; `data` belongs to the lane group that the instruction names.
    busy : Out, a word is written or taken
    active : Out
    finish : Out, pulse in the cycle of the last decision; the write comes one cycle later
    """

    job: stream.Interface
    word: stream.Interface
    addr: Signal
    data: Signal
    enable: Signal
    busy: Signal
    active: Signal
    finish: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "job": In(stream.Signature(TILE_JOB)),
                "word": In(stream.Signature(config.block * 8)),
                "addr": Out(24),
                "data": Out(config.block * 8),
                "enable": Out(1),
                "busy": Out(1),
                "active": Out(1),
                "finish": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block = self.config.block
        job = Signal(TILE_JOB, reset_less=True)
        active = Signal()
        dest = Signal(24, reset_less=True)
        planes_left = Signal(16, reset_less=True)
        row = Signal(17, reset_less=True)
        column = Signal(17, reset_less=True)
        row_end = Signal(17, reset_less=True)
        row_last = Signal(17, reset_less=True)
        column_end = Signal(17, reset_less=True)
        column_last = Signal(17, reset_less=True)
        first_written = Signal(8, reset_less=True)

        body = (
            (row >= job.pad_top)
            & (row < row_end)
            & (column >= job.pad_left)
            & (column < column_end)
        )
        packed = job.pixel_bytes != 0
        current = Signal(block * 8, reset_less=True)
        current_left = Signal(8)
        need_word = body & ~(packed & (current_left != 0))
        step = active & (~need_word | self.word.valid)
        written = column >= first_written
        column_done = column == column_last
        row_done = column_done & (row == row_last)
        m.d.comb += [
            self.word.ready.eq(active & need_word),
            self.busy.eq(step),
            self.active.eq(active),
            self.finish.eq(step & row_done & (planes_left == 0)),
        ]

        source = Signal(block * 8)
        padding = Signal(block * 8)
        m.d.comb += [
            source.eq(Mux(current_left != 0, current, self.word.p)),
            padding.eq(job.pad_value.as_unsigned().replicate(block)),
        ]
        window = Signal(block * 8, reset_less=True)
        value = Signal(block * 8)
        per_word = Signal(8)
        m.d.comb += value.eq(Mux(body, self.word.p, padding))
        with m.Switch(job.pixel_bytes):
            for size in self.config.pack_sizes:
                with m.Case(size):
                    pixel = Mux(body, source[: size * 8], padding[: size * 8])
                    m.d.comb += [
                        value.eq(Cat(window[size * 8 :], pixel)),
                        per_word.eq(block // size),
                    ]
                    with m.If(step & body):
                        m.d.sync += current.eq(source >> (size * 8))
        with m.If(step):
            m.d.sync += window.eq(value)
            with m.If(column_done):
                # What a row leaves of its last word is no pixel.
                m.d.sync += current_left.eq(0)
            with m.Elif(body & packed):
                m.d.sync += current_left.eq(Mux(current_left != 0, current_left, per_word) - 1)

        m.d.sync += [self.enable.eq(step & written), self.addr.eq(dest), self.data.eq(value)]
        with m.If(step):
            m.d.sync += [dest.eq(dest + written), column.eq(Mux(column_done, 0, column + 1))]
            with m.If(column_done):
                m.d.sync += row.eq(Mux(row_done, 0, row + 1))
            with m.If(row_done):
                m.d.sync += planes_left.eq(planes_left - 1)
        with m.If(self.finish):
            m.d.sync += active.eq(0)

        m.d.comb += self.job.ready.eq(~active | self.finish)
        with m.If(self.job.valid & self.job.ready):
            new = self.job.p
            extra = Signal(8)
            with m.Switch(new.pixel_bytes):
                for size in self.config.pack_sizes:
                    with m.Case(size):
                        m.d.comb += extra.eq(block // size - 1)
            m.d.sync += [
                active.eq(1),
                job.eq(new),
                dest.eq(new.dest),
                planes_left.eq(new.planes - 1),
                row.eq(0),
                column.eq(0),
                row_end.eq(new.pad_top + new.rows),
                row_last.eq(new.pad_top + new.rows + new.pad_bottom - 1),
                column_end.eq(new.pad_left + new.pixels),
                column_last.eq(new.pad_left + new.pixels + new.pad_right + extra - 1),
                first_written.eq(extra),
                current_left.eq(0),
            ]
        return m
