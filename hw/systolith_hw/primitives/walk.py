"""Walking nested levels: the innermost unfinished one advances, the levels within it restart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module

from systolith_hw.primitives.countdown import Countdown

__all__ = ["Level", "walk"]


@dataclass(frozen=True)
class Level:
    """One of several nested levels.

    Parameters
    ----------
    last : Value
        It is at its last place.
    begin : sequence of statements
        Bring it to its first place.
    step : sequence of statements
        Bring it to its next place; those of an address belong to it.
    """

    last: Any
    begin: Sequence[Any]
    step: Sequence[Any]

    @classmethod
    def counted(cls, counter: Countdown, count: Any, *step: Any) -> "Level":
        """Return a level of `count` places; `step` is done at each step besides counting."""
        return cls(counter.last, counter.load(count), [*counter.advance(), *step])


def walk(m: Module, levels: Sequence[Level], end: Sequence[Any] = ()) -> None:
    """Go to the next place, under the condition of the enclosing ``m.If``.

    The choice among levels is made from their `last` alone, from the innermost outwards, so no
    level has to look at the outer ones.

    Parameters
    ----------
    m : Module
        Of the component.
    levels : sequence of Level
        The innermost first.
    end : sequence of statements
        Done when all levels are at their last places, and begin again.
    """
    if not levels:
        m.d.sync += end
        return
    inner, *outer = levels
    with m.If(~inner.last):
        m.d.sync += inner.step
    with m.Else():
        m.d.sync += inner.begin
        walk(m, outer, end)
