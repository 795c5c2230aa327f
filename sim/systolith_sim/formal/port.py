"""What the specifications of both ports of the AXI4 master have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Shape, Signal, Value
from amaranth.lib import data

from systolith_hw.interface.bus_layouts import burst_layout
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.formal.prove import Specification
from systolith_sim.formal.queue import QueueView

__all__ = ["PortSpecification"]


class PortSpecification(Specification):
    """A port that issues bursts: its address channel, and the registers in which bursts wait.

    Parameters
    ----------
    dut : ReadPort or WritePort
    config : AcceleratorConfig
        Of the same.
    registers : mapping of str to int
        Registers of the port to look at, and their bits: ``seen_end`` shows "issue.end".
    queues : sequence of QueueView
        Its queues to look at.
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    CHANNEL = ""
    """Of its addresses: "ar" or "aw"."""
    STAGES: tuple[tuple[str, str], ...] = ()
    """Flags that say that a burst waits, and the registers in which, before it is to be issued."""

    seen_waits: Any
    seen_held: Any

    def __init__(
        self,
        dut: Any,
        config: AcceleratorConfig,
        registers: Mapping[str, int] | None = None,
        queues: Sequence[QueueView] = (),
        *,
        inside: bool = True,
    ) -> None:
        self.dut = dut
        self.config = config
        self.queues = queues
        bits = Shape.cast(burst_layout(config)).width
        probes = {"seen_waits": ("dut.issue.waits", 1), "seen_held": ("dut.issue.held", bits)}
        stages = {
            name: width
            for stage in self.STAGES
            for name, width in zip(stage, (1, bits), strict=True)
        }
        for name, width in {**stages, **(registers or {})}.items():
            probes[f"seen_{name.rpartition('.')[2]}"] = (f"dut.{name}", width)
        for queue in queues:
            probes |= queue.probes
        super().__init__(probes=probes, inside=inside)

    def observe(self, m: Module) -> None:
        """Place the port, and note when an address waits and when one is offered first."""
        self.place(m, self.dut)
        self.valid, self.ready, self.addr, self.length = (
            getattr(self.dut.bus, f"{self.CHANNEL}{name}")
            for name in ("valid", "ready", "addr", "len")
        )
        waited = Signal()
        m.d.sync += waited.eq(self.valid & ~self.ready)
        self.fresh = self.valid & ~waited

    def suppose_that_none_is_dropped(self, m: Module) -> None:
        """Suppose runs without ``halt`` and without bursts that are refused."""
        m.d.comb += [
            Assume(~self.dut.halt, "nothing is halted"),
            Assume(~self.dut.fault, "nothing is refused"),
        ]

    def judge_outstanding(self, m: Module, outstanding: Any, limit: int) -> None:
        """Assert the limit on bursts, of which so many are outstanding, and ``quiet``."""
        none = Signal(init=1)
        m.d.sync += none.eq((outstanding == 0) & ~self.valid)
        m.d.comb += [
            Assert(outstanding + self.valid <= limit, "no more are outstanding than configured"),
            Assert(~self.dut.quiet | none, "quiet is true"),
        ]

    def waiting(self) -> list[tuple[Value, Any]]:
        """Return the places of bursts that are not offered yet, the first to be offered first."""
        layout = burst_layout(self.config)
        names = (("waits", "held"), *self.STAGES)
        seen = [[getattr(self, f"seen_{name}") for name in stage] for stage in names]
        return [(flag, data.View(layout, register)) for flag, register in seen]

    def order(self, burst: Any) -> Value:
        """Return what AR or AW says of a burst."""
        return Cat(burst.addr[: self.config.addr_width], burst.length)

    @property
    def offered(self) -> tuple[Any, Value]:
        """Whether an order is offered first in this cycle, and it."""
        return self.fresh, Cat(self.addr, self.length)
