"""A component's Verilog in Icarus: two forms in parallel, or one against recorded cycles."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyosys
from amaranth.hdl import Value
from amaranth.lib import wiring

from systolith_sim.testing.recording import Recording

__all__ = ["compare_forms", "compare_recording"]

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
    for form, text in (("plain", plain), ("other", other)):
        pins[form] += _clocking(text, form, "1'b0")
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
    return _count_wrong({"plain.v": plain, "other.v": other, "bench.v": bench}, folder, cycles)


def compare_recording(recording: Recording, other: str, folder: Path, *, settle: int) -> int:
    """Return the number of cycles in which a form's outputs are not those that were recorded.

    Parameters
    ----------
    recording : Recording
        Its inputs, and its reset, are those of the form.
    other : str
        Verilog whose top module is ``other``; cells of ECP5 are known.
    folder : Path
        Where the files go.
    settle : int
        Cycles at the start in which outputs may differ.
    """
    cycles = len(recording.given)
    names = {True: ["rst"], False: []}
    spans = ["reg rst = 0;"]
    for name, width, is_input in recording.ports:
        names[is_input].append(f"\\{name} ")
        spans.append(f"{'reg' if is_input else 'wire'} [{width - 1}:0] \\{name} ;")
    ports = [name for side in names.values() for name in side if name != "rst"]
    pins = [f".{name}({name})" for name in ports] + _clocking(other, "other", "rst")
    for name, words in (("given", recording.given), ("wanted", recording.wanted)):
        (folder / f"{name}.hex").write_text("".join(f"{word:x}\n" for word in words))
    bench = f"""
module bench;
  reg clk = 0;
  integer n = 0, wrong = 0;
  {" ".join(spans)}
  reg [{recording.width(True)}:0] given [0:{cycles - 1}];
  reg [{recording.width(False) - 1}:0] wanted [0:{cycles - 1}];
  other other_dut ({", ".join(pins)});
  initial begin
    $readmemh("given.hex", given);
    $readmemh("wanted.hex", wanted);
    for (n = 0; n < {cycles}; n = n + 1) begin
      {{{", ".join(names[True])}}} = given[n];
      #1;
      if (n >= {settle} && {{{", ".join(names[False])}}} !== wanted[n]) wrong = wrong + 1;
      clk = 1; #1; clk = 0; #1;
    end
    $display("wrong %0d of %0d", wrong, n);
  end
endmodule
"""
    return _count_wrong({"other.v": other, "bench.v": bench}, folder, cycles)


def _clocking(text: str, form: str, reset: str) -> list[str]:
    """Return the pins for clock and reset. A form without anything to reset has no such port."""
    top = re.split(rf"\nmodule {form}\(", text)[-1].split(");")[0]
    pins = {"clk": "clk", "rst": reset}
    return [f".{name}({value})" for name, value in pins.items() if re.search(rf"\b{name}\b", top)]


def _count_wrong(sources: dict[str, str], folder: Path, cycles: int) -> int:
    """Run the bench of these sources, and return the cycles that it counts."""
    sources = {**sources, "models.v": _MODELS.read_text(), "cells.v": _cells()}
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
