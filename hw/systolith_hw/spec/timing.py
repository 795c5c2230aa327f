"""Timing: the latencies and queue depths that decide in which cycle something happens.

The gateware takes its constants from here, and so do the replay, the compiler and every estimate.
Latencies are in cycles, depths in items. Where a latency is the sum of what single blocks take,
each block states its own part as ``LATENCY``, and a test adds them up.
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
    "PATCH_POST",
    "POST",
    "READ_BEATS",
    "SETTLE",
    "STAGED",
    "STAGED_CLEAR",
    "STORE_RUNS",
    "STRIPS",
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
"""From the read of a sum to the read of the updated sum."""

CORE = 3
"""From a pixel's issue to its sum, beyond rows, columns and the accumulator's update."""

POST = 15
"""From a sum's read to its word in the drain's queue, beyond the lanes behind the first one."""

PATCH_POST = 52
"""From the read of a strip's last sum to the first read of its words, beyond the lanes."""

STAGED = 2
"""From the read of a word of a strip to the word in the drain's queue."""

STAGED_CLEAR = 6
"""From the read of the last word of patches to the first sum of a direct STORE that waits for it.

The next STORE on patches does not wait for words.
"""

STRIPS = 2
"""Strips of patches on chip, from the read of their first sum to that of their last word."""

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

WINOGRAD_PATCH = 46
"""From the issue of a patch's first pixel to the write of its first lane in the ring of patches.

A CONV with ``winograd`` is gathered by the walk of its fields, one pixel per cycle. It begins when
``after_loaded_act`` is reached, or right behind the last pixel of the CONV before. It pauses before
the first pixel of a chunk (one of c_count) only, while the ring, which holds two chunks, has no
free half. The first pixel takes a half. It is free again for a first pixel two cycles after the
first issue of pass :func:`patch_release` of the chunk in it. The transform has no phase: a patch
may begin in any cycle.

The first pass of a chunk may issue WINOGRAD_PATCH cycles after the issue of the first pixel of the
chunk's last patch. Each pass waits for its weight block and for the update of the sums, as in a
direct CONV; the first pass of an instruction also waits for ``after_drained``, at a token gate that
holds the next CONV while the passes of the one before run. Within a chunk no pass waits for
anything else than the length of the one before, max(patches, least_pass).

A CONV of the other kind enters the gates when all units of the core were empty a cycle ago.
"""

WINOGRAD_KERNEL = 19
"""From the decision on the kernels of a row to the write of their first lane in their ring.

A row of the array takes its kernels (nine words of the weight buffer) and gives their lanes in 36
cycles, so the next row is decided on 36 cycles later or more. A CONV's first row can be decided on
a cycle after it passed the gate of ``after_loaded_weight``. The first row of each chunk waits while
the ring of two chunks has no free half: one is free two cycles after the first address of block
:func:`kernel_release` of the chunk in it.

The chunk's 36 blocks are a job for the weight loader, which stands there WINOGRAD_KERNEL cycles
after the decision on the chunk's last row; from then on they are loaded as those of a direct CONV.
"""


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


def winograd_latency(patches: int) -> int:
    """Return the cycles from the first pixel of a CONV on patches to the first issue of a pass.

    Its weights and its bank are there by then; `patches` are those of the tile.
    """
    return LANES * (patches - 1) + WINOGRAD_PATCH


def _release(lag: int, config: "AcceleratorConfig") -> int:
    """Return the first lane k with whose read the ring's half may be taken again.

    The first word of the next chunk is written `lag` cycles later, that of lane j j cycles after
    it; lane j is read j - k passes later.
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


def strip_latency(config: "AcceleratorConfig") -> int:
    """Return the cycles from the read of a strip's last sum to the first read of its words.

    A strip is a row of patches of a STORE with ``winograd``. Its sums are read without a pause, 36
    cycles for each patch and each of the block / post_lanes groups of lanes. Its first sum waits
    until fewer than :data:`STRIPS` others are on chip: it is read two cycles after the last word of
    the last but one strip, or later.

    A strip's words are read row by row, one per cycle in which the drain's queue has room; such a
    word takes room as a word of a direct STORE does with its first sum, and is in the queue
    :data:`STAGED` cycles later. The words of the next strip begin two cycles after the last one of
    this strip, or when that latency is over. The next STORE may begin three cycles after that
    latency of the last strip, as one may three cycles after :func:`drain_latency`.
    """
    return config.post_lanes + PATCH_POST
