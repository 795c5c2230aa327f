"""The replay: every cycle of a layer's instructions, with the engines' registers and no data.

It follows the gateware register by register, one file for each of its rooms, and the simulated
memory (axi_memory.v), but moves counts where they move data. Within a cycle every part first
offers, from its registers, the items that it has and could take. Then every part steps, from the
offers and its own registers. The order of the steps therefore means nothing, and the offers are
ordered only so that a part's comes after those that it looks at.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from systolith_hw.spec.registers import ENGINE_STATES
from systolith_sim.replay import (
    bus,
    compute,
    control,
    fetch,
    gather,
    lanes,
    load,
    memory,
    store,
    strips,
)
from systolith_sim.replay.parts import ITEMS, zeroed
from systolith_sim.replay.table import InstructionTable

__all__ = ["COUNTS", "Replayed", "replay"]

COUNTS = (
    "cycles",
    "read_beats",
    "write_beats",
    *(f"{engine.name} {state}" for engine, states in ENGINE_STATES.items() for state in states),
)
"""The replay's counts since the start, with each engine's cycles in each of its states."""

_LOAD, _COMPUTE, _STORE = range(3, len(COUNTS), len(COUNTS[3:]) // len(ENGINE_STATES))


@dataclass(frozen=True, eq=False)
class Replayed:
    """The result of a replay.

    Parameters
    ----------
    counts : ndarray of int64, shape (len(COUNTS),)
    times : ndarray of int64, shape (instructions, 4)
        The cycle in which each instruction passed its gate, began (first word taken, first pixel
        or first sum), ended, and (a STORE) was acknowledged by the memory; -1 if it did not.
    samples : ndarray of int64, shape (samples, len(COUNTS))
    read_turn : bool
        Whether the memory would serve a read first after it.
    """

    counts: np.ndarray
    times: np.ndarray
    samples: np.ndarray
    read_turn: bool


def replay(
    table: InstructionTable,
    facts: np.ndarray,
    read_turn: bool = False,
    interval: int = 0,
    most_samples: int = 0,
) -> Replayed:
    """Replay a layer.

    Parameters
    ----------
    table : InstructionTable
    facts : array of a record, see :func:`systolith_sim.replay.facts.make_facts`
    read_turn : bool
        Whether the memory serves a read first when it is short of both; layers before leave it
        so or so.
    interval, most_samples : int
        The counts are sampled every `interval` cycles, if it is not 0, so often at most.
    """
    times = np.full((len(table.rows), 4), -1, np.int64)
    samples = np.zeros((most_samples if interval else 0, len(COUNTS)), np.int64)
    counts = np.zeros(len(COUNTS), np.int64)
    mine = [engine.mine(table.rows) for engine in (load, compute, store)]
    loop = _loop(_sources(), bool(facts["gather"][0]))
    turn = loop(table.rows, table.mask, facts, *mine, counts, times, samples, interval, read_turn)
    taken = min(int(counts[0]) // interval, most_samples) if interval else 0
    return Replayed(counts, times, samples[:taken], turn)


_OPTIONS: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "nogil": True,  # layers are replayed side by side, in threads
    "_nrt": False,
}


@cache
def _sources() -> str:
    """Return a hash that changes with any file of the replay."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@cache
def _loop(sources: str, gathers: bool) -> Any:
    """Return the loop over the cycles, compiled, for accelerators that gather weights or others.

    What others do not have is left out: it would take a quarter of the time.

    Numba keeps compiled code on disk and looks whether a function's own file has changed, not
    whether the files of the functions that it calls have. It does look at the values that a
    function takes from its surroundings: here the hash of all `sources`.
    """

    @njit(**_OPTIONS)
    def loop(table, mask, facts, loads, convs, stores, counts, times, samples, interval, read_turn):
        made_of = sources  # noqa: F841
        f = facts[0]
        items = zeroed(ITEMS)
        fetches, loader, core, passes, storer, staged = (
            zeroed(fetch.FETCH), zeroed(load.LOAD), zeroed(compute.COMPUTE), zeroed(lanes.PASSES),
            zeroed(store.STORE), zeroed(strips.STRIPS),
        )  # fmt: skip
        reads, writes = zeroed(bus.READ_PORT), zeroed(bus.WRITE_PORT)
        ram, tokens = zeroed(memory.MEMORY), zeroed(control.CONTROL)
        gathered = zeroed(gather.GATHER)
        fetch.start(fetches, f)
        load.start(f, items)
        gather.start(gathered)
        compute.start(core)
        store.start(storer, f)
        bus.start_reads(reads)
        bus.start_writes(writes)
        memory.start(ram, f, read_turn)
        control.start(tokens, f)
        for now in range(1, f.limit + 1):
            bus.offer_reads(reads, f, items)
            bus.offer_writes(writes, f, items, ram)
            memory.offer(ram, reads, writes)
            if gathers:
                gather.offer(gathered, loader, f, items, mask, now)
            load.offer(loader, gathered, f, table, items, tokens, reads)
            compute.offer(core, passes, gathered, f, table, items, tokens, now)
            store.offer(storer, staged, f, table, items, tokens, writes, now)
            fetch.offer(fetches, f, table, reads, loader, core, storer)
            control.offer(tokens, f, fetches, loader, storer, reads, writes)

            counts[0] = now
            counts[1] = ram.beats_read
            counts[2] = ram.beats_written
            counts[_LOAD + loader.state] += 1
            counts[_COMPUTE + core.state] += 1
            counts[_STORE + storer.state] += 1
            if interval != 0 and now % interval == 0 and now // interval <= len(samples):
                for column in range(len(counts)):
                    samples[now // interval - 1, column] = counts[column]
            if tokens.complete and tokens.settle == 0:
                break

            control.step(tokens, fetches, core, stores, times, now)
            fetch.step(fetches, f)
            bus.step_reads(reads, items, fetches, loader, ram)
            if gathers:
                gather.step(gathered, loader, core, f, table, items, mask, now)
            load.step(loader, gathered, f, table, items, loads, fetches, times, now)
            compute.step(core, passes, f, table, items, convs, fetches, times, now)
            store.step(storer, staged, f, table, items, stores, fetches, times, now)
            bus.step_writes(writes, items, storer, ram)
            memory.step(ram, f, items, reads, writes, now)
        return ram.read_turn

    return loop
