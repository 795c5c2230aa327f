"""The replay against the RTL: random layers, configurations, tilings and memories, and a table."""

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
from matplotlib.figure import Figure

from systolith_host.compiler import compile_network
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.cost.confirm import Case, compare
from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.lab.random_networks import random_qgraph
from systolith_host.network.shapes import timing_network
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

__all__ = ["CONFIGS", "TURNAROUNDS", "random_cases", "random_memory", "summary", "validate"]

TURNAROUNDS = (0, 0, 0, 1, 4, 15, 64)
"""Cycles between reads and writes; a value is chosen as often as it stands here."""

_SMALL = {
    "act_depth": 1024,
    "param_depth": 64,
    "acc_depth": 64,
    "out_depth": 96,
    "addr_width": 32,
    "multiplier_width": 16,
}

CONFIGS = (
    PRESETS["tiny"],
    AcceleratorConfig(
        name="4x8-one-burst",
        rows=4,
        cols=8,
        weight_depth=96,
        post_lanes=4,
        bus_bytes=8,
        burst_beats=4,
        outstanding_reads=1,
        outstanding_writes=1,
        queue_depth=1,
        **_SMALL,
    ),
    AcceleratorConfig(
        name="8x4-wide-bus",
        rows=8,
        cols=4,
        weight_depth=400,
        post_lanes=1,
        bus_bytes=16,
        burst_beats=16,
        outstanding_reads=8,
        outstanding_writes=4,
        queue_depth=8,
        **_SMALL,
    ),
    AcceleratorConfig(
        name="3x6-narrow-bus",
        rows=3,
        cols=6,
        weight_depth=70,
        post_lanes=1,
        bus_bytes=4,
        burst_beats=16,
        outstanding_reads=2,
        outstanding_writes=1,
        queue_depth=3,
        **{**_SMALL, "param_depth": 18},
    ),
    AcceleratorConfig(
        name="8x8-long-bursts",
        rows=8,
        cols=8,
        weight_depth=1024,
        post_lanes=8,
        bus_bytes=8,
        burst_beats=64,
        outstanding_reads=4,
        outstanding_writes=2,
        queue_depth=16,
        **_SMALL,
    ),
    AcceleratorConfig(
        name="4x4-patches",
        rows=4,
        cols=4,
        weight_depth=96,
        post_lanes=2,
        bus_bytes=8,
        burst_beats=8,
        outstanding_reads=2,
        outstanding_writes=2,
        queue_depth=4,
        winograd=6,
        **{**_SMALL, "acc_depth": 216, "acc_width": 30},
    ),
)
"""Few, because each needs a simulator; they differ in everything that timing depends on."""


def random_memory(
    rng: random.Random, bus_bytes: int, turnarounds: Sequence[int] = TURNAROUNDS
) -> Memory:
    """Return a memory of any latency, bandwidth and turnaround, without random stalls."""
    return Memory(
        latency=rng.choice([2, 5, 20, 40, 100, 300]),
        bytes_per_cycle=rng.choice([None, *(bus_bytes * share for share in (2, 0.7, 0.5, 0.2))]),
        reads=rng.choice([1, 2, 4, 64]),
        writes=rng.choice([1, 2, 64]),
        turnaround=rng.choice(turnarounds),
    )


@contextmanager
def random_tilings(rng: random.Random) -> Iterator[None]:
    """Let the compiler take any of a layer's possible tilings instead of the best ones."""

    def shuffled(*args, **kwargs):
        found = schedule_candidates(*args, **kwargs)
        rng.shuffle(found)
        return [dataclasses.replace(schedule, estimate=0.0) for schedule in found]

    with (
        mock.patch("systolith_host.compiler.compile.schedule_candidates", shuffled),
        mock.patch("systolith_host.compiler.compile.TRIALS", 1),
    ):
        yield


def random_cases(
    config: AcceleratorConfig, count: int, seed: int, turnarounds: Sequence[int] = TURNAROUNDS
) -> list[Case]:
    """Return at least `count` random cases of a configuration."""
    rng = random.Random(f"{config.fingerprint} {seed}")
    cases: list[Case] = []
    while len(cases) < count:
        qgraph, batch = random_qgraph(rng), rng.choice([1, 1, 2, 3])
        memory = random_memory(rng, config.bus_bytes, turnarounds)
        try:
            with random_tilings(rng):
                program = compile_network(qgraph, config, batch, fuse_pool=rng.random() < 0.7)
        except SystolithError:
            continue  # the buffers are too small for it
        cases += compare(program, memory)
    return cases


def summary(cases: Sequence[Case]) -> list[tuple[str, str]]:
    """Return the summary of cases: names and values."""
    errors = np.abs([case.error for case in cases]) * 100
    cycles = [case.measured.cycles for case in cases]
    return [
        ("cases", f"{len(cases)}"),
        ("of them with a turnaround", f"{sum(c.memory.turnaround > 0 for c in cases)}"),
        ("cycles of a case", f"{min(cycles):,} to {max(cycles):,}"),
        ("traffic equal to the RTL's counters", f"{sum(c.traffic_equal for c in cases)}"),
        ("cycles and every engine's states equal", f"{sum(c.exact for c in cases)}"),
        ("error of the cycles, median", f"{np.median(errors):.3f} %"),
        ("95th percentile", f"{np.percentile(errors, 95):.3f} %"),
        ("worst", f"{errors.max():.3f} %"),
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _network_rows(cases: Sequence[Case]) -> list[list[str]]:
    return [
        [
            case.config,
            case.layer,
            f"{case.measured.cycles:,}",
            f"{case.model.cycles:,}",
            f"{100 * case.error:+.4f} %",
            f"{case.measured.bytes_read + case.measured.bytes_written:,}",
            "equal" if case.traffic_equal else "differs",
        ]
        for case in cases
    ]


def _write(folder: Path, cases: Sequence[Case], network: Sequence[Case]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = dict.fromkeys(case.config for case in cases)
    parts = [[case for case in cases if case.config == name] for name in names]
    columns = [dict(summary(part)) for part in (*parts, list(cases))]
    rows = [[key, *(column[key] for column in columns)] for key in columns[0]]
    text = ["# The performance model against the RTL", ""]
    text += [
        "`make validate-model` writes this page: random layers, tilings, memories. The model is the"
    ]
    text += ["replay (`systolith_host.cost.replay`); the RTL ran under Verilator.", ""]
    text += _table(["", *names, "all"], rows)
    text += ["", "![modelled versus measured cycles](model-validation.svg)", ""]
    if network:
        text += ["## VGG-16, layer by layer", ""]
        header = ["accelerator", "layer", "RTL cycles", "model", "error", "bytes moved", "traffic"]
        text += [*_table(header, _network_rows(network)), ""]
    (folder / "model-validation.md").write_text("\n".join(text))
    points = [(case.measured.cycles, case.model.cycles, case.config) for case in cases]
    points += [(case.measured.cycles, case.model.cycles, "VGG-16") for case in network]
    _scatter(points, folder / "model-validation.svg")


def _scatter(points: Sequence[tuple[int, int, str]], path: Path) -> None:
    """Draw modelled against measured cycles.

    Parameters
    ----------
    points : sequence of (measured, modelled, group)
    path : Path
        The suffix names the format: .svg, .png, .pdf.
    """
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    for group in dict.fromkeys(name for _, _, name in points):
        mine = [(measured, model) for measured, model, name in points if name == group]
        axes.scatter(*zip(*mine, strict=True), s=14, alpha=0.6, label=group)
    ends = [min(point[0] for point in points), max(point[0] for point in points)]
    axes.plot(ends, ends, color="black", linewidth=0.8, label="equal")
    axes.set(xscale="log", yscale="log", xlabel="cycles in RTL", ylabel="cycles by the model")
    axes.legend(frameon=False)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, metadata=metadata)


def validate(
    count: int,
    seed: int,
    turnarounds: Sequence[int],
    presets: Sequence[str],
    folder: Path,
    say: Callable[[str], None],
) -> bool:
    """Compare random cases and all of VGG-16, and write a page and a picture of them.

    Parameters
    ----------
    count : int
        Random cases, at least.
    seed : int
    turnarounds : sequence of int
        Of the memories, in cycles; chosen among these.
    presets : sequence of str
        On which all layers of VGG-16 run.
    folder : Path
        Of the results.
    say : callable
        Takes each line for people.

    Returns
    -------
    bool
        Whether the model is no further off than it may be.
    """
    cases: list[Case] = []
    for config in CONFIGS:
        cases += random_cases(config, -(-count // len(CONFIGS)), seed, turnarounds)
        say(f"{config.name}: {len(cases)} cases so far")
    network: list[Case] = []
    _write(folder, cases, network)
    for name in presets:
        qgraph = timing_network(build_network("vgg16"))
        network += compare(compile_network(qgraph, PRESETS[name]), Memory())
        _write(folder, cases, network)
        say(f"vgg16 on {name}: done")
    for key, value in summary(cases):
        say(f"{key}: {value}")
    for row in _network_rows(network):
        say("  ".join(row))
    errors = np.abs([case.error for case in cases])
    good = np.percentile(errors, 95) <= 0.02 and errors.max() <= 0.05
    good = good and all(abs(case.error) <= 0.01 for case in network)
    return bool(good) and all(case.traffic_equal for case in (*cases, *network))
