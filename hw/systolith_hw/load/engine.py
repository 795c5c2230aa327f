"""The load engine: moves regions of external memory into the on-chip buffers."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.bus.bursts import BurstSplitter, RegionWalker
from systolith_hw.interface.buffers import SINK_JOB, BufferWrite, buffer_shape
from systolith_hw.interface.bus_layouts import burst_layout, run_layout
from systolith_hw.interface.engine import EngineStatus, LoadState
from systolith_hw.interface.gather import Gathering
from systolith_hw.interface.layouts import PROGRESS_LAYOUT, instruction_layout
from systolith_hw.load.active import ActiveRuns
from systolith_hw.load.linear import LinearWriter
from systolith_hw.load.nibbles import weight_writer
from systolith_hw.load.scan import ScanWriter
from systolith_hw.load.table import TableWriter
from systolith_hw.load.tiles import TileWriter
from systolith_hw.load.units import RING_FIELDS
from systolith_hw.primitives.countdown import Countdown
from systolith_hw.primitives.register import drive
from systolith_hw.primitives.walk import Level, walk
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import REGION_FIELDS, Buffer, Opcode, buffers_of
from systolith_hw.spec.legal import word_bytes
from systolith_hw.spec.timing import LOAD_JOBS, LOAD_RUNS
from systolith_hw.stream.gate import TokenGate
from systolith_hw.stream.gearbox import Unpacker
from systolith_hw.stream.queue import Queue

__all__ = ["LoadEngine"]


def _job_fields(config: AcceleratorConfig) -> tuple[str, ...]:
    """Return the fields of a LOAD that the side of the sinks needs."""
    gathering = ("scan", *RING_FIELDS.members) if config.gather else ()
    nibbles = ("nibbles",) if config.nibbles else ()
    return (*SINK_JOB.members, "buffer", "run_words", "runs", *gathering, *nibbles)


class LoadEngine(wiring.Component):
    """Requests data ahead, instruction after instruction, and takes it in order as it arrives.

    A LOAD waits for its tokens before its first burst is issued, and is finished when its last word
    is in its buffer. Data flows at one bus beat or word per cycle, whichever is narrower,
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
    act, weight, param : Out, the buffers' write sides
    table : Out, only with ``functions``: the tables' write side
    status : Out, done with every LOAD whose last word is on its way into its buffer
    gathering : Out, only with ``gather``: :class:`Gathering`
    """

    load: stream.Interface
    progress: Any
    burst: stream.Interface
    beat: stream.Interface
    act: Any
    weight: Any
    param: Any
    table: Any
    status: Any
    gathering: Any

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "load": In(stream.Signature(instruction_layout(Opcode.LOAD, config))),
                "progress": In(PROGRESS_LAYOUT),
                "burst": Out(stream.Signature(burst_layout(config))),
                "beat": In(stream.Signature(config.bus_bytes * 8)),
                "act": Out(BufferWrite(buffer_shape(Buffer.ACT, config))),
                "weight": Out(BufferWrite(buffer_shape(Buffer.WEIGHT, config))),
                "param": Out(BufferWrite(buffer_shape(Buffer.PARAM, config))),
                **(
                    {"table": Out(BufferWrite(buffer_shape(Buffer.TABLE, config)))}
                    if config.functions
                    else {}
                ),
                "status": Out(EngineStatus(LoadState, regions=True)),
                **({"gathering": Out(Gathering())} if config.gather else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        sizes = {buffer: word_bytes(buffer, config) for buffer in buffers_of(config)}
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
        job_fields = _job_fields(config)
        queued_job = data.StructLayout({name: fields[name].shape for name in job_fields})
        m.submodules.jobs = jobs = Queue(queued_job, LOAD_JOBS)
        connect(m, flipped(self.load), gate.i)
        connect(m, splitter.burst, flipped(self.burst))

        # An instruction goes to the side that requests data and to the side that stores it.
        both = walker.region.ready & jobs.i.ready
        m.d.comb += [
            gate.progress.eq(self.progress),
            gate.o.ready.eq(both),
            walker.region.valid.eq(gate.o.valid & both),
            jobs.i.valid.eq(gate.o.valid & both),
            walker.region.p.kind.eq(gate.o.p.buffer),
        ]
        m.d.comb += [walker.region.p[name].eq(gate.o.p[name]) for name in REGION_FIELDS]
        m.d.comb += [jobs.i.p[name].eq(gate.o.p[name]) for name in job_fields]

        kind = Signal(2, reset_less=True)
        with m.If(walker.region.valid & walker.region.ready):
            m.d.sync += kind.eq(walker.region.p.kind)
        source, filter_ = walker.run, None
        if config.gather:
            m.submodules.active_runs = filter_ = ActiveRuns(config)
            connect(m, walker.run, filter_.i)
            m.d.comb += [
                filter_.begin.eq(walker.region.valid & walker.region.ready),
                filter_.gather.eq(gate.o.p.gather),
                filter_.units.eq(gate.o.p.units),
                filter_.free.eq(self.gathering.free),
            ]
            source = filter_.o
        fork = splitter.run.ready & runs.i.ready
        m.d.comb += [
            source.ready.eq(fork),
            splitter.run.valid.eq(source.valid & fork),
            splitter.run.p.eq(source.p),
            runs.i.valid.eq(source.valid & fork),
            runs.i.p.run.eq(source.p),
            runs.i.p.buffer.eq(kind),
        ]

        unpackers = {}
        for buffer in (Buffer.ACT, Buffer.WEIGHT, Buffer.PARAM):
            size = sizes[buffer]
            unpacker = Unpacker(config.bus_bytes, size)
            m.submodules[f"unpacker_{buffer.name.lower()}"] = unpackers[buffer] = unpacker
        active = self._build_unpacking(m, runs, unpackers)
        idle = self._build_sinks(m, gate, jobs, unpackers, filter_)
        m.d.sync += self.status.rest.eq(
            Cat(
                gate.i.ready,
                walker.region.ready,
                ~splitter.burst.valid,
                runs.empty,
                ~active,
                *(unpacker.empty for unpacker in unpackers.values()),
                jobs.empty,
                idle,
            ).all()
        )
        return m

    def _build_unpacking(self, m: Module, runs: Queue, unpackers: dict[Buffer, Unpacker]) -> Signal:
        """Give each beat to the unpacker of its run's buffer, without the bytes of other runs.

        Returns whether a run is under way.
        """
        # The current run: its next beat, and the part of that beat that belongs to it.
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
            if self.config.functions and buffer is Buffer.PARAM:  # a table's words are of its size
                chosen |= kind == Buffer.TABLE.value
            unit_shift = unpacker.unit_bytes.bit_length() - 1
            m.d.comb += [
                unpacker.i.valid.eq(self.beat.valid & active & chosen),
                unpacker.i.p.data.eq(self.beat.p),
                unpacker.i.p.skip.eq(skip >> unit_shift),
                unpacker.i.p.take.eq(take >> unit_shift),
            ]
            with m.If(chosen):
                m.d.comb += ready.eq(unpacker.i.ready)
        return active

    def _build_sinks(
        self,
        m: Module,
        gate: TokenGate,
        jobs: Queue,
        unpackers: dict[Buffer, Unpacker],
        filter_: ActiveRuns | None,
    ) -> Signal:
        """Let the words of one instruction after the other flow into its buffer's sink.

        Returns whether no instruction is under way.
        """
        config = self.config
        # Each with the unpacker whose words it takes, and the condition of its jobs.
        first = jobs.o.p
        weights: Any = weight_writer(config)
        if config.nibbles:
            m.d.comb += weights.nibbles.eq(first.nibbles)
        uses: dict[str, tuple[Any, Buffer, Any]] = {
            "act": (TileWriter(config), Buffer.ACT, first.buffer == Buffer.ACT.value),
            "weight": (weights, Buffer.WEIGHT, first.buffer == Buffer.WEIGHT.value),
            "param": (
                LinearWriter(Buffer.PARAM, config),
                Buffer.PARAM,
                first.buffer == Buffer.PARAM.value,
            ),
        }
        if config.gather:
            scans = uses["act"][2] & first.scan
            uses["act"] = (*uses["act"][:2], uses["act"][2] & ~first.scan)
            uses["scan"] = (ScanWriter(config), Buffer.ACT, scans)
        if config.functions:
            table = first.buffer == Buffer.TABLE.value
            uses["table"] = (TableWriter(config), Buffer.PARAM, table)
        # There is no current instruction. This is a register, since everything that begins one
        # waits for it: the end of the one before is known late in its cycle, and would have to
        # reach all of that.
        idle = Signal(init=1)
        # The last word of a region, known from a register.
        final = Signal(reset_less=True)
        m.d.comb += jobs.o.ready.eq(idle)
        takers: dict[Buffer, list[Any]] = {}
        for name, (sink, source, chosen) in uses.items():
            m.submodules[f"sink_{name}"] = sink
            takers.setdefault(source, []).append(sink)
            m.d.comb += [
                sink.job.valid.eq(jobs.o.valid & chosen & idle),
                sink.last.eq(final),
            ]
            m.d.comb += [sink.job.p[name].eq(jobs.o.p[name]) for name in SINK_JOB.members]
        for source, those in takers.items():
            words = unpackers[source].o
            if len(those) == 1:
                connect(m, words, those[0].word)
                continue
            for sink in those:
                m.d.comb += [sink.word.valid.eq(words.valid), sink.word.p.eq(words.p)]
            m.d.comb += words.ready.eq(Cat(sink.word.ready for sink in those).any())
        sinks = {name: sink for name, (sink, _, _) in uses.items()}
        self._build_writes(m, sinks)
        if filter_ is not None:
            scan, weights = sinks["scan"], sinks["weight"]
            connect(m, scan.mask, filter_.mask)
            m.d.comb += [weights.ring[name].eq(first[name]) for name in RING_FIELDS.members]
            m.d.comb += [
                filter_.asked.eq(gate.o.valid & gate.o.ready & gate.o.p.scan),
                filter_.done.eq(scan.finish),
                self.gathering.active.eq(scan.active),
                self.gathering.complete.eq(weights.complete),
            ]
        taken = Cat(sink.taken for sink in sinks.values()).any()
        finish = Cat(sink.finish for sink in sinks.values()).any()
        with m.If(finish):
            m.d.sync += idle.eq(1)

        # The words of a region are counted, whichever sink takes them.
        counts = {name: first[name] for name in ("run_words", "runs", "planes")}
        if config.gather:
            # Of a gathering region's runs the active ones come.
            active = self.gathering.active.inputs
            counts["runs"] = Mux(first.gather, active, counts["runs"])
        sizes: Any = Signal(
            data.StructLayout({name: len(jobs.o.p[name]) for name in ("run_words", "runs")}),
            reset_less=True,
        )
        words, runs, planes = (
            Countdown(len(jobs.o.p[field]), name)
            for name, field in (("words", "run_words"), ("runs", "runs"), ("planes", "planes"))
        )
        row_done = words.last & runs.last
        next_words = Mux(words.last, sizes.run_words == 1, words.left == 1)
        next_runs = Mux(row_done, sizes.runs == 1, Mux(words.last, runs.left == 1, runs.last))
        next_planes = Mux(row_done, planes.left == 1, planes.last)
        if config.gather:
            m.d.comb += sinks["weight"].run_last.eq(words.last)
        with m.If(taken):
            m.d.sync += final.eq(next_words & next_runs & next_planes)
            walk(
                m,
                [Level.counted(words, sizes.run_words), Level.counted(runs, sizes.runs)],
                end=planes.advance(),
            )
        # Nothing reads these before a word is taken, so they load the payload, valid or not.
        with m.If(idle):
            m.d.sync += [
                idle.eq(~jobs.o.valid),
                sizes.run_words.eq(counts["run_words"]),
                sizes.runs.eq(counts["runs"]),
                *words.load(counts["run_words"]),
                *runs.load(counts["runs"]),
                *planes.load(counts["planes"]),
                final.eq(
                    (counts["run_words"] == 1) & (counts["runs"] == 1) & (counts["planes"] == 1)
                ),
            ]

        # A miscount: a sink wants a word after its region is spent, or ends before it is. `spent`
        # is read before it is cleared, and no LOAD counts as loaded in between.
        spent = Signal(reset_less=True)
        ended = Signal()
        with m.If(taken & final):
            m.d.sync += spent.eq(1)
        with m.Elif(idle):
            m.d.sync += spent.eq(0)
        wants = Cat(sink.word.ready for sink in sinks.values()).any()
        status = self.status
        miscount_number = drive(m, status.miscount_number, "miscount_number_out")
        fault_addr = drive(m, status.fault_addr, "fault_addr_out")
        m.d.sync += [
            ended.eq(finish),
            status.miscount.eq((wants & spent) | (ended & ~spent)),
            miscount_number.eq(self.progress.loaded),
            status.done.eq(finish),
            status.fault.eq(Cat(sink.fault for sink in sinks.values()).any()),
        ]
        for sink in sinks.values():
            with m.If(sink.fault):
                m.d.sync += fault_addr.eq(sink.fault_addr)

        with m.If(Cat(sink.busy for sink in sinks.values()).any()):
            m.d.comb += status.state.eq(LoadState.BUSY)
        if filter_ is not None:
            with m.Elif(filter_.waits):
                m.d.comb += status.state.eq(LoadState.WAIT_COMPUTE)
        with m.Elif(~idle | jobs.o.valid):
            m.d.comb += status.state.eq(LoadState.WAIT_MEMORY)
        with m.Elif(gate.waiting[0]):
            m.d.comb += status.state.eq(LoadState.WAIT_COMPUTE)
        with m.Elif(gate.waiting[1:].any()):
            m.d.comb += status.state.eq(LoadState.WAIT_STORE)
        return idle

    def _build_writes(self, m: Module, sinks: dict[str, Any]) -> None:
        """Connect each sink's writes with its buffer; two sinks write activations."""
        connect(m, sinks["weight"].write, flipped(self.weight))
        connect(m, sinks["param"].write, flipped(self.param))
        if self.config.functions:
            connect(m, sinks["table"].write, flipped(self.table))
        tiles = sinks["act"].write
        if not self.config.gather:
            connect(m, tiles, flipped(self.act))
            return
        scans = sinks["scan"].write
        addr = drive(m, self.act.addr, "act_addr_out")
        value = drive(m, self.act.data, "act_data_out")
        chosen = scans.en.any()
        m.d.sync += [
            addr.eq(Mux(chosen, scans.addr, tiles.addr)),
            value.as_value().eq(Mux(chosen, scans.data.as_value(), tiles.data.as_value())),
            self.act.en.eq(scans.en | tiles.en),
        ]
