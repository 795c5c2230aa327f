"""The accumulators of one column: two banks, one filling while the other drains."""

from typing import Any

from amaranth.hdl import MemoryData, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import ACCUMULATOR_UPDATE, AcceleratorConfig
from systolith_hw.spec.isa import SHIFT_BITS

__all__ = ["AccumulatorColumn", "accumulate_layout", "drain_layout"]


def accumulate_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of what travels beside partial sums: where they go, what they replace.

    ``overwrite`` forgets and ``shift`` multiplies what is there; ``done`` marks the last sum of an
    instruction.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "overwrite": 1,
            "shift": 1,
            "done": 1,
            "bank": 1,
            "addr": range(config.acc_depth),
        }
    )


def drain_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of a read of the drain: bank and address."""
    return data.StructLayout({"bank": 1, "addr": range(config.acc_depth)})


class AccumulatorColumn(wiring.Component):
    """Adds partial sums to a bank and reads sums of the other one for the drain.

    Every input is passed on to the next column a cycle later. A sum whose ``accumulate`` enters in
    cycle t takes the partial sum of cycle t + READ_LATENCY and is in its bank from cycle
    t + UPDATE_LATENCY on; so the same address may come again after UPDATE_LATENCY cycles. Filling
    and draining the same bank at once is the compiler's mistake: the drain then reads elsewhere.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    accumulate : In, :func:`accumulate_layout`
    accumulate_next : Out
        The same, a cycle later, for the next column.
    psum : In, READ_LATENCY cycles after its ``accumulate``
    drain : In, :func:`drain_layout`
    drain_next : Out
    sum : Out, READ_LATENCY cycles after ``drain``
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
                "sum": Out(signed(config.acc_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = accumulate_layout(self.config)
        stage_1 = Signal(layout, reset_less=True)
        stage_2 = Signal(layout, reset_less=True)
        stage_3 = Signal(layout, reset_less=True)
        stage_4 = Signal(layout, reset_less=True)
        drain_1 = Signal(drain_layout(self.config), reset_less=True)
        drain_bank = Signal(reset_less=True)
        m.d.sync += [
            stage_1.eq(self.accumulate),
            stage_2.eq(stage_1),
            stage_3.eq(stage_2),
            stage_4.eq(stage_3),
            drain_1.eq(self.drain),
            drain_bank.eq(drain_1.bank),
        ]
        m.d.comb += [self.accumulate_next.eq(stage_1), self.drain_next.eq(drain_1)]

        width = signed(self.config.acc_width)
        olds = []
        total = Signal(width, reset_less=True)
        for bank in range(2):
            init = MemoryData(shape=width, depth=self.config.acc_depth, init=[])
            m.submodules[f"bank_{bank}"] = store = RegisteredMemory(init)
            filling = self.accumulate.valid & (self.accumulate.bank == bank)
            m.d.comb += [
                store.r_addr.eq(Mux(filling, self.accumulate.addr, self.drain.addr)),
                store.w_addr.eq(stage_4.addr),
                store.w_data.eq(total),
                store.w_en.eq(stage_4.valid & (stage_4.bank == bank)),
            ]
            olds.append(store.r_data)
        # The block RAMs are not beside the adder: a cycle for the way.
        old = Mux(stage_2.bank, olds[1], olds[0])
        shifted = Mux(stage_2.shift, old << SHIFT_BITS, old)
        base = Signal(width, reset_less=True)
        drained = drive(m, self.sum, "drained")
        m.d.sync += [
            base.eq(Mux(stage_2.overwrite, 0, shifted)),
            total.eq(base + self.psum),
            drained.eq(Mux(drain_bank, olds[1], olds[0])),
        ]
        return m
