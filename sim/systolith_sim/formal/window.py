"""No deadlock: any short legal program comes to its end, with the real queues and token gates."""

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.asserts import AnyConst, AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal
from amaranth.lib import data

from systolith_hw.interface.layouts import PROGRESS_LAYOUT
from systolith_hw.spec.isa import COUNTERS, FIELDS, Opcode, Role
from systolith_hw.stream.deal import deal
from systolith_hw.stream.gate import TokenGate
from systolith_hw.stream.queue import Queue
from systolith_sim.formal.prove import Specification

__all__ = ["WindowSpecification"]

_GATES = {
    "load": (Opcode.LOAD, ("after_computed", "after_drained", "after_stored")),
    "weight": (Opcode.CONV, ("after_loaded_weight",)),
    "pixel": (Opcode.CONV, ("after_loaded_act", "after_drained")),
    "store": (Opcode.STORE, ("after_computed", "after_loaded")),
}
"""The token gates, and the fields that each waits for."""
_RAISED: dict[str, Opcode] = dict(
    zip(COUNTERS, (Opcode.LOAD, Opcode.CONV, Opcode.STORE, Opcode.STORE), strict=True)
)
"""The instructions that each progress counter counts."""


class WindowSpecification(Specification):
    """Every legal program of a few instructions is finished within 40 cycles.

    Queues, token gates and the dealing of CONVs to two gates are the gateware's. The rest is
    modelled:

    - Fetch offers the next instruction when the one before is taken, in program order, each to the
      queue of its kind. An instruction waits for earlier ones only; that is what fetch checks.
    - An engine takes one instruction at a time, and the next when that one has left. A LOAD takes 1
      to `latency` cycles, as do the weights of a CONV, its pixels once the weights are there, the
      drain of a STORE once the words of the one before are written, and the writing of its words.
      Each cycle may be the last: memory and engines are fair and otherwise free.
    - The counters count in the cycle after an instruction is finished.

    Parameters
    ----------
    length : int
        Instructions of the program, at most.
    depth : int
        Of each queue.
    latency : int
        Cycles that an engine takes at most, for each of the steps above.
    parts : mapping of str to callable, optional
        Other ``Queue``, ``TokenGate`` or ``deal`` than the gateware's.
    later : int
        How many later instructions of a kind a program may wait for, too: then it is not legal.
    """

    DEPTH = 42
    """Of the search from the start: no program takes longer, and nothing is induced."""

    def __init__(
        self,
        length: int,
        depth: int,
        latency: int,
        parts: Mapping[str, Callable[..., Any]] | None = None,
        *,
        later: int = 0,
    ) -> None:
        self.length = length
        self.depth = depth
        self.latency = latency
        self.later = later
        self.parts = {"Queue": Queue, "TokenGate": TokenGate, "deal": deal, **(parts or {})}
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        deadline = self.DEPTH - 2
        self.progress: Any = Signal(PROGRESS_LAYOUT)
        count = Signal(range(self.length + 1))
        handed = {
            kind: Signal(range(self.length + 1), name=f"handed_{kind.name}") for kind in Opcode
        }
        queues = self._build_fetch(m, count, handed)
        self._build_load(m, queues[Opcode.LOAD])
        self._build_conv(m, queues[Opcode.CONV])
        self._build_store(m, queues[Opcode.STORE])
        ended = Cat(self.progress[name] == handed[kind] for name, kind in _RAISED.items()).all()
        given = sum(handed.values())
        cycles = Signal(range(deadline + 2))
        m.d.sync += cycles.eq(Mux(cycles > deadline, cycles, cycles + 1))
        m.d.comb += [
            count.eq(AnyConst(len(count))),
            Assume(count <= self.length, "the program is short"),
            Assert((cycles != deadline) | ((given == count) & ended), "the program ends"),
        ]
        return m

    def _build_fetch(self, m: Module, count: Any, handed: Any) -> dict[Opcode, Any]:
        """Offer each instruction to the queue of its kind; return the queues' outputs."""
        bits = self.length.bit_length()
        kind, valid = Signal(2), Signal()
        taken = Signal()
        given = sum(handed.values())
        with m.If(taken | ~valid):
            m.d.sync += [valid.eq(given + (valid & taken) < count), kind.eq(AnySeq(2))]
        outputs, takes = {}, []
        for number, opcode in enumerate(Opcode):
            tokens = [field for field in FIELDS[opcode] if field.role is Role.TOKEN]
            layout = data.StructLayout({field.name: bits for field in tokens})
            offer: Any = Signal(layout, name=f"offer_{opcode.name}")
            mine = valid & (kind == number)
            queue = self.parts["Queue"](layout, self.depth)
            m.submodules[f"queue_{opcode.name}"] = queue
            with m.If(taken | ~valid):
                m.d.sync += offer.as_value().eq(AnySeq(layout.size))
            m.d.comb += [queue.i.valid.eq(mine), queue.i.p.eq(offer)]
            for field in tokens:
                least = offer[field.name]
                legal = least <= handed[_RAISED[field.counter]] + self.later
                m.d.comb += Assume(~mine | legal, "it waits for earlier ones")
            takes.append(queue.i.valid & queue.i.ready)
            m.d.sync += handed[opcode].eq(handed[opcode] + takes[-1])
            outputs[opcode] = queue.o
        m.d.comb += [taken.eq(Cat(takes).any()), Assume(kind < len(Opcode), "its kind is known")]
        return outputs

    def _gate(self, m: Module, name: str, source: Any) -> Any:
        """Return a token gate; the payload is what it waits for."""
        opcode, fields = _GATES[name]
        counters = {field.name: field.counter for field in FIELDS[opcode]}
        bits = self.length.bit_length()
        layout = data.StructLayout(dict.fromkeys(fields, bits))
        gate = self.parts["TokenGate"](layout, {field: counters[field] for field in fields})
        m.submodules[f"{name}_gate"] = gate
        m.d.comb += gate.progress.eq(self.progress)
        m.d.comb += [gate.i.p[field].eq(source.p[field]) for field in fields]
        return gate

    def _work(self, m: Module, name: str, may_run: Any = 1) -> tuple[Signal, Signal]:
        """Return whether an engine is busy, and whether it is in its last cycle of work."""
        busy, last = Signal(name=f"{name}_busy"), Signal(name=f"{name}_last")
        left = Signal(range(self.latency + 1), name=f"{name}_cycles")
        runs = busy & may_run
        m.d.comb += last.eq(runs & ((left == self.latency - 1) | AnySeq(1)))
        m.d.sync += left.eq(Mux(runs & ~last, left + 1, 0))
        return busy, last

    def _count(self, m: Module, name: str, done: Any) -> None:
        m.d.sync += self.progress[name].eq(self.progress[name] + done)

    def _build_load(self, m: Module, source: Any) -> None:
        gate = self._gate(m, "load", source)
        m.d.comb += [gate.i.valid.eq(source.valid), source.ready.eq(gate.i.ready)]
        busy, last = self._work(m, "load")
        m.d.comb += gate.o.ready.eq(~busy)
        m.d.sync += busy.eq(Mux(busy, ~last, gate.o.valid))
        self._count(m, "loaded", last)

    def _build_conv(self, m: Module, source: Any) -> None:
        gates = {name: self._gate(m, name, source) for name in ("weight", "pixel")}
        self.parts["deal"](m, source, {name: gate.i for name, gate in gates.items()})
        # The weights stay until the pixels that need them have passed.
        ready, done = Signal(), Signal()
        loads, loaded = self._work(m, "weight")
        runs, last = self._work(m, "pixel", ready)
        m.d.comb += [
            gates["weight"].o.ready.eq(~loads & ~ready),
            gates["pixel"].o.ready.eq(~runs),
            done.eq(last),
        ]
        m.d.sync += [
            loads.eq(Mux(loads, ~loaded, gates["weight"].o.valid & ~ready)),
            ready.eq(Mux(ready, ~done, loaded)),
            runs.eq(Mux(runs, ~last, gates["pixel"].o.valid)),
        ]
        self._count(m, "computed", done)

    def _build_store(self, m: Module, source: Any) -> None:
        gate = self._gate(m, "store", source)
        m.d.comb += [gate.i.valid.eq(source.valid), source.ready.eq(gate.i.ready)]
        writes, written = self._work(m, "write")
        drains, drained = self._work(m, "drain", ~writes)
        m.d.comb += gate.o.ready.eq(~drains)
        m.d.sync += [
            drains.eq(Mux(drains, ~drained, gate.o.valid)),
            writes.eq(Mux(writes, ~written, drained)),
        ]
        self._count(m, "drained", drained)
        self._count(m, "stored", written)
