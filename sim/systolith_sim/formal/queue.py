"""Rules of the queue, and a view into queues that stand inside of other components."""

from typing import Any

from amaranth.hdl import Array, Assert, Module, Mux, Shape, Signal

from systolith_hw.stream.queue import Queue
from systolith_sim.formal.prove import Specification
from systolith_sim.formal.stream_contract import StreamContract
from systolith_sim.formal.tracked import Items, Tracked

__all__ = ["QueueSpecification", "QueueView"]


class QueueView:
    """The words that a queue deep inside holds.

    Parameters
    ----------
    path : str
        Of submodules, to the queue.
    width, depth : int
        Of its payload in bits; of the queue in words.
    words : bool
        Whether to show the words, too; without them, how many there are.

    Attributes
    ----------
    probes : dict
        For :class:`Specification`.
    """

    def __init__(self, path: str, width: int, depth: int, *, words: bool = True) -> None:
        self.depth = depth
        self.words = words
        self.stem = f"seen_{path.replace('.', '_')}"
        wires = {"valid": ("o__valid", 1)}
        if depth > 1:
            wires |= {"stored": ("stored", range(depth)), "some": ("some", 1), "room": ("room", 1)}
        if words:
            wires["front"] = ("o__payload", width)
            wires |= {f"word_{at}": (f"storage[{at}]", width) for at in range(depth - 1)}
        if words and depth > 2:
            wires |= {f"{port}_addr": (f"{port}__addr", range(depth - 1)) for port in _PORTS}
        self.probes = {
            f"{self.stem}_{name}": (f"{path}.{wire}", Shape.cast(shape).width)
            for name, (wire, shape) in wires.items()
        }

    def items(self, specification: Specification) -> Items:
        """Return the words in the places of the queue, the first to leave first."""

        def seen(name: str) -> Any:
            return getattr(specification, f"{self.stem}_{name}")

        front = (seen("valid"), seen("front"))
        if self.depth == 1:
            return [front]
        size = self.depth - 1
        words = Array(seen(f"word_{at}") for at in range(size))
        first = seen("read_addr") if size > 1 else 0
        return [
            front,
            *((at < seen("stored"), words[_around(first + at, size)]) for at in range(size)),
        ]

    def level(self, specification: Specification) -> Any:
        """Return how many words the queue holds."""
        stored = getattr(specification, f"{self.stem}_stored") if self.depth > 1 else 0
        return stored + getattr(specification, f"{self.stem}_valid")

    def invariants(self, specification: Specification) -> list[Any]:
        """Return the assertions that induction needs of the queue's own registers."""
        if self.depth == 1:
            return []

        def seen(name: str) -> Any:
            return getattr(specification, f"{self.stem}_{name}")

        size, stored = self.depth - 1, seen("stored")
        rules = [stored <= size, seen("some") == (stored != 0), seen("room") == (stored != size)]
        if not self.words:
            rules.append(seen("valid") | (stored <= 1))  # else it moves to the front
        elif size > 1:
            read, write = (seen(f"{port}_addr") for port in _PORTS)
            rules += [read < size, write == _around(read + stored, size)]
        return [Assert(rule, f"{self.stem} is in order") for rule in rules]


class QueueSpecification(Specification):
    """The rules of a queue, for anyone who gives and takes words.

    - Words leave as they came, in their order, none is lost or doubled.
    - An offered word stays, unchanged, until it is taken.
    - A word that is inside is offered at most a cycle later than it could be, and a queue that is
      not full takes one, again at most a cycle later.
    - ``level`` and ``empty`` say how many words are inside.

    Parameters
    ----------
    dut : Queue
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    DEPTH = 2

    def __init__(self, dut: Queue, *, inside: bool = True) -> None:
        self.dut = dut
        self.view = QueueView("dut", Shape.cast(dut.i.p.shape()).width, dut.depth)
        super().__init__(probes=self.view.probes, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.dut
        self.place(m, dut)
        m.submodules.contract = contract = StreamContract.of(dut.o)
        m.submodules.words = words = Tracked(
            [(dut.i.valid & dut.i.ready, dut.i.p)],
            [(dut.o.valid & dut.o.ready, dut.o.p)],
            dut.depth,
        )
        late_offer, late_room = Signal(), Signal()
        m.d.sync += [
            late_offer.eq((words.level != 0) & ~dut.o.valid),
            late_room.eq((words.level != dut.depth) & ~dut.i.ready),
        ]
        m.d.comb += [
            Assert(contract.kept, "a word stays until it is taken"),
            *words.rules("words"),
            Assert(~late_offer | dut.o.valid, "a word that is inside is offered"),
            Assert(~late_room | dut.i.ready, "a queue with room takes a word"),
            Assert(dut.level == words.level, "the level is known"),
            Assert(dut.empty == (words.level == 0), "that it is empty is known"),
        ]
        if self.inside:
            m.d.comb += words.invariants(self.view.items(self), "words")
            m.d.comb += self.view.invariants(self)
        return m


_PORTS = ("read", "write")


def _around(place: Any, size: int) -> Any:
    """Return a place below twice the size, counted on from the first after the last."""
    return Mux(place >= size, place - size, place)
