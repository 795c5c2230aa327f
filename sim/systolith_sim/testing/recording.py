"""What goes into a component in the Amaranth simulator and what comes out, cycle by cycle."""

from typing import Any

from amaranth.hdl import Cat, Const, Signal, Value
from amaranth.lib import wiring

__all__ = ["Recording"]


class Recording:
    """Records a component's ports; other forms of it can then be compared with it.

    Parameters
    ----------
    component : wiring.Component
        It, or a component around it, is what is simulated.
    reset : Signal, optional
        Its reset, if the bench resets it.

    Attributes
    ----------
    ports : list of (str, int, bool)
        Name, bits, and whether it is an input, in the order in which words have them, the first
        one in the upper bits.
    given, wanted : list of int
        A word for each cycle: the reset and all inputs, and all outputs.
    """

    def __init__(self, component: Any, reset: Signal | None = None) -> None:
        self.ports: list[tuple[str, int, bool]] = []
        self.given: list[int] = []
        self.wanted: list[int] = []
        self._sides: dict[bool, list[Value]] = {
            True: [Const(0, 1) if reset is None else reset],
            False: [],
        }
        for path, member, port in component.signature.flatten(component):
            value, is_input = Value.cast(port), member.flow is wiring.In
            if len(value):
                name = "__".join(str(part) for part in path)
                self.ports.append((name, len(value), is_input))
                self._sides[is_input].append(value)

    def width(self, is_input: bool) -> int:
        """Return the bits of all inputs or of all outputs."""
        return sum(width for _, width, side in self.ports if side == is_input)

    async def follow(self, ctx: Any) -> None:
        """Record, forever: for the background of a simulation."""
        given, wanted = (Cat(reversed(self._sides[is_input])) for is_input in (True, False))
        while True:
            _, _, given_now, wanted_now = await ctx.tick().sample(given, wanted)
            self.given.append(given_now)
            self.wanted.append(wanted_now)
