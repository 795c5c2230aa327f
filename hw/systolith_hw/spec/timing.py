"""Timing: the latencies and queue depths that decide in which cycle something happens.

The gateware takes its constants from here, and so do the replay, the compiler and every estimate.
Latencies are in cycles, depths in items. Where a latency is a sum over several blocks, each block
states its own part as ``LATENCY``, and a test adds them up.
"""

from typing import TYPE_CHECKING

from systolith_hw.spec.isa import INSTRUCTION_BYTES
from systolith_hw.spec.winograd import LANES

if TYPE_CHECKING:  # the configuration takes its shortest pass from here
    from systolith_hw.spec.config import AcceleratorConfig

__all__ = [
    "ACCUMULATOR_UPDATE",
    "CORE",
    "DRAIN_WORDS",
    "LOAD_JOBS",
    "LOAD_RUNS",
    "MASK_START",
    "PATCH_POST",
    "POST",
    "READ_BEATS",
    "SETTLE",
    "STAGED",
    "STAGED_CLEAR",
    "STORE_RUNS",
    "STRIPS",
    "TABLE",
    "TILE_PREPARE",
    "WINOGRAD_KERNEL",
    "WINOGRAD_PATCH",
    "compute_latency",
    "conv_cycles",
    "drain_latency",
    "fetch_beats",
    "kernel_release",
    "least_pass",
    "patch_release",
    "strip_latency",
    "winograd_latency",
]

ACCUMULATOR_UPDATE = 5
"""From the read of a sum to the first cycle that can read the updated sum."""

CORE = 3
"""Part of :func:`compute_latency` besides rows, columns and the accumulator's update."""

POST = 15
"""Part of :func:`drain_latency` besides one cycle for each post-processing lane."""

TABLE = 3
"""From a requantised sum to its entry of the table, in configurations with ``functions``."""

PATCH_POST = 52
"""Part of :func:`strip_latency` besides one cycle for each post-processing lane."""

STAGED = 2
"""From the read of a strip's word in the staging memory to the word in the drain's queue."""

STAGED_CLEAR = 6
"""From the read of the last word of patches to the first sum of a direct STORE that waits for it.

A STORE of patches does not wait for the words of the one before.
"""

STRIPS = 2
"""Strips of patches on chip, each from the read of its first sum to the read of its last word."""

SETTLE = 7
"""Cycles after a program's start in which it cannot end: the conditions for its end may still be
those of the program before."""

TILE_PREPARE = 3
"""Cycles of the tile writer from a LOAD's job to its first word."""

LOAD_RUNS = 16
"""Runs of memory that the load engine may have requested and not yet unpacked."""

LOAD_JOBS = 8
"""LOADs that the load engine may have requested and not yet begun to write to a buffer."""

MASK_START = 3
"""From the end of the last scan, or the begin of a gathering region, to its first mask bit."""

READ_BEATS = 4
"""Beats of the queue behind the read channel."""

DRAIN_WORDS = 32
"""Words of the drain's queue: a sum is read only if the queue has room for its result."""

STORE_RUNS = 4
"""Runs of memory that the store engine may have announced and not yet packed."""

WINOGRAD_PATCH = 46
"""From the issue of a patch's first pixel to the write of its first lane in the ring of patches.

The walk of a CONV with ``winograd`` gathers its patches, one pixel per cycle. It begins when
``after_loaded_act`` is reached, or right behind the last pixel of the CONV before. It pauses only
before the first pixel of a chunk (one of c_count), while the ring, which holds two chunks, has no
free half. The first pixel takes a half. Another first pixel may take that half two cycles after the
first issue of pass :func:`patch_release` of the chunk in it. The transform has no phase: a patch
may begin in any cycle.

The first pass of a chunk may issue WINOGRAD_PATCH cycles after the issue of the first pixel of the
chunk's last patch. Each pass waits for its weight block and for the update of the sums, as in a
direct CONV. The first pass of an instruction also waits for ``after_drained``, at a token gate that
holds the next CONV while the passes of the one before run. Within a chunk a pass waits only until
the one before has taken its max(patches, least_pass) cycles.

A CONV of the other kind enters the gates if all units of the core were empty in the cycle before.
"""

WINOGRAD_KERNEL = 19
"""From the decision on the kernels of a row to the write of their first lane in their ring.

The kernels of a row of the array are nine words of the weight buffer. Their lanes take 36 cycles,
so the next row is decided on at least 36 cycles later. The first row of a CONV can be decided on
one cycle after the CONV has passed the gate of ``after_loaded_weight``. The first row of each chunk
waits while the ring, which holds two chunks, has no free half. A half is free two cycles after the
first address of block :func:`kernel_release` of the chunk in it.

WINOGRAD_KERNEL cycles after the decision on a chunk's last row, the chunk's 36 blocks are a job for
the weight loader, which loads them as those of a direct CONV.
"""


def least_pass(rows: int) -> int:
    """Return the cycles of the shortest pass of an array of `rows` rows.

    A pass lasts at least as long as the next weight block takes to arrive, row by row, and as long
    as the update of a sum, since the next pass adds to the same sums.
    """
    return max(rows, ACCUMULATOR_UPDATE)


def conv_cycles(pixels: int, passes: int, shortest: int) -> int:
    """Return the cycles of a CONV that never waits.

    The compiler also runs this function compiled by numba.

    Parameters
    ----------
    pixels : int
        Pixels of each pass: x_count * y_count * n_count of the instruction; with ``winograd`` its
        patches.
    passes : int
        Passes of the CONV: s_count * r_count * c_count; with ``winograd`` 36 * c_count.
    shortest : int
        Cycles of the shortest pass, see :func:`least_pass`.
    """
    return passes * max(pixels, shortest)


def winograd_latency(patches: int) -> int:
    """Return the cycles from the first pixel of a CONV on patches to the first issue of a pass.

    The weights and the accumulator bank must be ready by then. The tile has `patches` patches.
    """
    return LANES * (patches - 1) + WINOGRAD_PATCH


def _release(lag: int, config: "AcceleratorConfig") -> int:
    """Return the smallest lane k whose pass may release the ring's half for the next chunk.

    The next chunk overwrites lane 0 at the earliest `lag` cycles after the release, and lane j
    j cycles after that. The reader comes to lane j in the pass j - k passes later.
    """
    longest = max(config.winograd, config.least_pass)
    last = LANES - 1
    return max(1, last - (lag + last - 1) // longest)


def patch_release(config: "AcceleratorConfig") -> int:
    """Return the pass of a chunk, 0 to 35, whose issue releases its half of the ring of patches."""
    return _release(WINOGRAD_PATCH, config)


def kernel_release(config: "AcceleratorConfig") -> int:
    """Return the block of a chunk whose first address releases its half of the ring of weights."""
    return _release(WINOGRAD_KERNEL + 2, config)


def fetch_beats(config: "AcceleratorConfig") -> int:
    """Return the beats of the fetch unit's queue: two bursts, or two instructions if that is more.

    The unit takes one apart while the next one arrives.
    """
    return 2 * max(config.burst_beats, INSTRUCTION_BYTES // config.bus_bytes)


def compute_latency(config: "AcceleratorConfig") -> int:
    """Return the cycles from the issue of a CONV's last pixel to the pulse that it is computed."""
    return config.rows + config.cols + ACCUMULATOR_UPDATE + CORE


def drain_latency(config: "AcceleratorConfig") -> int:
    """Return the cycles from the read of a word's last sum to the word in the drain's queue."""
    return config.post_lanes + POST + TABLE * config.functions


def strip_latency(config: "AcceleratorConfig") -> int:
    """Return the cycles from the read of a strip's last sum to the first read of its words.

    A strip is a row of patches of a STORE with ``winograd``. The drain reads its sums without a
    pause, 36 cycles for each patch and each of the block / post_lanes groups of lanes. The first
    sum of a strip waits until fewer than :data:`STRIPS` others are on chip: the drain reads it at
    least two cycles after the read of the last word of the last but one strip.

    The words of a strip are read row by row, one per cycle in which the drain's queue has room. A
    word claims its room with this read, where a word of a direct STORE does so with its first sum,
    and is in the queue :data:`STAGED` cycles later. The words of the next strip begin at least two
    cycles after the last one of this strip, and not before the next strip's own latency is over.
    The next STORE may begin three cycles after the last strip's latency is over, as it may three
    cycles after :func:`drain_latency`.
    """
    return config.post_lanes + PATCH_POST + TABLE * config.functions
