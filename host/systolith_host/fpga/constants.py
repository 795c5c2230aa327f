"""Gives constants sources near their pins: nextpnr routes each from one LUT across the part.

Most constants go into a cell's configuration. Some pins, such as a multiplier's clock enable, need
a net; router 1 comes to these arcs last, when no wires are left. Here a few neighbouring cells
share a LUT of their own for each constant.
"""

from collections.abc import Iterable
from typing import Any

__all__ = ["localise"]

ROUTED = {
    "MULT18X18D": ("CE", "RST", "SOURCE", "SIGNED"),
    "TRELLIS_DPR16X4": ("RAD", "WAD", "DI"),
    "CCU2C": ("CIN",),
}
"""Beginnings of the pins whose constants nextpnr routes, by the type of the cell."""

SHARING = 4
"""Cells that share a LUT; names that follow each other belong to one part of the design."""

_INPUTS = "ABCD"


def localise(module: dict[str, Any]) -> int:
    """Give constants of a module in Yosys' JSON sources of their own; return the LUTs added."""
    cells = module["cells"]
    used = [bits for one in cells.values() for bits in one["connections"].values()]
    used += [one["bits"] for part in ("ports", "netnames") for one in module[part].values()]
    free = 1 + max(bit for bits in used for bit in bits if isinstance(bit, int))
    added: dict[str, Any] = {}
    for kind in ROUTED:
        chosen = {name: cell["connections"] for name, cell in cells.items() if cell["type"] == kind}
        for value in "01":
            names = sorted(
                name
                for name, pins in chosen.items()
                if any(value in pins[pin] for pin in _routed(kind, pins))
            )
            for first in range(0, len(names), SHARING):
                added[f"constant_{value}_of_{names[first]}"] = _lut(value, free)
                for name in names[first : first + SHARING]:
                    pins = chosen[name]
                    for pin in _routed(kind, pins):
                        pins[pin] = [free if bit == value else bit for bit in pins[pin]]
                free += 1
    cells |= added
    return len(added)


def _routed(kind: str, pins: Iterable[str]) -> list[str]:
    return [pin for pin in pins if pin.startswith(ROUTED[kind])]


def _lut(value: str, output: int) -> dict[str, Any]:
    return {
        "type": "LUT4",
        "parameters": {"INIT": 16 * value},
        "attributes": {},
        "port_directions": {**dict.fromkeys(_INPUTS, "input"), "Z": "output"},
        "connections": {**{pin: ["0"] for pin in _INPUTS}, "Z": [output]},
    }
