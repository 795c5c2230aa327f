"""Random layers, tilings, configurations and memories, by the replay and by the RTL."""

import random
from collections.abc import Sequence
from dataclasses import replace

from systolith_host.compiler import compile_network
from systolith_host.cost.confirm import Case, compare
from systolith_host.errors import SystolithError
from systolith_host.lab.fuzz.gather import random_dense_qgraph
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.lab.fuzz.nibbles import narrow_weights
from systolith_host.lab.fuzz.winograd import random_tilings, random_winograd_case
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

__all__ = ["CONFIGS", "KINDS", "TURNAROUNDS", "kind_of", "random_cases", "random_memory"]

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
    AcceleratorConfig(
        name="4x8-gathers",
        rows=4,
        cols=8,
        weight_depth=96,
        post_lanes=4,
        bus_bytes=8,
        burst_beats=8,
        outstanding_reads=2,
        outstanding_writes=2,
        queue_depth=4,
        gather=640,
        **_SMALL,
    ),
    # Two groups of lanes to a row, one instruction and one burst at a time, a lane drains.
    AcceleratorConfig(
        name="6x3-gathers",
        rows=6,
        cols=3,
        weight_depth=130,
        post_lanes=1,
        bus_bytes=4,
        burst_beats=16,
        outstanding_reads=1,
        outstanding_writes=1,
        queue_depth=1,
        gather=639,
        **{**_SMALL, "param_depth": 18},
    ),
    # The bus brings two runs of a block in a beat; units are freed while others still are read.
    AcceleratorConfig(
        name="4x8-gathers-patches-functions",
        rows=4,
        cols=8,
        weight_depth=400,
        post_lanes=2,
        bus_bytes=16,
        burst_beats=16,
        outstanding_reads=8,
        outstanding_writes=4,
        queue_depth=8,
        winograd=5,
        functions=1,
        gather=1024,
        **{**_SMALL, "acc_depth": 200, "acc_width": 30},
    ),
    # A word of nibbles leaves the bus idle: it brings two of them, and a half, in a beat.
    AcceleratorConfig(
        name="12x6-nibbles",
        rows=12,
        cols=6,
        weight_depth=400,
        post_lanes=2,
        bus_bytes=16,
        burst_beats=16,
        outstanding_reads=4,
        outstanding_writes=2,
        queue_depth=4,
        nibbles=1,
        **{**_SMALL, "param_depth": 36},
    ),
    # Kernels of 4 bits are transformed like others.
    AcceleratorConfig(
        name="4x8-patches-nibbles",
        rows=4,
        cols=8,
        weight_depth=120,
        post_lanes=4,
        bus_bytes=4,
        burst_beats=8,
        outstanding_reads=2,
        outstanding_writes=1,
        queue_depth=2,
        winograd=5,
        nibbles=1,
        **{**_SMALL, "acc_depth": 200, "acc_width": 30},
    ),
    AcceleratorConfig(
        name="4x8-gathers-nibbles",
        rows=4,
        cols=8,
        weight_depth=130,
        post_lanes=4,
        bus_bytes=8,
        burst_beats=16,
        outstanding_reads=4,
        outstanding_writes=2,
        queue_depth=4,
        gather=640,
        nibbles=1,
        **_SMALL,
    ),
)
"""Few, because each needs a simulator; they differ in everything that timing depends on."""


KINDS = ("direct", "winograd", "gather")
"""Kinds of configurations and of cases."""


def kind_of(config: AcceleratorConfig) -> str:
    """Return the kind of the random cases of a configuration."""
    return "gather" if config.gather else "winograd" if config.winograd else "direct"


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
    """Return at least `count` random cases of a configuration, of the kind for which it has units.

    If it gathers weights these are layers that do, else Winograd's. The other layers of the same
    networks are cases, too.
    """
    rng = random.Random(f"{config.fingerprint} {seed}")
    cases: list[Case] = []
    while sum(kind_of(config) in (case.kind, "direct") for case in cases) < count:
        if config.gather and rng.random() < 0.9:
            qgraph = random_dense_qgraph(rng)
            images = random_input(rng, qgraph, 1)
            batch = 1
        elif config.winograd and rng.random() < 0.8:
            qgraph, images = random_winograd_case(rng, config)
            batch = len(images)
        else:
            qgraph = random_qgraph(rng, functions=bool(config.functions))
            batch = rng.choice([1, 1, 2, 3])
            images = random_input(rng, qgraph, batch)
        if config.nibbles:
            qgraph = narrow_weights(rng, qgraph)
        memory = random_memory(rng, config.bus_bytes, turnarounds)
        try:
            with random_tilings(rng, winograd=0.8):
                program = compile_network(
                    qgraph,
                    config,
                    batch,
                    fuse_pool=rng.random() < 0.7,
                    density=0.01,
                )
        except SystolithError:
            continue  # the buffers are too small for it
        cases += compare(program, memory, images if config.gather else None)
    return cases
