"""The stream helpers notice what they are there to notice."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out

from systolith_sim.testing.streams import simulate, stream_get


class Source(wiring.Component):
    """Offers words; by `fault` it withdraws them or changes them while they wait."""

    o: stream.Interface

    def __init__(self, fault):
        self.fault = fault
        super().__init__({"o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        cycle = Signal(8)
        m.d.sync += cycle.eq(cycle + 1)
        m.d.comb += [
            self.o.valid.eq(~cycle[1] if self.fault == "withdraw" else 1),
            self.o.p.eq(cycle if self.fault == "change" else 7),
        ]
        return m


@pytest.mark.parametrize(
    ("fault", "message"),
    [("withdraw", r"valid was withdrawn before"), ("change", r"the payload changed before")],
)
def test_a_broken_stream_is_noticed(fault, message):
    dut = Source(fault)

    async def idle(ctx):
        for _ in range(10):
            await ctx.tick()

    simulate(dut, idle)  # nobody watches
    dut = Source(fault)
    with pytest.raises(AssertionError, match=message):
        simulate(dut, idle, watch=[dut.o])


def test_a_sound_stream_is_left_alone():
    dut = Source(None)
    taken = []

    async def take(ctx):
        taken.extend(await stream_get(ctx, dut.o, 20, stall=0.6))

    simulate(dut, take, watch=[dut.o])
    assert taken == [7] * 20


def test_a_bench_that_does_not_end_is_an_error():
    async def wait(ctx):
        while True:
            await ctx.tick()

    with pytest.raises(AssertionError, match=r"^testbenches have not ended after 50 cycles$"):
        simulate(Source(None), wait, limit=50)
