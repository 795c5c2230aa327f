"""The load engine: moves regions of external memory into the on-chip buffers."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.bus.bursts import BurstSplitter, RegionWalker
from systolith_hw.interface.bus_layouts import burst_layout, run_layout
from systolith_hw.interface.layouts import COUNTER_BITS, PROGRESS_LAYOUT, instruction_layout
from systolith_hw.load.tiles import TILE_JOB, TileWriter
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, REGION_FIELDS, Buffer, Opcode
from systolith_hw.spec.legal import word_bytes
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_hw.spec.timing import LOAD_JOBS, LOAD_RUNS
from systolith_hw.stream.gate import TokenGate
from systolith_hw.stream.gearbox import Unpacker
from systolith_hw.stream.queue import Queue

__all__ = ["LoadEngine", "LoadState"]

LoadState: Any = enum.Enum(
    "LoadState", {name.upper(): i for i, name in enumerate(ENGINE_STATES[Engine.LOAD])}
)

_SINK_FIELDS = (*TILE_JOB.members, "buffer", "lane", "run_words", "runs")


class LoadEngine(wiring.Component):
    """Asks for data ahead, instruction after instruction, and takes it in order as it comes.

    The tokens of a LOAD are awaited before its first burst is issued; it is finished when its last
    word is in its buffer. Data flows at a bus beat or a word a cycle, whichever is the narrower,
    with two or three cycles lost between instructions.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    load : In, stream of LOAD instructions
    progress : In
    burst : Out, stream of bursts to read
    beat : In, stream of the beats read
    act_addr, act_data, act_en : Out, write side of the activation buffer; a lane group's data
    weight_addr, weight_data, weight_en : Out
    param_addr, param_data, param_en : Out; an enable for each lane
    done : Out, pulse for every finished LOAD
    state : Out
    fault : Out, pulse: a word beyond its buffer's end
    fault_addr : Out, that word
    miscount : Out
        Pulse: a region has more or fewer words than its tile.
    miscount_number : Out, how many LOADs came before that one
    """

    load: stream.Interface
    progress: Any
    burst: stream.Interface
    beat: stream.Interface
    act_addr: Signal
    act_data: Signal
    act_en: Signal
    weight_addr: Signal
    weight_data: Signal
    weight_en: Signal
    param_addr: Signal
    param_data: Signal
    param_en: Signal
    done: Signal
    state: Signal
    fault: Signal
    fault_addr: Signal
    miscount: Signal
    miscount_number: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "load": In(stream.Signature(instruction_layout(Opcode.LOAD, config))),
                "progress": In(PROGRESS_LAYOUT),
                "burst": Out(stream.Signature(burst_layout(config))),
                "beat": In(stream.Signature(config.bus_bytes * 8)),
                "act_addr": Out(range(config.act_depth)),
                "act_data": Out(config.block * 8),
                "act_en": Out(config.row_groups),
                "weight_addr": Out(range(config.weight_depth)),
                "weight_data": Out(config.cols * 8),
                "weight_en": Out(1),
                "param_addr": Out(range(config.param_depth // config.post_lanes)),
                "param_data": Out(PARAM_BYTES * 8),
                "param_en": Out(config.post_lanes),
                "done": Out(1),
                "state": Out(LoadState),
                "fault": Out(1),
                "fault_addr": Out(24),
                "miscount": Out(1),
                "miscount_number": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        sizes = {buffer: word_bytes(buffer, config) for buffer in Buffer}
        m.submodules.gate = gate = TokenGate(
            instruction_layout(Opcode.LOAD, config),
            {
                "after_computed": "computed",
                "after_drained": "drained",
                "after_stored": "stored",
            },
        )
        m.submodules.walker = walker = RegionWalker(config, list(sizes.values()))
        m.submodules.splitter = splitter = BurstSplitter(config)
        m.submodules.runs = runs = Queue(
            data.StructLayout({"run": run_layout(config), "buffer": 2}), LOAD_RUNS
        )
        fields = instruction_layout(Opcode.LOAD, config)
        sink_job = data.StructLayout({name: fields[name].shape for name in _SINK_FIELDS})
        m.submodules.jobs = jobs = Queue(sink_job, LOAD_JOBS)
        connect(m, flipped(self.load), gate.i)
        connect(m, splitter.burst, flipped(self.burst))

        # An instruction goes to the side that asks and to the side that takes.
        both = walker.region.ready & jobs.i.ready
        m.d.comb += [
            gate.progress.eq(self.progress),
            gate.o.ready.eq(both),
            walker.region.valid.eq(gate.o.valid & both),
            jobs.i.valid.eq(gate.o.valid & both),
            walker.region.p.kind.eq(gate.o.p.buffer),
        ]
        m.d.comb += [walker.region.p[name].eq(gate.o.p[name]) for name in REGION_FIELDS]
        m.d.comb += [jobs.i.p[name].eq(gate.o.p[name]) for name in _SINK_FIELDS]

        kind = Signal(2, reset_less=True)
        with m.If(walker.region.valid & walker.region.ready):
            m.d.sync += kind.eq(walker.region.p.kind)
        fork = splitter.run.ready & runs.i.ready
        m.d.comb += [
            walker.run.ready.eq(fork),
            splitter.run.valid.eq(walker.run.valid & fork),
            splitter.run.p.eq(walker.run.p),
            runs.i.valid.eq(walker.run.valid & fork),
            runs.i.p.run.eq(walker.run.p),
            runs.i.p.buffer.eq(kind),
        ]

        unpackers = {}
        for buffer, size in sizes.items():
            unpacker = Unpacker(config.bus_bytes, size)
            m.submodules[f"unpacker_{buffer.name.lower()}"] = unpackers[buffer] = unpacker
        self._build_unpacking(m, runs, unpackers)
        self._build_sink(m, gate, jobs, unpackers)
        return m

    def _build_unpacking(self, m: Module, runs: Queue, unpackers: dict[Buffer, Unpacker]) -> None:
        """Give each beat to the unpacker of its run's buffer, without what is not the run's."""
        # The run under way: what its next beat is, and what of it belongs to the run.
        run = runs.o.p.run
        bus_bytes = self.config.bus_bytes
        active = Signal()
        beats = Countdown(len(run.beats), "beats")
        end = Signal(range(bus_bytes + 1), reset_less=True)
        skip = Signal(range(bus_bytes), reset_less=True)
        take = Signal(range(bus_bytes + 1), reset_less=True)
        kind = Signal(2, reset_less=True)
        ready = Signal()
        moved = self.beat.valid & self.beat.ready
        m.d.comb += [
            self.beat.ready.eq(active & ready),
            runs.o.ready.eq(~active | (moved & beats.last)),
        ]
        with m.If(moved):
            m.d.sync += [
                skip.eq(0),
                take.eq(Mux(beats.left == 1, end, bus_bytes)),
                *beats.advance(),
            ]
        with m.If(runs.o.ready):
            m.d.sync += [
                active.eq(runs.o.valid),
                *beats.load(run.beats),
                end.eq(run.end),
                skip.eq(run.skip),
                take.eq(Mux(run.beats == 1, run.end, bus_bytes) - run.skip),
                kind.eq(runs.o.p.buffer),
            ]
        for buffer, unpacker in unpackers.items():
            chosen = kind == buffer.value
            unit_shift = unpacker.unit_bytes.bit_length() - 1
            m.d.comb += [
                unpacker.i.valid.eq(self.beat.valid & active & chosen),
                unpacker.i.p.data.eq(self.beat.p),
                unpacker.i.p.skip.eq(skip >> unit_shift),
                unpacker.i.p.take.eq(take >> unit_shift),
            ]
            with m.If(chosen):
                m.d.comb += ready.eq(unpacker.i.ready)

    def _build_sink(
        self, m: Module, gate: TokenGate, jobs: Queue, unpackers: dict[Buffer, Unpacker]
    ) -> None:
        """Take the words of one instruction after the other into its buffer."""
        config = self.config
        lanes = config.post_lanes
        m.submodules.tiles = tiles = TileWriter(config)
        connect(m, unpackers[Buffer.ACT].o, tiles.word)

        # No instruction is under way. A register, since all that begins one waits for it: the end
        # of the one before, known late in its cycle, would have to reach all of that at once.
        idle = Signal(init=1)

        # The words of a region are counted. Those of weights and parameters go to successive
        # places; of the others the tile writer takes as many as its tile has. `takes` tell the
        # unpackers what `to` tell the counters: one register would stand between two places that
        # are far apart.
        to_weights, to_params = Signal(), Signal()
        takes_weights, takes_params = Signal(reset_less=True), Signal(reset_less=True)
        dest = Signal(24, reset_less=True)
        job: Any = Signal(jobs.o.p.shape(), reset_less=True)
        words, runs, planes = (
            Countdown(len(job[field]), name)
            for name, field in (("words", "run_words"), ("runs", "runs"), ("planes", "planes"))
        )
        weights, params = unpackers[Buffer.WEIGHT].o, unpackers[Buffer.PARAM].o
        weight_step = to_weights & weights.valid
        param_step = to_params & params.valid
        plain_step = weight_step | param_step
        tile_step = tiles.word.valid & tiles.word.ready
        step = plain_step | tile_step
        # The last word of all, known from a register as the ends of each level are.
        final = Signal(reset_less=True)
        finish = plain_step & final
        row_done = words.last & runs.last
        next_words = Mux(words.last, job.run_words == 1, words.left == 1)
        next_runs = Mux(row_done, job.runs == 1, Mux(words.last, runs.left == 1, runs.last))
        next_planes = Mux(row_done, planes.left == 1, planes.last)
        m.d.comb += [
            weights.ready.eq(takes_weights),
            params.ready.eq(takes_params),
        ]
        with m.If(step):
            m.d.sync += [
                dest.eq(dest + 1),
                final.eq(next_words & next_runs & next_planes),
                *words.advance(),
            ]
            with m.If(words.last):
                m.d.sync += [*words.load(job.run_words), *runs.advance()]
                with m.If(runs.last):
                    m.d.sync += [*runs.load(job.runs), *planes.advance()]
        with m.If(finish):
            m.d.sync += [one.eq(0) for one in (to_weights, to_params, takes_weights, takes_params)]
        with m.If(finish | tiles.finish):
            m.d.sync += idle.eq(1)

        # A tile that wants a word when its region is spent, or ends before that. `spent` is looked
        # at before it is cleared, and no LOAD is counted as loaded between.
        spent = Signal(reset_less=True)
        tile_ended = Signal()
        with m.If(tile_step & final):
            m.d.sync += spent.eq(1)
        with m.Elif(idle):
            m.d.sync += spent.eq(0)
        miscount_number = drive(m, self.miscount_number, "miscount_number_out")
        m.d.sync += [
            tile_ended.eq(tiles.finish),
            self.miscount.eq((tiles.word.ready & spent) | (tile_ended & ~spent)),
            miscount_number.eq(self.progress.loaded),
        ]

        kind = jobs.o.p.buffer
        m.d.comb += [
            tiles.job.valid.eq(jobs.o.valid & (kind == Buffer.ACT.value) & idle),
            jobs.o.ready.eq(idle),
        ]
        m.d.comb += [tiles.job.p[name].eq(jobs.o.p[name]) for name in TILE_JOB.members]
        # What is not used until a word is taken, is taken without regard to `valid`.
        with m.If(idle):
            m.d.sync += [
                idle.eq(~jobs.o.valid),
                job.eq(jobs.o.p),
                *(
                    one.eq(jobs.o.valid & (kind == buffer.value))
                    for buffer, pair in (
                        (Buffer.WEIGHT, (to_weights, takes_weights)),
                        (Buffer.PARAM, (to_params, takes_params)),
                    )
                    for one in pair
                ),
                dest.eq(jobs.o.p.dest),
                *words.load(jobs.o.p.run_words),
                *runs.load(jobs.o.p.runs),
                *planes.load(jobs.o.p.planes),
                final.eq((jobs.o.p.run_words == 1) & (jobs.o.p.runs == 1) & (jobs.o.p.planes == 1)),
            ]

        # The tile writer's lane group, delayed with its write.
        lane = Signal(8, reset_less=True)
        m.d.sync += lane.eq(job.lane)
        lane_shift = lanes.bit_length() - 1
        param_word = dest >> lane_shift
        act_addr, act_data, weight_addr, weight_data, param_addr, param_data, fault_addr = (
            drive(m, getattr(self, name), f"{name}_out")
            for name in (
                *("act_addr", "act_data", "weight_addr", "weight_data", "param_addr", "param_data"),
                "fault_addr",
            )
        )
        # The activation buffer is all over the chip: a cycle for the way. Its tokens take longer.
        for group in range(config.row_groups):
            m.d.sync += self.act_en[group].eq(tiles.enable & (lane == group))
        m.d.sync += [
            act_addr.eq(tiles.addr),
            act_data.eq(tiles.data),
            weight_addr.eq(dest),
            weight_data.eq(weights.p),
            self.weight_en.eq(weight_step),
            param_addr.eq(param_word),
            param_data.eq(params.p),
        ]
        for index in range(lanes):
            m.d.sync += self.param_en[index].eq(param_step & ((dest & (lanes - 1)) == index))
        m.d.sync += [
            self.done.eq(finish | tiles.finish),
            fault_addr.eq(Mux(tiles.enable, tiles.addr, dest)),
            self.fault.eq(
                (tiles.enable & (tiles.addr >= config.act_depth))
                | (weight_step & (dest >= config.weight_depth))
                | (param_step & (dest >= config.param_depth))
            ),
        ]

        with m.If(plain_step | tiles.busy):
            m.d.comb += self.state.eq(LoadState.BUSY)
        with m.Elif(~idle | jobs.o.valid):
            m.d.comb += self.state.eq(LoadState.WAIT_MEMORY)
        with m.Elif(gate.waiting[0]):
            m.d.comb += self.state.eq(LoadState.WAIT_COMPUTE)
        with m.Elif(gate.waiting[1:].any()):
            m.d.comb += self.state.eq(LoadState.WAIT_STORE)
