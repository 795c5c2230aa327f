"""The rule of every handshake, stated once: for proofs, and for tests in the simulator."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Assert, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

__all__ = ["StreamContract"]


class StreamContract(wiring.Component):
    """Watches one handshake: an offered payload stays unchanged until it is taken.

    Its outputs rise in the very cycle in which the rule is broken. A proof asserts or assumes that
    they do not; in a simulation :meth:`asserting` raises an error.

    Parameters
    ----------
    valid, ready : Value
        Of one bit.
    payload : Values
        The payload of ``valid``.

    Members
    -------
    withdrawn : Out, ``valid`` has gone before ``ready`` came
    changed : Out, ``valid`` has stayed and the payload has not
    """

    withdrawn: Signal
    changed: Signal

    def __init__(self, valid: Any, ready: Any, *payload: Any) -> None:
        self.valid = Value.cast(valid)
        self.ready = Value.cast(ready)
        self.payload = tuple(Value.cast(part) for part in payload)
        self._asserts = False
        super().__init__({"withdrawn": Out(1), "changed": Out(1)})

    @classmethod
    def of(cls, stream: Any) -> "StreamContract":
        """Return the contract of a stream."""
        return cls(stream.valid, stream.ready, stream.payload)

    def asserting(self) -> "StreamContract":
        """Return this contract, with assertions that a simulator checks at each edge."""
        self._asserts = True
        return self

    @property
    def kept(self) -> Value:
        """Whether the rule is kept in this cycle."""
        return ~(self.withdrawn | self.changed)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting = Signal()
        m.d.sync += waiting.eq(self.valid & ~self.ready)
        differs: list[Any] = [0]
        for part in self.payload:
            before = Signal(len(part), reset_less=True)
            m.d.sync += before.eq(part)
            differs.append(before != part)
        different = reduce(or_, differs)
        m.d.comb += [
            self.withdrawn.eq(waiting & ~self.valid),
            self.changed.eq(waiting & self.valid & different),
        ]
        if self._asserts:
            m.d.sync += [
                Assert(~self.withdrawn, "valid was withdrawn before the payload was taken"),
                Assert(~self.changed, "the payload changed before it was taken"),
            ]
        return m
