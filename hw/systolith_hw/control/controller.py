"""The controller: starts and ends programs, keeps the tokens, and turns faults into a status."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.layouts import COUNTER_BITS, PROGRESS_LAYOUT, address_bits
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import Engine, ErrorCode
from systolith_hw.spec.timing import SETTLE

__all__ = ["FAULTS", "Controller"]

FAULTS = (
    ("fetch_protocol", ErrorCode.PROTOCOL, Engine.FETCH),
    ("load_protocol", ErrorCode.PROTOCOL, Engine.LOAD),
    ("store_protocol", ErrorCode.PROTOCOL, Engine.STORE),
    ("illegal", ErrorCode.ILLEGAL, Engine.FETCH),
    ("fetch_address", ErrorCode.ADDRESS, Engine.FETCH),
    ("load_address", ErrorCode.ADDRESS, Engine.LOAD),
    ("store_address", ErrorCode.ADDRESS, Engine.STORE),
    ("fetch_bus", ErrorCode.BUS, Engine.FETCH),
    ("load_bus", ErrorCode.BUS, Engine.LOAD),
    ("store_bus", ErrorCode.BUS, Engine.STORE),
    ("load_buffer", ErrorCode.BUFFER, Engine.LOAD),
    ("compute_buffer", ErrorCode.BUFFER, Engine.COMPUTE),
    ("store_buffer", ErrorCode.BUFFER, Engine.STORE),
    ("load_count", ErrorCode.COUNT, Engine.LOAD),
    ("store_count", ErrorCode.COUNT, Engine.STORE),
)
"""The faults that hardware reports, the first of a cycle winning: name, code, engine."""

INFO_GROUP = 4
"""Faults among which one cycle finds the first one's ERROR_INFO."""


class Controller(wiring.Component):
    """Runs a program from ``start`` until all of it is done, or a fault or the watchdog ends it.

    It ends when every instruction is finished, nothing is outstanding on the bus and every engine
    is at rest. An engine that is not at rest when a program starts, or is still not when all
    pipelines must be empty, holds something that belongs to no program: the fault LEFTOVER.

    At most three cycles after a fault, nothing more is issued. ``reset_request``, at
    any time, waits until nothing is outstanding on the bus (or, where the memory broke the bus's
    protocol, for PATIENCE cycles) and holds the engines in reset long enough for their pipelines to
    empty. A ``start`` counts only when idle and without a reset.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start, reset_request : In, pulses
    count : In, instructions of the program that starts
    watchdog : In, cycles without activity that count as a fault; 0 for no limit
    fetched : In
    dispatched : In, pulses: LOAD, CONV, STORE handed to its queue
    finished : In, pulses for each of the counters
    activity : In, an engine made progress in this cycle
    quiet : In, nothing outstanding on the bus
    rest : In, a bit for each Engine: it holds nothing
    broken : In, the memory has broken the bus's protocol: `quiet` is no longer valid
    faults : In, pulses, one for each of :data:`FAULTS`
    infos : In, ERROR_INFO for each of them
    running, done, failed, resetting : Out
    fetching : Out, a cycle ago the program had instructions that were not handed out
    begin : Out, pulse: a program starts
    end : Out, pulse: it ended, or failed
    halt : Out
    engine_reset : Out
    progress : Out, :data:`PROGRESS_LAYOUT`
    stores_pending : Out
    error_code, error_engine, error_info : Out
    """

    start: Signal
    reset_request: Signal
    count: Signal
    watchdog: Signal
    fetched: Signal
    dispatched: Signal
    finished: Signal
    activity: Signal
    quiet: Signal
    rest: Signal
    broken: Signal
    faults: Signal
    infos: Any
    running: Signal
    done: Signal
    failed: Signal
    resetting: Signal
    fetching: Signal
    begin: Signal
    end: Signal
    halt: Signal
    engine_reset: Signal
    progress: Any
    stores_pending: Signal
    error_code: Signal
    error_engine: Signal
    error_info: Signal

    RESET_TRAVEL = 16
    """Cycles for ``engine_reset`` to reach the last engine, and as many for it to end there."""

    PATIENCE = 1 << 12
    """Cycles that a reset waits for late beats of a memory that broke the protocol."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        # An address, or an instruction's number.
        info_bits = max(address_bits(config), 32)
        super().__init__(
            {
                "start": In(1),
                "reset_request": In(1),
                "count": In(32),
                "watchdog": In(32),
                "fetched": In(32),
                "dispatched": In(3),
                "finished": In(len(PROGRESS_LAYOUT.members)),
                "activity": In(1),
                "quiet": In(1),
                "rest": In(len(Engine)),
                "broken": In(1),
                "faults": In(len(FAULTS)),
                "infos": In(data.ArrayLayout(info_bits, len(FAULTS))),
                "running": Out(1),
                "done": Out(1),
                "failed": Out(1),
                "resetting": Out(1),
                "fetching": Out(1),
                "begin": Out(1),
                "end": Out(1),
                "halt": Out(1),
                "engine_reset": Out(1),
                "progress": Out(PROGRESS_LAYOUT),
                "stores_pending": Out(1),
                "error_code": Out(ErrorCode),
                "error_engine": Out(Engine),
                "error_info": Out(info_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # No pipeline is longer than an array's diagonal and the post-processing behind it.
        hold = 2 * (self.config.rows + self.config.cols) + 128 + self.RESET_TRAVEL
        held = Signal(range(hold + 1))
        patience = Signal(range(self.PATIENCE + 1), init=self.PATIENCE)
        broken = Signal()
        idle_cycles = Signal(32)

        # The host may write the next program's count while this one runs.
        count = Signal.like(self.count, reset_less=True)
        with m.If(self.begin):
            m.d.sync += count.eq(self.count)
        # Signals from all over the accelerator take a cycle to get here.
        fetched = Signal()
        dispatched = Signal(len(self.dispatched))
        activity = Signal()
        m.d.sync += [
            fetched.eq(self.fetched == count),
            dispatched.eq(self.dispatched),
            activity.eq(self.activity),
            broken.eq(self.broken),
        ]

        names = list(PROGRESS_LAYOUT.members)
        progress = {name: Signal(COUNTER_BITS, name=name) for name in names}
        for index, name in enumerate(names):
            with m.If(self.finished[index]):
                m.d.sync += progress[name].eq(progress[name] + 1)
            m.d.comb += self.progress[name].eq(progress[name])
        # To compare counts takes too long: their difference is counted, and it is known to be 0.
        open_work = {name: Signal(COUNTER_BITS, name=f"open_{name}") for name in names}
        settled = {name: Signal(init=1, name=f"settled_{name}") for name in names}
        queues = {"loaded": 0, "computed": 1, "drained": 2, "stored": 2}
        for index, name in enumerate(names):
            came, went = dispatched[queues[name]], self.finished[index]
            with m.If(came & ~went):
                m.d.sync += open_work[name].eq(open_work[name] + 1)
                m.d.sync += settled[name].eq(open_work[name].all())
            with m.Elif(went & ~came):
                m.d.sync += open_work[name].eq(open_work[name] - 1)
                m.d.sync += settled[name].eq(open_work[name] == 1)
        finished = Signal()
        counted = Signal()
        complete = Signal()
        m.d.comb += finished.eq(fetched & Cat(settled.values()).all() & self.quiet)
        m.d.sync += [
            counted.eq(finished),
            complete.eq(finished & self.rest.all()),
            self.stores_pending.eq(dispatched[2] | ~settled["stored"]),
        ]

        expired = (self.watchdog != 0) & (idle_cycles >= self.watchdog)
        m.d.sync += idle_cycles.eq(Mux(activity | ~self.running, 0, idle_cycles + 1))

        # Faults are pulses: one cycle gathers them, the next one finds the first of them.
        leftover = Signal()
        sources = [(code, engine) for _, code, engine in FAULTS]
        sources += [(ErrorCode.LEFTOVER, engine) for engine in Engine]
        sources.append((ErrorCode.WATCHDOG, Engine.FETCH))
        faults = Signal(len(sources))
        # Any of those from outside. The path to the end of a program is too long for them all.
        reported = Signal()
        infos: Any = Signal(self.infos.shape(), reset_less=True)
        m.d.sync += [
            faults.eq(Cat(self.faults, Mux(leftover, ~self.rest, 0)[: len(Engine)], expired)),
            reported.eq(self.faults.any()),
            infos.eq(self.infos),
        ]
        failing = reported | faults[len(FAULTS) :].any()
        fails = Signal()
        winners = [fault & ~faults[:index].any() for index, fault in enumerate(faults)]
        first = Signal(len(faults))
        m.d.sync += [first.eq(Cat(winners)), fails.eq(failing)]
        # ERROR_INFO comes from all over the accelerator: the first of each group in this cycle,
        # that of the first group in the next one.
        info = Signal(len(self.error_info))
        groups = range(0, len(FAULTS), INFO_GROUP)
        hits = Signal(len(groups), reset_less=True)
        parts = []
        for number, begin in enumerate(groups):
            own = faults[begin : min(begin + INFO_GROUP, len(FAULTS))]
            part = Signal(len(info), name=f"info_{number}", reset_less=True)
            chosen = (
                Mux(fault & ~own[:index].any(), infos[begin + index], 0)
                for index, fault in enumerate(own)
            )
            m.d.sync += [hits[number].eq(own.any()), part.eq(reduce(or_, chosen))]
            parts.append(Mux(hits[number] & ~hits[:number].any(), part, 0))
        m.d.comb += info.eq(reduce(or_, parts))

        settle = Signal(range(SETTLE + 1))
        with m.FSM() as fsm:
            m.d.comb += [
                self.running.eq(fsm.ongoing("RUN")),
                self.resetting.eq(fsm.ongoing("DRAIN") | fsm.ongoing("RESET")),
                self.failed.eq(fsm.ongoing("FAILED")),
                self.fetching.eq(self.running & ~fetched),
            ]
            # These two are read all over the accelerator.
            m.d.sync += [
                self.halt.eq(fsm.ongoing("FAILED") | fsm.ongoing("DRAIN")),
                self.engine_reset.eq(fsm.ongoing("RESET") & (held > self.RESET_TRAVEL)),
            ]
            with m.State("IDLE"):  # until a start or a reset
                with m.If(self.reset_request):
                    m.next = "DRAIN"
                with m.Elif(self.start):
                    m.d.comb += [self.begin.eq(1), leftover.eq(1)]
                    m.d.sync += [
                        held.eq(hold),
                        self.done.eq(0),
                        self.error_code.eq(ErrorCode.NONE),
                        self.error_info.eq(0),
                        settle.eq(SETTLE),
                    ]
                    counts = (*progress.values(), *open_work.values())
                    m.d.sync += [signal.eq(0) for signal in counts]
                    m.d.sync += [signal.eq(1) for signal in settled.values()]
                    m.next = "RUN"
            with m.State("RUN"):  # until everything is done, a fault, or a reset
                # All is done, but an engine is not at rest: only pipelines may still be emptying.
                emptying = counted & ~complete & (settle == 0)
                m.d.sync += held.eq(Mux(emptying, held - 1, hold))
                m.d.comb += leftover.eq(held == 0)
                # Until then `counted` and `complete` may still be those of the program before.
                with m.If(settle != 0):
                    m.d.sync += settle.eq(settle - 1)
                with m.Elif(complete & ~failing):
                    m.d.comb += self.end.eq(1)
                    m.d.sync += self.done.eq(1)
                    m.next = "IDLE"
                with m.If(fails):
                    m.d.comb += self.end.eq(1)
                    m.d.sync += [self.done.eq(0), self.error_info.eq(info)]
                    for index, (code, engine) in enumerate(sources):
                        with m.If(first[index]):
                            m.d.sync += [self.error_code.eq(code), self.error_engine.eq(engine)]
                    m.next = "FAILED"
                with m.If(self.reset_request):
                    m.next = "DRAIN"
            with m.State("FAILED"):  # until a reset
                with m.If(self.reset_request):
                    m.next = "DRAIN"
            with m.State("DRAIN"):  # until nothing is outstanding on the bus
                m.d.sync += held.eq(hold)
                with m.If(broken):  # the outstanding transfers are unknown: a fixed time
                    m.d.sync += patience.eq(patience - 1)
                    with m.If(patience == 0):
                        m.next = "RESET"
                with m.Elif(self.halt & self.quiet):
                    m.next = "RESET"
            with m.State("RESET"):  # until the pipelines are empty
                m.d.sync += [held.eq(held - 1), self.done.eq(0), patience.eq(self.PATIENCE)]
                with m.If(held == 0):
                    m.next = "IDLE"
        return m
