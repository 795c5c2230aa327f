"""Nothing is lost, doubled, changed or overtaken: any one item is followed through a component."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

__all__ = ["Items", "Tracked"]

Items = Sequence[tuple[Any, Any]]
"""Places in their order: whether an item is there, and the item, of the same bits everywhere."""


class Tracked(wiring.Component):
    """Follows one item from the cycle in which it enters to the one in which it leaves.

    The solver chooses the item: what is proved of it holds for each. It has to leave when exactly
    the items that entered before it have left, and as it came. If that holds, and no more leave
    than have entered, then none is lost, doubled, changed, or overtaken by another.

    Parameters
    ----------
    entering, leaving : Items
        Those of this cycle. An item leaves at least a cycle after it has entered.
    capacity : int
        Most items inside.

    Members
    -------
    level : Out, items inside, of those that entered
    held : Out, the chosen item is inside
    ahead : Out, items that leave before it
    item : Out
    changed : Out, another item leaves in its place in this cycle
    invented : Out, more items leave in this cycle than are inside
    """

    level: Signal
    held: Signal
    ahead: Signal
    item: Signal
    changed: Signal
    invented: Signal

    def __init__(self, entering: Items, leaving: Items, capacity: int) -> None:
        self.entering = _cast(entering)
        self.leaving = _cast(leaving)
        self.capacity = capacity
        most = capacity + len(entering)
        super().__init__(
            {
                "level": Out(range(most + 1)),
                "held": Out(1),
                "ahead": Out(range(most + 1)),
                "item": Out(len(self.entering[0][1])),
                "changed": Out(1),
                "invented": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        entered = _count(self.entering)
        left = _count(self.leaving)
        chosen = Signal(range(len(self.entering) + 1))
        m.d.comb += [
            chosen.eq(AnySeq(len(chosen))),  # beyond the last one: none
            self.invented.eq(left > self.level),
        ]
        m.d.sync += self.level.eq(self.level + entered - left)
        with m.If(self.held):
            m.d.sync += [self.ahead.eq(self.ahead - left), self.held.eq(self.ahead >= left)]
            for number, (present, item) in enumerate(self.leaving):
                with m.If(present & (_count(self.leaving[:number]) == self.ahead)):
                    m.d.comb += self.changed.eq(item != self.item)
        with m.Else():
            for number, (present, item) in enumerate(self.entering):
                with m.If(present & (chosen == number)):
                    before = _count(self.entering[:number])
                    m.d.sync += [
                        self.held.eq(1),
                        self.item.eq(item),
                        self.ahead.eq(self.level + before - left),
                    ]
        return m

    def rules(self, what: str) -> list[Any]:
        """Return the assertions of the rule about the items, which are called `what`."""
        return [
            Assert(~self.changed, f"{what} leave as they came, in their order"),
            Assert(~self.invented, f"no {what} leave that did not enter"),
        ]

    def invariants(self, inside: Items, what: str) -> list[Any]:
        """Return the assertions that induction needs: the items are in these places, in order."""
        places = _cast(inside)
        there: list[Any] = [0]
        for number, (present, item) in enumerate(places):
            own = present & (_count(places[:number]) == self.ahead)
            there.append(own & (item == self.item))
        return [
            Assert(self.level == _count(places), f"{what} are all inside"),
            Assert(~self.held | reduce(or_, there), f"the chosen one of {what} is in its place"),
        ]


def _cast(items: Items) -> list[tuple[Value, Value]]:
    return [(Value.cast(present), Value.cast(item)) for present, item in items]


def _count(items: Iterable[tuple[Any, Any]]) -> Any:
    """Return how many of the places have an item."""
    return sum((Mux(present, 1, 0) for present, _ in items), Value.cast(0))
