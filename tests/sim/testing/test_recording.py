"""Recorded cycles of a component, and forms of it that are the same or are not."""

from random import Random

import pytest
from amaranth.hdl import Module, ResetInserter, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_sim.testing.equivalence import compare_recording
from systolith_sim.testing.recording import Recording
from systolith_sim.testing.streams import simulate

CYCLES = 40

FORM = """
module other(clk, rst, a, b, total, output_);
  input clk, rst; input [3:0] a; input b; output reg [7:0] total = 0; output output_;
  assign output_ = b;
  always @(posedge clk) if (rst) total <= 0; else total <= {value};
endmodule
"""


class Total(wiring.Component):
    """Adds up what comes."""

    a: Signal
    b: Signal
    total: Signal
    output_: Signal

    def __init__(self):
        super().__init__({"a": In(signed(4)), "b": In(1), "total": Out(8), "output_": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.total.eq(self.total + self.a + self.b)
        m.d.comb += self.output_.eq(self.b)
        return m


def record(reset_at=None):
    dut = Total()
    reset = Signal()
    recording = Recording(dut, reset)
    random = Random(3)

    async def bench(ctx):
        for cycle in range(CYCLES):
            ctx.set(dut.a, random.randint(-8, 7))
            ctx.set(dut.b, random.getrandbits(1))
            ctx.set(reset, cycle == reset_at)
            await ctx.tick()

    simulate(ResetInserter(reset)(dut), bench, background=[recording.follow])
    return recording


def test_a_recording_has_every_cycle_of_every_port():
    recording = record()
    assert recording.ports == [
        ("a", 4, True),
        ("b", 1, True),
        ("total", 8, False),
        ("output_", 1, False),
    ]
    assert (recording.width(True), recording.width(False)) == (5, 9)
    assert len(recording.given) == len(recording.wanted) == CYCLES
    total = 0
    for given, wanted in zip(recording.given, recording.wanted, strict=True):
        a, b = given >> 1, given & 1
        assert wanted == total << 1 | b
        total = (total + (a ^ 8) - 8 + b) % 256


@pytest.mark.rtl
@pytest.mark.parametrize("reset_at", [None, 17])
def test_the_same_form_never_differs_and_is_reset_when_the_component_is(tmp_path, reset_at):
    form = FORM.format(value="total + {{4{a[3]}}, a} + b")
    assert compare_recording(record(reset_at), form, tmp_path, settle=0) == 0


@pytest.mark.rtl
def test_every_cycle_in_which_another_form_differs_counts(tmp_path):
    form = FORM.format(value="total + {{4{a[3]}}, a} + b + (n == 30)")
    form = form.replace(
        "output_ = b;", "output_ = b; reg [7:0] n = 0; always @(posedge clk) n <= n + 1;"
    )
    # The total is wrong from cycle 31 on.
    assert compare_recording(record(), form, tmp_path, settle=0) == CYCLES - 31
    assert compare_recording(record(), form, tmp_path, settle=35) == CYCLES - 35
