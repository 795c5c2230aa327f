"""Timing: the latencies and queue depths that decide in which cycle something happens.

The gateware takes its constants from here, and so do the replay, the compiler and every estimate.
Latencies are in cycles, depths in items. Where a latency is the sum of what single blocks take,
each block states its own part as ``LATENCY``, and a test adds them up.
"""

from typing import TYPE_CHECKING

from systolith_hw.spec.isa import INSTRUCTION_BYTES

if TYPE_CHECKING:  # the configuration takes its shortest pass from here
    from systolith_hw.spec.config import AcceleratorConfig

__all__ = [
    "ACCUMULATOR_UPDATE",
    "CORE",
    "DRAIN_WORDS",
    "LOAD_JOBS",
    "LOAD_RUNS",
    "POST",
    "READ_BEATS",
    "SETTLE",
    "STORE_RUNS",
    "TILE_PREPARE",
    "compute_latency",
    "conv_cycles",
    "drain_latency",
    "fetch_beats",
    "least_pass",
]

ACCUMULATOR_UPDATE = 5
"""From the read of a sum to the read of the updated sum."""

CORE = 3
"""From a pixel's issue to its sum, beyond rows, columns and the accumulator's update."""

POST = 15
"""From a sum's read to its word in the drain's queue, beyond the lanes behind the first one."""

SETTLE = 7
"""After a program's start, in which it cannot end: the conditions may be the last program's."""

TILE_PREPARE = 3
"""Of the tile writer, between a LOAD's job and its first word."""

LOAD_RUNS = 16
"""Runs of memory that the load engine has requested and not yet unpacked."""

LOAD_JOBS = 8
"""LOADs whose data is requested and not yet being written to a buffer."""

READ_BEATS = 4
"""Beats that wait behind the read channel."""

DRAIN_WORDS = 32
"""Words behind the drain: a sum is read only if the queue has room for its result."""

STORE_RUNS = 4
"""Runs of memory that a STORE has announced and not yet packed."""


def least_pass(rows: int) -> int:
    """Return the cycles of an array's shortest pass.

    A pass lasts at least as long as its weights take to arrive, row by row, and as long as a sum
    takes to be updated, since the next pass adds to the same sums.
    """
    return max(rows, ACCUMULATOR_UPDATE)


def conv_cycles(pixels: int, passes: int, shortest: int) -> int:
    """Return the cycles of a CONV that never waits.

    With ``winograd`` the pixels are its patches, and there are 36 passes for each of c_count.
    The compiler also runs this function compiled by numba.

    Parameters
    ----------
    pixels : int
        Sums that each pass goes over: x_count * y_count * n_count of the instruction.
    passes : int
        Weight blocks, one after the other: s_count * r_count * c_count.
    shortest : int
        Cycles of the shortest pass, see :func:`least_pass`.
    """
    return passes * max(pixels, shortest)


def fetch_beats(config: "AcceleratorConfig") -> int:
    """Return the beats of instructions that wait behind the fetch unit's bursts.

    One burst, or instruction, is taken apart while the next one arrives.
    """
    return 2 * max(config.burst_beats, INSTRUCTION_BYTES // config.bus_bytes)


def compute_latency(config: "AcceleratorConfig") -> int:
    """Return the cycles from a CONV's last pixel to the pulse that it is computed."""
    return config.rows + config.cols + ACCUMULATOR_UPDATE + CORE


def drain_latency(config: "AcceleratorConfig") -> int:
    """Return the cycles from the read of a word's last sum to the word in the drain's queue."""
    return config.post_lanes + POST
