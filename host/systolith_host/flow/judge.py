"""Compares outcomes with the golden model and makes the report."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from systolith_host.flow.labels import Labels
from systolith_host.flow.report import HostReport, LayerReport, Report
from systolith_host.flow.triage import Triage, find_first_wrong
from systolith_host.least import cycle_bound
from systolith_host.program.active import Density, inactive_weights
from systolith_host.program.host import HostStep
from systolith_host.program.instructions import weight_bits
from systolith_host.program.program import Place, Program
from systolith_host.runtime.backend import Facts
from systolith_host.runtime.jobs import Outcome, Ran

__all__ = ["TOP", "make_report"]

TOP = 5
"""Classes that a report names."""


def make_report(
    program: Program,
    outcomes: Sequence[Ran],
    facts: Facts,
    *,
    clock_mhz: float,
    golden: Mapping[str, np.ndarray] | None = None,
    density: Density = 1.0,
    float_output: np.ndarray | None = None,
    labels: Labels | None = None,
    sources: Mapping[str, str] | None = None,
    wall_seconds: float = 0.0,
) -> Report:
    """Put the report together, each outcome compared with the golden model, bit for bit.

    Parameters
    ----------
    program : Program
    outcomes : sequence of Ran
        Of the program's layers and host's parts, or some of them; those that are an Outcome are
        compared.
    facts : Facts
        Of what ran them.
    clock_mhz : float
        For the frames per second, where the device has no clock of its own.
    golden : mapping of str to ndarray, optional
        Every tensor, by the golden model; without it nothing is compared.
    density : Density
        Without it, of the inputs of layers that gather their weights.
    float_output : ndarray of float32, shape (N, classes), optional
        The float network's output for the same inputs.
    labels : Labels, optional
        Names of the classes.
    sources : mapping of str to str, optional
        Where weights and images came from, in words.
    wall_seconds : float
    """
    config = program.config
    rate = facts.memory.rate(config.bus_bytes) if facts.memory is not None else None
    results = {outcome.layer: outcome for outcome in outcomes}
    complete = all(layer.name in results for layer in program.layers)
    steps = program.host if complete else ()
    rows = []
    top: tuple[tuple[int, float], ...] = ()
    triage: Triage | None = None
    for layer in program.layers:
        outcome = results.get(layer.name)
        if outcome is None:
            continue
        counters = outcome.counters
        output = outcome.output if isinstance(outcome, Outcome) else None
        mismatches = None
        if golden is not None and output is not None:
            wanted = golden[layer.output]
            mismatches = _mismatches(output, wanted)
            if mismatches and triage is None and output.shape == wanted.shape:
                triage = find_first_wrong(program, layer, output, wanted)
        # The weights of inactive inputs are neither needed nor read.
        unread, zeros = inactive_weights(program, layer, golden or {}, density)
        bits = weight_bits(program, layer)
        compulsory = layer.compulsory_bytes - unread * bits // 8
        rows.append(
            LayerReport(
                name=layer.name,
                covers=layer.covers,
                kind=layer.kind,
                macs=layer.macs,
                bound_cycles=cycle_bound(layer.products - zeros, compulsory, config, rate).cycles,
                compulsory_bytes=compulsory,
                cycles=counters.cycles if facts.counts_cycles else None,
                bytes_read=counters.bytes_read,
                bytes_written=counters.bytes_written,
                states=counters.states if facts.counts_cycles else {},
                mismatches=mismatches,
                values=math.prod(program.places[layer.output].shape),
                seconds=outcome.seconds if isinstance(outcome, Outcome) else 0.0,
                skipped_bytes=zeros * bits // 8,
            )
        )
        if layer.output == program.output and output is not None:
            top = _top(program.places[program.output], output)
    float_top: tuple[int, ...] = ()
    if top and float_output is not None:
        best = np.argsort(-float_output[0].ravel(), kind="stable")[:TOP]
        float_top = tuple(map(int, best))
    told = dict(sources or {})
    names: dict[int, str] = {}
    if top and labels is not None:
        told["labels"] = labels.source
        names = labels.chosen([*(index for index, _ in top), *float_top])
    return Report(
        network=program.network,
        config=config.to_dict(),
        multipliers=config.multipliers,
        device=facts.device,
        measured=facts.measured,
        memory=None if facts.memory is None else facts.memory.to_dict(config.bus_bytes),
        memory_name=facts.memory_name,
        batch=program.batch,
        clock_mhz=facts.clock_mhz or clock_mhz,
        complete=complete,
        layers=tuple(rows),
        top=top,
        float_top=float_top,
        names=names,
        sources=told,
        wall_seconds=wall_seconds,
        host=tuple(_host_report(program, step, results.get(step.name), golden) for step in steps),
        triage=triage,
    )


def _host_report(
    program: Program,
    step: HostStep,
    outcome: Ran | None,
    golden: Mapping[str, np.ndarray] | None,
) -> HostReport:
    sizes = {name: math.prod(program.places[name].shape) for name in (*step.inputs, step.output)}
    made = outcome.output if isinstance(outcome, Outcome) else None
    return HostReport(
        name=step.name,
        operators=step.part.operators,
        bytes_read=sum(sizes[name] for name in set(step.inputs) - {program.input}),
        bytes_written=sizes[step.output],
        mismatches=None
        if golden is None or made is None
        else _mismatches(made, golden[step.output]),
        values=sizes[step.output],
        seconds=outcome.seconds if isinstance(outcome, Outcome) else None,
    )


def _mismatches(values: np.ndarray, golden: np.ndarray) -> int:
    if values.shape != golden.shape or values.dtype != golden.dtype:
        return int(golden.size)
    return int(np.count_nonzero(values != golden))


def _top(place: Place, output: np.ndarray) -> tuple[tuple[int, float], ...]:
    """Return class index and real value of the largest outputs of the first image."""
    values = (output[0].ravel().astype(np.float64) - place.zero_point) * place.scale
    order = np.argsort(-values, kind="stable")[:TOP]
    return tuple((int(index), float(values[index])) for index in order)
