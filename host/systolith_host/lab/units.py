"""Synthesises, places and routes the units of Winograd's convolution, each alone, on an ECP5."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.fpga.parts import Part
from systolith_host.fpga.place import place_and_route
from systolith_host.fpga.synthesis import resources, synthesise
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Unit", "measure_units", "unit_names"]

TOP = "unit"


@dataclass(frozen=True)
class Unit:
    """A unit alone.

    Parameters
    ----------
    name : str
    used : mapping of str to int
        LUT, FF, DSP and block RAM after synthesis, without the registers around it.
    mhz : float
        Clock after place and route between registers.
    path : tuple of str
        Signals along the critical path.
    """

    name: str
    used: Mapping[str, int]
    mhz: float
    path: tuple[str, ...]


def _makers() -> dict[str, Callable[[AcceleratorConfig], Any]]:
    """Return what makes each unit for a configuration."""
    # Amaranth takes a second to import.
    from systolith_hw.compute.winograd.kernels import KernelSource
    from systolith_hw.compute.winograd.lanes import LaneSequencer
    from systolith_hw.compute.winograd.patches import PatchSource
    from systolith_hw.compute.winograd.transform import PatchTransform
    from systolith_hw.compute.winograd.weights import KernelTransform
    from systolith_hw.store.winograd.output import OutputTransform
    from systolith_hw.store.winograd.pool import PatchPool
    from systolith_hw.store.winograd.staging import Staging

    return {
        "PatchTransform": lambda config: PatchTransform(config.rows),
        "PatchSource": PatchSource,
        "KernelTransform": lambda config: KernelTransform(config.cols),
        "KernelSource": KernelSource,
        "LaneSequencer": LaneSequencer,
        "OutputTransform": OutputTransform,
        "PatchPool": PatchPool,
        "Staging": Staging,
    }


def unit_names() -> list[str]:
    """Return the names of the units; a source is a transform with its ring of memories."""
    return list(_makers())


def measure_units(
    config: AcceleratorConfig,
    part: Part,
    folder: Path,
    *,
    mhz: float,
    seed: int,
    limit: float,
    names: list[str],
    stage: Callable[[str], None],
) -> Iterator[Unit]:
    """Measure units one after the other; each has a folder of its name in `folder`.

    Parameters
    ----------
    config : AcceleratorConfig
    part : Part
        An ECP5.
    folder : Path
    mhz : float
        The clock that is asked for.
    seed : int
        Of the placement.
    limit : float
        Seconds of a run of nextpnr.
    names : list of str
        Of :func:`unit_names`.
    stage : callable
        Called with the name of each stage as it begins.

    Raises
    ------
    SystolithError
        If the configuration has no such units, or a tool is missing or fails.
    """
    from systolith_hw.generate import component_rtlil
    from systolith_hw.primitives.ecp5 import Ecp5
    from systolith_hw.primitives.harness import Harness

    if not config.winograd:
        raise SystolithError(f"{config.name} has no Winograd units: take one with winograd above 0")
    makers = _makers()
    platform = Ecp5(part.size)
    for name in names:
        own, framed = folder / name / "alone", folder / name / "placed"
        for path in (own, framed):
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None
        stage(f"{name}: synthesis")
        alone = synthesise(component_rtlil(makers[name](config), TOP, platform), TOP, own)
        text = component_rtlil(Harness(makers[name](config)), TOP, platform)
        netlist = synthesise(text, TOP, framed)
        stage(f"{name}: place and route")
        attempts = place_and_route(
            netlist.path,
            part,
            framed,
            mhz=mhz,
            seeds=[seed],
            jobs=1,
            limit=limit,
            options=("--lpf-allow-unconstrained",),
        )
        best = max(attempts, key=lambda attempt: attempt.mhz)
        slowest = min(best.clocks, key=lambda clock: clock.mhz)
        yield Unit(name, resources(alone.cells), slowest.mhz, slowest.path)
