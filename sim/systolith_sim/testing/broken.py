"""Broken accelerators: the Verilog of one with mutants in it, and those that several tests try."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import ModuleType
from unittest import mock

from systolith_hw import accelerator
from systolith_hw.compute import core, weights
from systolith_hw.control import controller, fetch
from systolith_hw.generate import Flavour, component_verilog
from systolith_hw.load import engine as load_engine
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.store import engine as store_engine
from systolith_sim.testing.mutants import mutant

__all__ = ["BROKEN", "Broken", "broken_verilog"]


@dataclass(frozen=True)
class Broken:
    """A component of the accelerator, and how its text is changed.

    Parameters
    ----------
    component : str
        Its name.
    module : module
        Where its text stands.
    changes : tuple of (str, str)
        As those of :func:`~systolith_sim.testing.mutants.mutant`.
    user : module
        Which builds it.
    """

    component: str
    module: ModuleType
    changes: tuple[tuple[str, str], ...]
    user: ModuleType = accelerator


BROKEN: Mapping[str, Broken] = {
    "the weight loader's `full` is not reset": Broken(
        "WeightLoader",
        weights,
        (("        full = Signal()\n", "        full = Signal(reset_less=True)\n"),),
        core,
    ),
    "fetch's `beat` is not reset": Broken(
        "Fetch",
        fetch,
        (
            (
                "beat = Signal(range(max(2, beats)))",
                "beat = Signal(range(max(2, beats)), reset_less=True)",
            ),
        ),
    ),
    "the engines are reset for too short a time": Broken(
        "Controller",
        controller,
        (("2 * (self.config.rows + self.config.cols) + 128 +", "1 +"),),
    ),
    "a STORE's words are not counted": Broken(
        "StoreEngine",
        store_engine,
        (("moved & (drain.word.p.last != (last & runs.o.p.last))", "0"),),
    ),
    "a LOAD's words are not counted": Broken(
        "LoadEngine", load_engine, (("(wants & spent) | (ended & ~spent)", "0"),)
    ),
}
"""Those that more than one test tries."""


def broken_verilog(
    config: AcceleratorConfig, *parts: Broken, flavour: Flavour = Flavour.SIMULATION
) -> str:
    """Return the text of an accelerator for simulation in which parts are broken.

    Parameters
    ----------
    config : AcceleratorConfig
    parts : Broken
        Each of another component.
    flavour : Flavour
        As of :func:`systolith_sim.rtl.simulator.simulation_verilog`.
    """
    with ExitStack() as stack:
        for part in parts:
            changed = getattr(mutant(part.module, *part.changes), part.component)
            stack.enter_context(mock.patch.object(part.user, part.component, changed))
        top = accelerator.Accelerator(config)
        flat = flavour is Flavour.SIMULATION
        return component_verilog(top, "accelerator", flavour, flatten=flat)
