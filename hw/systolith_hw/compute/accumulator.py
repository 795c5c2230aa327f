"""The accumulators of one column: two banks, one filling while the other drains."""

from typing import Any

from amaranth.hdl import MemoryData, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.core import accumulate_layout, drain_layout
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import SHIFT_BITS
from systolith_hw.spec.timing import ACCUMULATOR_UPDATE

__all__ = ["AccumulatorColumn"]


class AccumulatorColumn(wiring.Component):
    """Adds partial sums to one bank while the drain reads sums from the other.

    The column passes both commands on to the next column, one cycle later. A sum whose
    ``accumulate`` enters in cycle t takes the partial sum of cycle t + READ_LATENCY and can be read
    from cycle t + UPDATE_LATENCY on; so the same address may come again after UPDATE_LATENCY
    cycles. A program must not fill and drain one bank at the same time: the bank has one read
    port, and the drain would get the sum at the address that is being filled.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    accumulate : In, :func:`accumulate_layout`
    accumulate_next : Out
        ``accumulate`` one cycle later, for the next column.
    psum : In, partial sum, signed(psum_width), READ_LATENCY cycles after its ``accumulate``
    drain : In, :func:`drain_layout`
    drain_next : Out
        ``drain`` one cycle later, for the next column of the lane group.
    sum : Out, signed(sum_width), READ_LATENCY cycles after its ``drain``
    """

    accumulate: Any
    accumulate_next: Any
    psum: Signal
    drain: Any
    drain_next: Any
    sum: Signal

    READ_LATENCY = RegisteredMemory.LATENCY + 1
    UPDATE_LATENCY = ACCUMULATOR_UPDATE

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "accumulate": In(accumulate_layout(config)),
                "accumulate_next": Out(accumulate_layout(config)),
                "psum": In(signed(config.psum_width)),
                "drain": In(drain_layout(config)),
                "drain_next": Out(drain_layout(config)),
                "sum": Out(signed(config.sum_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # `adding` arrives with the sum that was read, `storing` with the sum that replaces it.
        passing = delay(m, self.accumulate, 1, "accumulate_passing")
        adding = delay(m, passing, RegisteredMemory.LATENCY - 1, "accumulate_adding")
        storing = delay(m, adding, 2, "accumulate_storing")
        drain_passing = delay(m, self.drain, 1, "drain_passing")
        drain_bank = delay(m, drain_passing.bank, RegisteredMemory.LATENCY - 1, "drain_bank")
        m.d.comb += [self.accumulate_next.eq(passing), self.drain_next.eq(drain_passing)]

        width = signed(self.config.sum_width)
        olds = []
        total = Signal(width, reset_less=True)
        for bank in range(2):
            init = MemoryData(shape=width, depth=self.config.acc_depth, init=[])
            m.submodules[f"bank_{bank}"] = store = RegisteredMemory(init)
            filling = self.accumulate.valid & (self.accumulate.bank == bank)
            m.d.comb += [
                store.r_addr.eq(Mux(filling, self.accumulate.addr, self.drain.addr)),
                store.w_addr.eq(storing.addr),
                store.w_data.eq(total),
                store.w_en.eq(storing.valid & (storing.bank == bank)),
            ]
            olds.append(store.r_data)
        # The block RAMs are not next to the adder, so the route between them takes a cycle.
        old = Mux(adding.bank, olds[1], olds[0])
        shifted = Mux(adding.shift, old << SHIFT_BITS, old)
        base = Signal(width, reset_less=True)
        drained = drive(m, self.sum, "drained")
        m.d.sync += [
            base.eq(Mux(adding.overwrite, 0, shifted)),
            total.eq(base + self.psum),
            drained.eq(Mux(drain_bank, olds[1], olds[0])),
        ]
        return m
