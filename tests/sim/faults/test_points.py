"""Points of functional coverage: which there are, and that none is forgotten."""

import re

import pytest

from systolith_hw.spec.registers import ENGINE_STATES
from systolith_sim.faults.points import MACHINES, POINT, TOKENS, with_points

VERILOG = r"""module accelerator(clk, rst);
  wire [15:0] \counters.now ;
  reg [2:0] \controller.fsm_state  = 3'h4;
  reg [1:0] \load.walker.fsm_state  = 2'h0;
  reg [1:0] \store.walker.fsm_state  = 2'h0;
  wire [2:0] \load.gate.waiting ;
  wire [0:0] \core.weight_gate.waiting ;
  wire [1:0] \core.pixel_gate.waiting ;
  wire [1:0] \store.gate.waiting ;
endmodule
"""


def points(verilog):
    return re.findall(rf"^ *wire \\{POINT}(\S+) = ", with_points(verilog), re.MULTILINE)


def test_every_state_every_change_and_every_order_has_a_point():
    found = points(VERILOG)
    machines = {engine.name: states for engine, states in ENGINE_STATES.items()} | dict(MACHINES)
    for name, states in machines.items():
        wanted = {f"{name}/{state}" for state in states}
        wanted |= {f"{name}/{a}/{b}" for a in states for b in states if a != b}
        assert {point for point in found if point.startswith(f"{name}/")} == wanted
    orders = [point for point in found if "/then/" in point or "/with/" in point]
    assert len(orders) == 3 * (3 + 1 + 1)
    assert "load.gate/stored/then/computed" in orders
    assert len(found) == len(set(found))


def test_a_gate_of_winograds_units_has_its_orders():
    more = VERILOG.replace("endmodule", "  wire [1:0] \\core.lane_gate.waiting ;\nendmodule")
    assert len(points(more)) == len(points(VERILOG)) + 3
    assert "core.lane_gate" in TOKENS


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("store.walker", "store.other", "state machines are"),
        ("store.gate", "store.other", "token gates are"),
        ("counters.now", "counters.then", "is not the accelerator as a single module"),
    ],
)
def test_gateware_with_other_states_is_refused(old, new, message):
    with pytest.raises(ValueError, match=message):
        with_points(VERILOG.replace(old, new))
