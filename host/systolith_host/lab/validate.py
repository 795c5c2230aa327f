"""The replay against the RTL: random layers, configurations, tilings and memories, and a table."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from systolith_host.compiler import compile_network
from systolith_host.cost.confirm import Case, compare
from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.lab.random_networks import random_qgraph
from systolith_host.lab.random_winograd import random_tilings, random_winograd_case
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

_LONG_BURSTS = AcceleratorConfig(
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
)

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
    _LONG_BURSTS,
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
    # A pass lasts as long as the array is high, a chunk at a time has room, a lane drains.
    AcceleratorConfig(
        name="8x4-few-patches",
        rows=8,
        cols=4,
        weight_depth=8 * 18,
        post_lanes=1,
        bus_bytes=16,
        burst_beats=16,
        outstanding_reads=8,
        outstanding_writes=4,
        queue_depth=8,
        winograd=5,
        **{**_SMALL, "acc_depth": 189},
    ),
    AcceleratorConfig(
        name="4x12-many-patches",
        rows=4,
        cols=12,
        weight_depth=4 * 40 + 1,
        post_lanes=4,
        bus_bytes=4,
        burst_beats=16,
        outstanding_reads=1,
        outstanding_writes=1,
        queue_depth=1,
        winograd=20,
        **{**_SMALL, "param_depth": 36, "acc_depth": 1000},
    ),
    replace(_LONG_BURSTS, name="8x8-lanes", winograd=16, acc_depth=576, acc_width=28),
    AcceleratorConfig(
        name="6x3-functions",
        rows=6,
        cols=3,
        weight_depth=90,
        post_lanes=1,
        bus_bytes=16,
        burst_beats=8,
        outstanding_reads=2,
        outstanding_writes=2,
        queue_depth=4,
        functions=1,
        **{**_SMALL, "param_depth": 18},
    ),
    AcceleratorConfig(
        name="4x8-patches-functions",
        rows=4,
        cols=8,
        weight_depth=96,
        post_lanes=4,
        bus_bytes=8,
        burst_beats=16,
        outstanding_reads=4,
        outstanding_writes=2,
        queue_depth=4,
        winograd=5,
        functions=1,
        **{**_SMALL, "acc_depth": 200, "acc_width": 30},
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


def random_cases(
    config: AcceleratorConfig, count: int, seed: int, turnarounds: Sequence[int] = TURNAROUNDS
) -> list[Case]:
    """Return at least `count` random cases of a configuration, of Winograd's kind if it has that.

    The direct layers of the same networks are cases, too.
    """
    rng = random.Random(f"{config.fingerprint} {seed}")
    cases: list[Case] = []
    while sum(case.winograd or not config.winograd for case in cases) < count:
        if config.winograd and rng.random() < 0.8:
            qgraph, images = random_winograd_case(rng, config)
            batch = len(images)
        else:
            qgraph = random_qgraph(rng, functions=bool(config.functions))
            batch = rng.choice([1, 1, 2, 3])
        memory = random_memory(rng, config.bus_bytes, turnarounds)
        try:
            with random_tilings(rng, winograd=0.8):
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
        ("of them Winograd's convolution", f"{sum(c.winograd for c in cases)}"),
        ("with a turnaround of the memory", f"{sum(c.memory.turnaround > 0 for c in cases)}"),
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
    axes.set_prop_cycle(color=colormaps["tab20"](range(20)))  # a colour for each of the groups
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
    winograd: int,
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
        Random cases on configurations without Winograd's units, at least.
    winograd : int
        Random cases of Winograd's convolution, at least.
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
        Whether every counter of every case is the RTL's.
    """
    cases: list[Case] = []
    for config in CONFIGS:
        alike = [one for one in CONFIGS if bool(one.winograd) == bool(config.winograd)]
        share = -(-(winograd if config.winograd else count) // len(alike))
        if share:
            cases += random_cases(config, share, seed, turnarounds)
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
    differ = [case for case in (*cases, *network) if not case.exact]
    for case in differ:
        say(f"differs: {case.config}, {case.layer}, {case.memory}")
    return not differ
