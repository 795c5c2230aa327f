"""Points of functional coverage inside of the accelerator, as wires in its Verilog.

A point is reached when its wire rises; Verilator's coverage of toggles counts that. The points are
the states of the engines, of the controller and of the walks over regions, each change from one
state to another, and the orders in which the counts come that an instruction waits for.
"""

import re
from collections.abc import Mapping
from itertools import combinations, permutations

from systolith_hw.spec.registers import ENGINE_STATES, Engine

__all__ = ["MACHINES", "POINT", "TOKENS", "with_points"]

POINT = "point/"
"""How the names of the wires begin."""

MACHINES: Mapping[str, tuple[str, ...]] = {
    "controller": ("run", "drain", "reset", "failed", "idle"),
    "load.walker": ("idle", "size", "shape", "run"),
    "store.walker": ("idle", "size", "shape", "run"),
}
"""Instances with a state machine, and its states as Amaranth numbers them: in the order of use."""

TOKENS: Mapping[str, tuple[str, ...]] = {
    "load.gate": ("computed", "drained", "stored"),
    "core.pixel_gate": ("loaded", "drained"),
    "core.lane_gate": ("loaded", "drained"),
    "store.gate": ("computed", "loaded"),
}
"""Instances of a gate, and the counts that an instruction waits for there; one of the two of
``core`` is only there with Winograd's units, both with both kinds of convolution."""


def _label(*words: str) -> str:
    return "/".join(words)


def _states(name: str, states: tuple[str, ...], signal: str) -> list[str]:
    """Return the points of a state machine; a change counts from one cycle to the next."""
    last = f"_last_{name.replace('.', '_')}"
    width = (len(states) - 1).bit_length()
    lines = [f"  reg [{width - 1}:0] {last};\n  always @(posedge clk) {last} <= {signal};\n"]
    points = {_label(name, state): f"{signal} == {number}" for number, state in enumerate(states)}
    for (a, first), (b, second) in permutations(enumerate(states), 2):
        points[_label(name, first, second)] = f"{last} == {a} && {signal} == {b}"
    return lines + _wires(points)


def _orders(gate: str, counts: tuple[str, ...]) -> list[str]:
    """Return the points of a gate: which of two counts came first, where it waited for both."""
    # A gate says in an instruction's first cycle that it waits for everything: two are looked at.
    signal, last = f"\\{gate}.waiting ", f"_waited_{gate.replace('.', '_')}"
    longer = f"{last}_long <= {last} & {signal}"
    most = len(counts) - 1
    lines = [
        f"  reg [{most}:0] {last}, {last}_long;\n",
        f"  always @(posedge clk) begin {last} <= {signal}; {longer}; end\n",
    ]
    points = {}
    for (i, first), (j, second) in combinations(enumerate(counts), 2):
        both = f"{last}_long[{i}] && {last}_long[{j}]"
        now = (f"{signal}[{i}]", f"{signal}[{j}]")
        points[_label(gate, first, "then", second)] = f"{both} && !{now[0]} && {now[1]}"
        points[_label(gate, second, "then", first)] = f"{both} && {now[0]} && !{now[1]}"
        points[_label(gate, first, "with", second)] = f"{both} && !{now[0]} && !{now[1]}"
    return lines + _wires(points)


def _wires(points: Mapping[str, str]) -> list[str]:
    return [f"  wire \\{POINT}{label} = {condition};\n" for label, condition in points.items()]


def with_points(verilog: str, top: str = "accelerator") -> str:
    """Return the accelerator's Verilog, a single module, with all points.

    Raises
    ------
    ValueError
        If a signal is not there, or there is a state machine that :data:`MACHINES` does not name.
    """
    machines = set(re.findall(r"^ *reg .*\\(\S+)\.fsm_state\b", verilog, re.MULTILINE))
    if machines != set(MACHINES):
        raise ValueError(f"state machines are {sorted(machines)}, not {sorted(MACHINES)}")
    gates = set(re.findall(r"^ *wire .*\\(\S+)\.waiting ;", verilog, re.MULTILINE)) - {
        "core.weight_gate"
    }
    if not gates <= set(TOKENS):
        raise ValueError(f"token gates are {sorted(gates)}, not {sorted(TOKENS)}")
    lines = []
    for engine, states in ENGINE_STATES.items():
        low = 4 * Engine(engine)
        lines += _states(engine.name, states, f"\\counters.now [{low + 2}:{low}]")
    for name, states in MACHINES.items():
        lines += _states(name, states, f"\\{name}.fsm_state ")
    for gate in sorted(gates):
        lines += _orders(gate, TOKENS[gate])
    start = re.search(rf"^module {top}\b", verilog, re.MULTILINE)
    if start is None or "\\counters.now " not in verilog:
        raise ValueError(f"{top} is not the accelerator as a single module")
    end = verilog.index("endmodule\n", start.start())
    return verilog[:end] + "".join(lines) + verilog[end:]
