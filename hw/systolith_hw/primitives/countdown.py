"""A counter of remaining steps, whose end is known from a register."""

from typing import Any

from amaranth.hdl import Signal

__all__ = ["Countdown"]


class Countdown:
    """Counts down to zero; ``last`` says that zero is reached.

    A zero test of the counter itself would stand at the head of every path that depends on it;
    ``last`` is a register that is kept equal to that test.

    Parameters
    ----------
    width : int
        Bits of the count.
    name : str

    Attributes
    ----------
    left : Signal
        Iterations after this one.
    last : Signal
        ``left`` is 0.
    """

    def __init__(self, width: int, name: str) -> None:
        self.left = Signal(width, name=f"{name}_left", reset_less=True)
        self.last = Signal(name=f"{name}_last", init=1, reset_less=True)

    def load(self, count: Any) -> list[Any]:
        """Return the statements that begin `count` iterations."""
        return [self.left.eq(count - 1), self.last.eq(count == 1)]

    def advance(self) -> list[Any]:
        """Return the statements that end an iteration."""
        return [self.left.eq(self.left - 1), self.last.eq(self.left == 1)]
