"""Registers behind ports: a cycle late, of the port's shape, and without a reset."""

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.register import drive
from systolith_sim.testing.streams import simulate, trace

LAYOUT = data.StructLayout({"value": signed(4), "flag": 1})


class Held(wiring.Component):
    """Both kinds of ports: one with a register behind it, one that is a register itself."""

    i: Any
    o: Any
    itself: Any

    def __init__(self):
        super().__init__({"i": In(LAYOUT), "o": Out(LAYOUT), "itself": Out(LAYOUT)})

    def elaborate(self, platform):
        m = Module()
        register = drive(m, self.o, "o_out")
        m.d.sync += [register.value.eq(self.i.value), register.flag.eq(self.i.flag)]
        m.d.sync += self.itself.eq(self.i)
        return m


def test_the_port_shows_the_register_and_no_reset_clears_it():
    dut = Held()
    rst = Signal()
    rows = []

    async def bench(ctx):
        ctx.set(dut.i, {"value": -5, "flag": 1})
        rows.extend(await trace(ctx, 2, dut.o.value, dut.o.flag, dut.itself.value))
        ctx.set(rst, 1)
        await ctx.tick()
        rows.extend(await trace(ctx, 1, dut.o.value, dut.o.flag, dut.itself.value))

    simulate(ResetInserter(rst)(dut), bench)
    assert rows == [(0, 0, 0), (-5, 1, -5), (-5, 1, 0)]
