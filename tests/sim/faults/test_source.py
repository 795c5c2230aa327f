"""Lines and branches of the flattened Verilog in words, with the part that they belong to."""

import pytest

from systolith_sim.faults.counts import Place
from systolith_sim.faults.source import Source, part_of

VERILOG = r"""module accelerator(clk);
  always @(posedge clk)
    if (\load.ready ) \load.count  <= 3'h4;
  assign _0001_ = \controller.first [15] ? 2'h0 : _0002_;
  function [1:0] _0009_;
    input [1:0] a;
    casez (s)
      2'b?1:
        _0009_ = b[1:0];
      2'b1?:
        _0009_ = b[3:2];
      default:
        _0009_ = a;
    endcase
  endfunction
  assign \store.packer.next  = _0009_(2'h0, { _0003_, _0004_ }, { _0005_, _0006_ });
  assign _0005_ = \store.packer.at  == 2'h2;
  assign _0006_ = \store.packer.at  == 2'h1;
endmodule
"""


@pytest.mark.parametrize(
    ("kind", "arm", "line", "part", "text"),
    [
        ("branch", "if", 3, "load", "then: if (load.ready) load.count <= 3'h4;"),
        ("branch", "else", 3, "load", "else: if (load.ready) load.count <= 3'h4;"),
        (
            "branch",
            "cond_then",
            4,
            "controller",
            "then: assign _0001_ = controller.first[15] ? 2'h0 : _0002_;",
        ),
        ("line", "case", 8, "store", "store.packer.next where store.packer.at == 2'h1"),
        ("line", "case", 10, "store", "store.packer.next where store.packer.at == 2'h2"),
        (
            "line",
            "case",
            12,
            "store",
            "store.packer.next where none of: store.packer.at == 2'h1; store.packer.at == 2'h2",
        ),
    ],
)
def test_a_place_says_where_it_is_and_what(kind, arm, line, part, text):
    found = Source(VERILOG).describe(Place(kind, arm, line=line))
    assert (found[0], " ".join(found[1].split())) == (part, text)


def test_parts_are_the_first_instances():
    names = ("load.gate.held", "m_axi_wvalid", "burst__payload$130.last", "irq")
    assert [part_of(name) for name in names] == ["load", *["accelerator"] * 3]
