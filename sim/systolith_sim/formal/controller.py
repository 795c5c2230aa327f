"""The end of a program: DONE means that all is finished and everything at rest."""

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Signal

from systolith_hw.control.controller import Controller
from systolith_hw.interface.layouts import COUNTER_BITS
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import ErrorCode
from systolith_hw.spec.timing import SETTLE
from systolith_sim.formal.prove import Specification

__all__ = ["ControllerSpecification"]

_HANDED = {"loaded": 0, "computed": 1, "drained": 2, "stored": 2}
"""Which of LOAD, CONV and STORE each counter counts."""


class ControllerSpecification(Specification):
    """The rules of a program's end, for any engines that keep to what is assumed here.

    When ``done`` rises, fetch has handed out as many instructions as the program has, each of them
    is finished and counted, every engine is at rest, nothing is outstanding on the bus, and no
    error is reported. A program in which a fault came before its last cycle, or that began while
    an engine was not at rest, is never done.

    Of the engines, whose signals are otherwise free, this is assumed:

    - Fetch hands out at most one instruction per cycle, none in the cycle of the start, and no more
      than the program has; ``fetched`` says how many.
    - An instruction is finished once, after it was handed out. (After leftovers of an earlier
      program nothing is assumed.)
    - If all instructions are handed out and finished, every engine is at rest and the bus quiet,
      then that stays so until the next start.

    Parameters
    ----------
    dut : Controller
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    DEPTH = 3

    seen_count: Any
    seen_fetched: Any
    seen_dispatched: Any
    seen_complete: Any
    seen_settle: Any
    seen_reported: Any
    seen_fails: Any

    def __init__(self, dut: Controller, config: AcceleratorConfig, *, inside: bool = True) -> None:
        self.dut = dut
        bits = {
            "count": 32,
            "fetched": 1,
            "dispatched": 3,
            "complete": 1,
            "settle": SETTLE.bit_length(),
            "reported": 1,
            "fails": 1,
            **{f"open_{name}": COUNTER_BITS for name in _HANDED},
            **{f"settled_{name}": 1 for name in _HANDED},
        }
        probes = {f"seen_{name}": (f"dut.{name}", width) for name, width in bits.items()}
        super().__init__(probes=probes, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.dut
        self.place(m, dut)
        # Of the program since its start: instructions in all, handed out, and not finished.
        self.count, self.handed = Signal(32), Signal(32)
        under_way = {name: Signal(COUNTER_BITS, name=f"under_way_{name}") for name in _HANDED}
        self.gone = {name: Signal(COUNTER_BITS, name=f"gone_{name}") for name in _HANDED}
        # An engine was not at rest at its start, or a fault came since.
        self.dirty = Signal()
        for index, (name, kind) in enumerate(_HANDED.items()):
            gone, came, went = self.gone[name], dut.dispatched[kind], dut.finished[index]
            m.d.sync += [gone.eq(gone + went), under_way[name].eq(under_way[name] + came - went)]
        handing = dut.dispatched.any()
        m.d.sync += [
            self.handed.eq(self.handed + handing),
            self.dirty.eq(self.dirty | dut.faults.any()),
        ]
        with m.If(dut.begin):
            m.d.sync += [self.count.eq(dut.count), self.handed.eq(0)]
            m.d.sync += [signal.eq(0) for signal in (*under_way.values(), *self.gone.values())]
            m.d.sync += self.dirty.eq(~dut.rest.all() | dut.faults.any())
        self.finished = ~Cat(under_way.values()).any()
        still = (self.handed == self.count) & self.finished & dut.rest.all() & dut.quiet
        before, was_done = Signal(), Signal()
        m.d.sync += [before.eq(still & ~dut.begin), was_done.eq(dut.done)]
        one = Cat(dut.dispatched == 1 << kind for kind in range(3)).any()
        may_hand = dut.running & (self.handed != self.count) & one
        m.d.comb += [
            Assume(~handing | may_hand, "fetch hands out the program"),
            Assume(dut.fetched == self.handed, "fetch counts"),
            Assume(~before | (dut.rest.all() & dut.quiet), "what is at rest stays so"),
        ]
        for index, (name, value) in enumerate(under_way.items()):
            known = ~dut.running | self.dirty | (value != 0)
            full = ~dut.dispatched[_HANDED[name]] | ~value.all()
            m.d.comb += [
                Assume(~dut.finished[index] | known, "what was handed out is finished once"),
                Assume(full, "counters tell all that is under way"),
            ]
        rises = dut.done & ~was_done
        progress = [dut.progress[name] == gone for name, gone in self.gone.items()]
        m.d.comb += [
            Assert(~rises | (self.handed == self.count), "all was handed out"),
            Assert(~rises | self.finished, "all is finished"),
            Assert(~rises | Cat(progress).all(), "all is counted"),
            Assert(~rises | dut.rest.all(), "every engine is at rest"),
            Assert(~rises | dut.quiet, "nothing is outstanding"),
            Assert(~rises | (dut.error_code == ErrorCode.NONE), "there is no error"),
        ]
        # A fault in the very cycle of the end is one of whatever comes then.
        dirty = Signal()
        m.d.sync += dirty.eq(self.dirty)
        m.d.comb += Assert(~rises | ~dirty, "a program with a fault is not done")
        if self.inside:
            self._judge_inside(m, under_way)
        return m

    def _judge_inside(self, m: Module, under_way: Any) -> None:
        dut, settle = self.dut, self.seen_settle
        clean = dut.running & ~self.dirty
        began = Signal()
        m.d.sync += began.eq(dut.begin)
        # What the controller says of the program before is gone when these have passed.
        known, sure = settle <= SETTLE - 1, settle <= SETTLE - 2
        m.d.comb += [
            Assert(settle <= SETTLE, "the time to settle is known"),
            Assert((settle == SETTLE) == began, "it begins with the program"),
            Assert(~began | dut.running, "a program begins to run"),
            Assert(~dut.running | (self.seen_count == self.count), "the count is kept"),
            Assert(~dut.running | (dut.error_code == ErrorCode.NONE), "no error is reported"),
            Assert(~dut.running | ~dut.done, "a program that runs is not done"),
            Assert(
                ~(dut.running & self.dirty & ~began) | self.seen_reported | self.seen_fails,
                "a fault is about to end the program",
            ),
            Assert(
                ~(dut.running & known & self.seen_fetched)
                | ((self.handed == self.count) & ~self.seen_dispatched.any()),
                "all was handed out",
            ),
            Assert(
                ~(clean & sure & self.seen_complete)
                | ((self.handed == self.count) & self.finished & dut.rest.all() & dut.quiet),
                "all is complete",
            ),
        ]
        for name, value in under_way.items():
            seen, settled = (getattr(self, f"seen_{stem}_{name}") for stem in ("open", "settled"))
            soon = self.seen_dispatched[_HANDED[name]]
            m.d.comb += [
                Assert(settled == (seen == 0), f"that all {name} is finished is known"),
                Assert(~clean | ((seen + soon)[:COUNTER_BITS] == value), f"open {name} is known"),
                Assert(~clean | (dut.progress[name] == self.gone[name]), f"{name} is counted"),
            ]
