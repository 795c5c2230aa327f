"""Constants of pins that nextpnr would route from far away."""

import copy

from systolith_host.fpga.constants import SHARING, localise


def multiplier():
    return {
        "type": "MULT18X18D",
        "parameters": {},
        "connections": {"A0": ["0"], "CE0": ["1"], "RST0": ["0"], "CLK0": [7], "P0": [9]},
    }


def with_port(cells):
    return {"cells": cells, "ports": {"clk": {"bits": [7]}}, "netnames": {"unused": {"bits": [40]}}}


def values(module, cell):
    """Return the source of each pin: a constant by the LUT that drives it, or as it stands."""
    constants = {
        one["connections"]["Z"][0]: one["parameters"]["INIT"]
        for one in module["cells"].values()
        if one["type"] == "LUT4"
    }
    pins = module["cells"][cell]["connections"]
    return {pin: [constants.get(bit, bit) for bit in bits] for pin, bits in pins.items()}


def test_routed_pins_get_their_constant_from_a_lut_and_others_stay():
    module = with_port({"m": multiplier()})
    assert localise(module) == 2
    assert values(module, "m") == {
        "A0": ["0"],  # goes into the configuration
        "CE0": ["1" * 16],
        "RST0": ["0" * 16],
        "CLK0": [7],
        "P0": [9],
    }
    assert {one["type"] for one in module["cells"].values()} == {"MULT18X18D", "LUT4"}


def test_a_few_cells_share_a_lut():
    count = 2 * SHARING + 1
    module = with_port({f"m{n:02}": multiplier() for n in range(count)})
    assert localise(module) == 6
    sources = [module["cells"][f"m{n:02}"]["connections"]["CE0"][0] for n in range(count)]
    assert [sources.count(source) for source in sorted(set(sources))] == [SHARING, SHARING, 1]
    assert min(sources) > 40


def test_buses_and_carries_are_taken_bit_by_bit():
    memory = {"type": "TRELLIS_DPR16X4", "connections": {"RAD": [3, 4, "0", "0"], "WRE": ["1"]}}
    carry = {"type": "CCU2C", "connections": {"CIN": ["1"], "A0": ["0"]}}
    module = with_port({"memory": memory, "carry": carry})
    assert localise(module) == 2
    assert values(module, "memory") == {"RAD": [3, 4, "0" * 16, "0" * 16], "WRE": ["1"]}
    assert values(module, "carry") == {"CIN": ["1" * 16], "A0": ["0"]}


def test_what_has_no_such_constant_stays():
    lut = {"type": "LUT4", "parameters": {"INIT": "1" * 16}, "connections": {"A": ["0"], "Z": [2]}}
    module = with_port({"m": multiplier() | {"connections": {"CE0": [5]}}, "lut": lut})
    before = copy.deepcopy(module)
    assert localise(module) == 0
    assert module == before
