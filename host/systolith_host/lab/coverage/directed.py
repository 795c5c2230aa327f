"""Directed tests of the whole accelerator: what random programs seldom or never do.

Each runs programs written by hand on the fault bench and demands the emulator's result.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from systolith_host.lab.coverage.draft import SIZE
from systolith_host.lab.coverage.ends import legal_ends, memory_end
from systolith_host.lab.coverage.fields import ends, random_fields
from systolith_host.lab.coverage.kinds import kinds
from systolith_host.lab.coverage.stand import Director
from systolith_host.lab.coverage.waits import (
    dead_writes,
    late_scans,
    leftovers,
    resets,
    slow_reads,
    tokens,
)
from systolith_host.lab.coverage.work import busy, fills, loose, many, numbers, registers
from systolith_host.lab.faults.stand import Stand

__all__ = ["DIRECTED", "direct"]

DIRECTED: Mapping[str, Callable[[Director], None]] = {
    "registers": registers,
    "full buffers": fills,
    "loose fields": loose,
    "many instructions": many,
    "long work": busy,
    "slow reads": slow_reads,
    "dead channels": dead_writes,
    "leftovers": leftovers,
    "late scans": late_scans,
    "orders of tokens": tokens,
    "kinds of convolution": kinds,
    "resets": resets,
    "numbers of instructions": numbers,
    "any fields": random_fields,
    "legal ends of fields": legal_ends,
    "the end of memory": memory_end,
    "ends of fields": ends,
    "registers again": registers,
}
"""The tests by name; at the end the registers hold what the others left."""


def direct(stand: Stand, seed: int) -> Iterator[str]:
    """Run the directed tests one after the other; yield the name of each before it begins.

    Raises
    ------
    FaultError
        If anything comes of one that must not.
    """
    layers = []
    for layer in stand.layers:
        memory = np.zeros(SIZE, np.uint8)
        memory[: layer.before.size] = layer.before
        layers.append(replace(layer, before=memory))
    stand.layers = layers
    stand.reset_hardware()
    for name, test in DIRECTED.items():
        yield name
        test(Director(stand, random.Random(f"{seed} {stand.config.name} {name}")))
