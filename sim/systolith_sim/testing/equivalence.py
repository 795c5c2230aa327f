"""Two Verilog forms of one component, in parallel in Icarus, on the same inputs."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyosys
from amaranth.hdl import Value
from amaranth.lib import wiring

__all__ = ["compare_forms"]

_MODELS = Path(__file__).with_name("ecp5_models.v")
"""Behavioural models of the multiplier and the block RAM."""

_LATTICE = Path(pyosys.__file__).parent / "share" / "lattice"

_CELLS = {
    "common_sim.vh": "LUT[24]|PFUMX|L6MUX21|TRELLIS_DPR16X4|TRELLIS_FF",
    "ccu2c_sim.vh": "CCU2C",
}

_LIMIT_SECONDS = 300


def compare_forms(
    component: Any,
    plain: str,
    other: str,
    folder: Path,
    drive: str,
    *,
    cycles: int,
    settle: int,
) -> int:
    """Return the number of cycles in which an output differs.

    Parameters
    ----------
    component : wiring.Component
        For the names and widths of the ports.
    plain, other : str
        Verilog whose top modules are ``plain`` and ``other``; cells of ECP5 are known.
    folder : Path
        Where the files go.
    drive : str
        Verilog statements that set the inputs for cycle ``n``; ``seed`` is for $random.
    cycles, settle : int
        Cycles in all, and those at the start in which outputs may differ.
    """
    declarations: list[str] = []
    pins: dict[str, list[str]] = {"plain": [], "other": []}
    checks = []
    for path, member, value in component.signature.flatten(component):
        name = "__".join(str(part) for part in path)
        port = f"\\{name} "  # escaped: a port may be called `output`
        span = f"[{len(Value.cast(value)) - 1}:0]"
        if member.flow is wiring.In:
            declarations.append(f"reg {span} {port} = 0;")
            for form in pins.values():
                form.append(f".{port}({port})")
        else:
            declarations.append(f"wire {span} {name}_plain, {name}_other;")
            for form, given in pins.items():
                given.append(f".{port}({name}_{form})")
            checks.append(f"{name}_plain !== {name}_other")
    # A form without anything to reset has no such port.
    for form, text in (("plain", plain), ("other", other)):
        top = re.split(rf"\nmodule {form}\(", text)[-1].split(");")[0]
        for name, value in (("clk", "clk"), ("rst", "1'b0")):
            if re.search(rf"\b{name}\b", top):
                pins[form].append(f".{name}({value})")
    bench = f"""
module bench;
  reg clk = 0;
  integer n = 0, seed = 7, wrong = 0;
  {" ".join(declarations)}
  plain plain_dut ({", ".join(pins["plain"])});
  other other_dut ({", ".join(pins["other"])});
  initial begin
    for (n = 0; n < {cycles}; n = n + 1) begin
      {drive}
      #1;
      if (n >= {settle} && ({" || ".join(checks)})) wrong = wrong + 1;
      clk = 1; #1; clk = 0; #1;
    end
    $display("wrong %0d of %0d", wrong, n);
  end
endmodule
"""
    sources = {
        "plain.v": plain,
        "other.v": other,
        "bench.v": bench,
        "models.v": _MODELS.read_text(),
        "cells.v": _cells(),
    }
    for name, text in sources.items():
        (folder / name).write_text(text)
    command = ["iverilog", "-g2005", "-s", "bench", "-o", "bench", *sources]
    _run(command, folder)
    text = _run(["vvp", "-n", "bench"], folder)
    found = re.search(rf"^wrong (\d+) of {cycles}$", text, re.MULTILINE)
    if found is None:
        raise AssertionError(f"the comparison has not come to its end: {text.strip()}")
    return int(found[1])


def _cells() -> str:
    """Return Yosys' own models of ECP5's small cells, without timing, which Icarus cannot read."""
    modules = []
    for name, wanted in _CELLS.items():
        text = (_LATTICE / name).read_text()
        modules += re.findall(
            rf"^module (?:{wanted})\b.*?^endmodule$", text, re.DOTALL | re.MULTILINE
        )
    return re.sub(r"\bspecify\b.*?\bendspecify\b", "", "\n".join(modules), flags=re.DOTALL)


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_SECONDS
    )
    if done.returncode:
        raise AssertionError(f"{command[0]} failed: {done.stderr.strip()[:2000]}")
    return done.stdout
