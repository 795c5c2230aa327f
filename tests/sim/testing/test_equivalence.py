"""Two forms of a component side by side: equal ones, and ones that are not."""

import pytest
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_sim.testing.equivalence import compare_forms

FORM = """
module {name}(clk, rst, i, o);
  input clk, rst; input [7:0] i; output reg [7:0] o;
  always @(posedge clk) o <= {value};
endmodule
"""
DRIVE = "i = $random(seed);"


class Register(wiring.Component):
    def __init__(self):
        super().__init__({"i": In(8), "o": Out(8)})

    def elaborate(self, platform):
        raise NotImplementedError("only its ports are used")


def compare(folder, value, cycles=100):
    plain, other = FORM.format(name="plain", value="i"), FORM.format(name="other", value=value)
    return compare_forms(Register(), plain, other, folder, DRIVE, cycles=cycles, settle=2)


@pytest.mark.rtl
@pytest.mark.parametrize("value", ["i", "~(~i)", "i + 8'd0"])
def test_equal_forms_never_differ(tmp_path, value):
    assert compare(tmp_path, value) == 0


@pytest.mark.rtl
@pytest.mark.parametrize(("value", "low", "high"), [("~i", 98, 98), ("i & 8'hfe", 25, 75)])
def test_every_cycle_in_which_they_differ_counts(tmp_path, value, low, high):
    assert low <= compare(tmp_path, value) <= high


@pytest.mark.rtl
def test_verilog_that_does_not_compile_is_said(tmp_path):
    with pytest.raises(AssertionError, match="iverilog failed"):
        compare(tmp_path, "nothing_of_that_name")
