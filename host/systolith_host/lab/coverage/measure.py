"""Coverage of the gateware: which of its lines, branches, bits and states the campaign reaches."""

import random
from collections.abc import Mapping
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.lab.coverage.directed import DIRECTED, direct
from systolith_host.lab.coverage.draft import SIZE
from systolith_host.lab.coverage.exclusions import Target
from systolith_host.lab.coverage.field_bins import FieldBins
from systolith_host.lab.faults.campaign import FaultResult, run_on
from systolith_host.lab.faults.programs import GUARD, WINDOW, random_layers
from systolith_host.lab.faults.stand import Stand
from systolith_host.progress import ProgressLog
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.faults.bench import FaultBench, fault_testbench
from systolith_sim.faults.counts import Place, merged_counts
from systolith_sim.faults.points import with_points
from systolith_sim.faults.source import Source, part_of
from systolith_sim.rtl.build import build
from systolith_sim.rtl.simulator import simulation_verilog

__all__ = ["measure_coverage", "targets_of"]

_PARTS = {"COMPUTE": "core", "LOAD": "load", "STORE": "store"}
"""The parts whose states are points with an engine's name."""

_LAYERS = 24
"""Correct programs whose instructions directed tests change."""


def targets_of(counts: Mapping[Place, int], source: Source) -> dict[Target, int]:
    """Return what there is to reach, named for people, and how often it was."""
    found = dict[Target, int]()
    for place, count in counts.items():
        if place.kind in ("line", "branch"):
            part, name = source.describe(place)
            target = Target(place.kind, part, name, (), f"{place.line}:{place.column}")
        else:
            part = part_of(place.name.replace("/", "."))
            part = _PARTS.get(part, part)
            target = Target(place.kind, part, place.name, place.bits, place.edge)
        found[target] = found.get(target, 0) + count
    return found


def measure_coverage(
    config: AcceleratorConfig, cases: int, seed: int, folder: Path, log: ProgressLog
) -> dict[Target, int]:
    """Run the campaign's cases and the directed tests on an accelerator that counts.

    Parameters
    ----------
    config : AcceleratorConfig
    cases : int
        Of the campaign of faults, from number 0 on.
    seed : int
    folder : Path
        For memories and counts.
    log : ProgressLog

    Returns
    -------
    dict of Target to int
        How often each was reached.

    Raises
    ------
    SystolithError
        If a tool is missing or fails, or something comes of a test that must not.
    """
    name = config.name
    log.stage(f"{name}: building, about a minute for a small array")
    testbench = fault_testbench(config, with_points(simulation_verilog(config)))
    built = build(testbench, coverage=True)
    bins = FieldBins(config)
    files = []
    problems = []
    done = 0

    def ended(result: FaultResult) -> None:
        nonlocal done
        done += 1
        log.update(result.kind, done, cases)
        if result.problem:
            problems.append(f"{name} {result.index}, {result.kind}: {result.text}")

    if cases:
        log.stage(f"{name}: campaign")
        image = folder / f"{name}.campaign"
        with FaultBench(built, config, image, WINDOW + GUARD, 0) as bench:
            run_on(bench, range(cases), seed, ended, watch=bins.watch)
            files.append(bench.coverage())
    log.stage(f"{name}: directed tests")
    with FaultBench(built, config, folder / f"{name}.directed", SIZE, 0) as bench:
        layers = random_layers(random.Random(f"{seed} {name} directed"), config, _LAYERS)
        stand = Stand(bench, layers)
        stand.watch = bins.watch
        for number, test in enumerate(direct(stand, seed)):
            log.update(test, number, len(DIRECTED))
        files.append(bench.coverage())
    if problems:
        raise SystolithError("; ".join(problems))
    source = Source(testbench.sources["accelerator.v"])
    return targets_of(merged_counts(files), source) | bins.targets()
