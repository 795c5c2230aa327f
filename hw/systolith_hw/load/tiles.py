"""Writing activation tiles into their buffer: padding around planes, and packed pixels unfolded."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring

from systolith_hw.interface.buffers import SINK_JOB, WordSink
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.timing import TILE_PREPARE

__all__ = ["TileWriter"]


class _Span:
    """A place within leading padding, a body and trailing padding, classified by registers.

    Parameters
    ----------
    name : str
    width : int
        Bits of a place.

    Attributes
    ----------
    following : Signal
        The place after this one.
    inside, last : Signal
        This place is in the body; it is the last one.
    first_inside : Signal
        The first place is in the body; known one cycle before the others are prepared.
    """

    PREPARE_CYCLES = TILE_PREPARE

    def __init__(self, name: str, width: int) -> None:
        def register(what: str, shape: Any = 1) -> Signal:
            return Signal(shape, name=f"{name}_{what}", reset_less=True)

        self.following = register("following", width)
        self.inside = register("inside")
        self.last = register("last")
        # The following place begins the body, or is the first behind it; then the places before
        # these two, less than 0 if there is none.
        self._enters = register("enters")
        self._leaves = register("leaves")
        self._before_start = register("before_start", signed(width + 1))
        self._before_end = register("before_end", signed(width + 1))
        # The following place is the last one, and so on.
        self._follows_last = register("follows_last")
        self._before_last = register("before_last", signed(width + 1))
        self._tail = register("tail", signed(width))
        self._last_place = register("last_place", width)
        self._single = register("single")
        self._pair = register("pair")
        self.first_inside = register("first_inside")
        self._first_enters = register("first_enters")
        self._first_leaves = register("first_leaves")

    def prepare(self, before: Any, body: Any, *after: Any) -> list[Any]:
        """Return statements that lead, in PREPARE_CYCLES, to the first place of these lengths."""
        return [
            self._before_start.eq(before - 1),
            self._before_end.eq(before + body - 1),
            self._tail.eq(sum(after[1:], after[0])),
            self._last_place.eq(self._before_end + self._tail),
            self.first_inside.eq((self._before_start < 0) & (self._before_end >= 0)),
            self._first_enters.eq(self._before_start == 0),
            self._first_leaves.eq(self._before_end == 0),
            self._single.eq(self.is_single()),
            self._pair.eq(self._last_place == 1),
            self._follows_last.eq(self._last_place == 1),
            self._before_last.eq(self._last_place - 1),
            self.following.eq(1),
            self.inside.eq(self.first_inside),
            self._enters.eq(self._first_enters),
            self._leaves.eq(self._first_leaves),
            self.last.eq(self.is_single()),
        ]

    def is_single(self) -> Any:
        """Return whether there is one place only; known in the last cycle of preparing."""
        return self._last_place == 0

    def next_inside(self) -> Any:
        """Return the value of `inside` at the next place."""
        inside = (self.inside | self._enters) & ~self._leaves
        return Mux(self.last, self.first_inside, inside)

    def next_last(self) -> Any:
        """Return the value of `last` at the next place."""
        return Mux(self.last, self._single, self._follows_last)

    def advance(self) -> list[Any]:
        """Return the statements that go to the next place, after the last to the first."""
        return [
            self.following.eq(Mux(self.last, 1, self.following + 1)),
            self.inside.eq(self.next_inside()),
            self._enters.eq(
                Mux(self.last, self._first_enters, self.following == self._before_start)
            ),
            self._leaves.eq(Mux(self.last, self._first_leaves, self.following == self._before_end)),
            self._follows_last.eq(Mux(self.last, self._pair, self.following == self._before_last)),
            self.last.eq(self.next_last()),
        ]


class TileWriter(wiring.Component):
    """Writes one word per cycle: from memory, or padding; each job costs PREPARE_CYCLES + 1 more.

    A packed row of p pixels takes ``pixels per word - 1`` cycles more than its words: they fill
    the window of pixels that the first word holds.

    Parameters
    ----------
    config : AcceleratorConfig

    See WordSink for the members; ``last`` is not looked at, and a write comes two cycles after its
    decision: the activation buffer is spread over the chip.
    """

    job: stream.Interface
    word: stream.Interface
    last: Signal
    write: Any
    taken: Signal
    busy: Signal
    finish: Signal
    fault: Signal
    fault_addr: Signal

    PREPARE_CYCLES = _Span.PREPARE_CYCLES

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(WordSink(Buffer.ACT, config.block, config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block = self.config.block
        job = Signal(SINK_JOB, reset_less=True)
        active = Signal()
        # This step takes a word; it takes none. Neither while a job is prepared. `takes` tells the
        # source of words the same as `wants` tells the counters, and `waits` tells the registers of
        # data, whose content between jobs is unused: one register would be far from most of them.
        wants, pads = Signal(), Signal()
        takes, waits = Signal(reset_less=True), Signal(reset_less=True)
        body = Signal(reset_less=True)
        dest = Signal(24, reset_less=True)
        planes = Countdown(16, "planes")
        rows = _Span("row", SINK_JOB["rows"].width + 1)
        columns = _Span("column", SINK_JOB["pixels"].width + 1)
        first_written = Signal(8, reset_less=True)
        written = Signal(reset_less=True)

        packed = Signal(reset_less=True)
        # The size of a packed pixel as a number from 1: fewer bits to decode than `pixel_bytes`.
        pack_sizes = self.config.pack_sizes
        pack = Signal(range(len(pack_sizes) + 1), reset_less=True)
        current = Signal(block * 8, reset_less=True)
        current_left = Signal(8, reset_less=True)
        current_some = Signal()
        step = pads | (wants & self.word.valid)
        data_step = ~waits | self.word.valid
        row_done = columns.last & rows.last
        # The last step of all, known from a register as the ends of each level are.
        final = Signal(reset_less=True)
        m.d.comb += [
            self.word.ready.eq(takes),
            self.busy.eq(step),
            self.taken.eq(self.word.valid & self.word.ready),
            self.finish.eq(step & final),
        ]

        source = Signal(block * 8)
        padding = Signal(block * 8)
        m.d.comb += [
            source.eq(Mux(current_some, current, self.word.p)),
            padding.eq(job.pad_value.as_unsigned().replicate(block)),
        ]
        window = Signal(block * 8, reset_less=True)
        value = Signal(block * 8)
        m.d.comb += value.eq(Mux(body, self.word.p, padding))
        with m.Switch(pack):
            for index, size in enumerate(pack_sizes, start=1):
                with m.Case(index):
                    pixel = Mux(body, source[: size * 8], padding[: size * 8])
                    m.d.comb += value.eq(Cat(window[size * 8 :], pixel))
                    with m.If(data_step & body):
                        m.d.sync += current.eq(source >> (size * 8))
        # The next step, in time to be in registers before it.
        next_some = Signal()
        m.d.comb += next_some.eq(current_some)
        with m.If(columns.last):
            # The rest of a row's last word holds no pixel.
            m.d.comb += next_some.eq(0)
        with m.Elif(body & packed):
            # `first_written` is also the number of a word's pixels beyond its first.
            m.d.comb += next_some.eq(Mux(current_some, current_left != 1, first_written != 0))
        next_row_inside = Mux(columns.last, rows.next_inside(), rows.inside)
        next_body = next_row_inside & columns.next_inside()
        next_row_last = Mux(columns.last, rows.next_last(), rows.last)
        next_plane_last = Mux(row_done, planes.left == 1, planes.last)
        with m.If(data_step):
            m.d.sync += window.eq(value)
        with m.If(step):
            next_wants = next_body & ~next_some
            m.d.sync += [
                current_some.eq(next_some),
                body.eq(next_body),
                *(one.eq(next_wants) for one in (wants, takes, waits)),
                pads.eq(~next_wants),
                final.eq(columns.next_last() & next_row_last & next_plane_last),
            ]
            with m.If(body & packed):
                m.d.sync += current_left.eq(Mux(current_some, current_left - 1, first_written))

        # The write that is decided on and, one cycle later, on its route to the buffer.
        enable = Signal()
        addr = Signal.like(dest, reset_less=True)
        written_value = Signal(block * 8, reset_less=True)
        lane = Signal(8, reset_less=True)
        write_addr = drive(m, self.write.addr, "write_addr_out")
        write_data = drive(m, self.write.data, "write_data_out")
        m.d.sync += [
            enable.eq(step & written),
            addr.eq(dest),
            written_value.eq(value),
            lane.eq(job.lane),
            write_addr.eq(addr),
            write_data.as_value().eq(written_value),
            self.write.en.eq(Cat(enable & (lane == group) for group in range(len(self.write.en)))),
        ]
        m.d.comb += [
            self.fault.eq(enable & (addr >= self.config.act_depth)),
            self.fault_addr.eq(addr),
        ]
        with m.If(step):
            m.d.sync += [
                dest.eq(dest + written),
                *columns.advance(),
                written.eq(
                    Mux(columns.last, first_written == 0, columns.following >= first_written)
                ),
            ]
            with m.If(columns.last):
                m.d.sync += rows.advance()
            with m.If(row_done):
                m.d.sync += planes.advance()
        with m.If(self.finish):
            m.d.sync += [wants.eq(0), takes.eq(0), pads.eq(0), active.eq(0)]

        # A job is prepared in steps, so that no comparison has to wait for a sum.
        preparing = Signal(_Span.PREPARE_CYCLES)
        m.d.sync += preparing.eq(preparing << 1)
        m.d.comb += self.job.ready.eq(~active)
        with m.If(preparing.any()):
            m.d.sync += [
                written.eq(first_written == 0),
                *rows.prepare(job.pad_top, job.rows, job.pad_bottom),
                *columns.prepare(job.pad_left, job.pixels, job.pad_right, first_written),
            ]
        with m.If(preparing[-1]):
            first = rows.first_inside & columns.first_inside
            m.d.sync += [
                *(one.eq(first) for one in (body, wants, takes, waits)),
                pads.eq(~first),
                final.eq(rows.is_single() & columns.is_single() & planes.last),
            ]
        # Nothing reads these registers before `active`, so they load the payload, valid or not.
        with m.If(self.job.ready):
            new = self.job.p
            extra = Signal(8)
            new_pack = Signal.like(pack)
            with m.Switch(new.pixel_bytes):
                for index, size in enumerate(pack_sizes, start=1):
                    with m.Case(size):
                        m.d.comb += [extra.eq(block // size - 1), new_pack.eq(index)]
            m.d.sync += [
                active.eq(self.job.valid),
                preparing.eq(self.job.valid),
                job.eq(new),
                packed.eq(new.pixel_bytes != 0),
                pack.eq(new_pack),
                dest.eq(new.dest),
                *planes.load(new.planes),
                first_written.eq(extra),
                current_some.eq(0),
                takes.eq(0),
            ]
        return m
