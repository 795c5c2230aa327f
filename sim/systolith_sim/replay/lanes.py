"""The passes of Winograd's convolution: patches and kernels go to rings, and leave lane by lane.

Each ring has two halves, of a chunk of input channels. A half is taken for a chunk, which is in the
ring some cycles after it was gathered, and is freed while its last lanes are read.
"""

from systolith_hw.spec.winograd import LANES
from systolith_sim.replay.parts import compiled, registers
from systolith_sim.replay.table import COLUMNS

__all__ = ["PASSES", "may_gather", "offer", "pass_gate", "step", "works"]

_ACTS_LOADED, _DRAINED, _PASSES, _PATCHES, _CHUNKS = (
    COLUMNS.index(name) for name in ("after_first", "after_second", "passes", "patches", "chunks")
)

PASSES = registers(
    numbers=(
        "gate_row",  # the instruction in the gate
        *("patches_taken", "patches_gathered", "patches_read", "patches_freed"),  # chunks
        *("kernels_taken", "kernels_gathered", "kernels_read", "kernels_freed"),  # chunks
        *("rows_left", "rows"),  # of patches, in the chunk that is gathered
        *("kernels_left", "read_chunks", "kernel_at", "free_kernels_at"),  # the tap reader's
        *("row", "patches", "patches_left", "lane", "chunks_left", "cooldown"),  # the passes'
    ),
    flags=(
        *("given", "full", "loaded_met", "drained_met"),  # the gate's
        *("reading", "kernel_start", "free_patches"),
        *("active", "pass_start", "chunk_start", "fresh", "issued", "issued_first"),
        # Within a cycle: what it offers.
        *("loaded_seen", "drained_seen", "takes_job", "reads_kernel", "takes_chunk"),
        *("there", "issue", "last_patch", "last_lane", "begins", "ends"),
    ),
)


@compiled
def may_gather(w):
    """Return whether a row of patches may begin: half of the ring is its chunk's, or is free."""
    return w.rows_left != w.rows or w.patches_taken - w.patches_freed < 2


@compiled
def works(w):
    """Return whether there is an instruction."""
    return w.full or w.given or w.reading or w.active


@compiled
def offer(w, core, f, table, items, tokens, now):
    """Find whether a word of the ring is issued, and kernels are read; see what counters allow."""
    w.there = not w.chunk_start or (
        w.patches_read != w.patches_gathered and items.patches_at[w.patches_read & 1] <= now
    )
    w.issue = w.active and (not w.pass_start or (w.there and core.block_ready and w.cooldown == 0))
    w.last_patch = w.patches_left == 1
    w.last_lane = w.lane == LANES - 1
    w.begins = w.issue and w.fresh
    w.ends = w.issue and w.last_patch and w.last_lane and w.chunks_left == 1

    w.reads_kernel = (
        w.reading
        and w.kernel_at <= now
        and (not w.kernel_start or w.kernels_taken - w.kernels_freed < 2)
    )
    w.takes_chunk = (
        w.kernels_read != w.kernels_gathered
        and items.kernels_at[w.kernels_read & 1] <= now
        and core.loader_free
    )
    w.loaded_seen = w.full and tokens.loaded >= table[w.gate_row, _ACTS_LOADED]
    w.drained_seen = w.full and tokens.drained >= table[w.gate_row, _DRAINED]
    w.takes_job = w.full and w.loaded_met and w.drained_met and (not w.active or w.ends)


@compiled
def step(w, core, f, table, items, now):
    """Move one cycle on, before the core does."""
    _gather(w, core, f, table, items, now)
    _read_kernels(w, core, f, table, items, now)
    _issue(w, f, table)


@compiled
def pass_gate(w):
    """Move the gate one cycle on, behind what was given to it."""
    w.loaded_met, w.drained_met = w.loaded_seen, w.drained_seen
    if w.takes_job:
        w.full = w.loaded_met = w.drained_met = False


@compiled
def _gather(w, core, f, table, items, now):
    """Follow the pixels that the core issues: patches, their rows and chunks."""
    w.patches_freed += w.free_patches
    w.free_patches = w.issue and w.pass_start and w.lane == f.patch_release
    if core.pixel:
        if core.pass_start and w.rows_left == w.rows:
            w.patches_taken += 1
        if core.pixels_left == LANES and w.rows_left == 1:  # its last patch begins
            items.patches_at[w.patches_gathered & 1] = now + f.patch_latency
            w.patches_gathered += 1
        if core.last_pixel:
            w.rows_left = w.rows if w.rows_left == 1 else w.rows_left - 1
    if core.takes_pixels:
        row = core.pixel_row
        w.rows = w.rows_left = table[row, _PASSES] // table[row, _CHUNKS]


@compiled
def _read_kernels(w, core, f, table, items, now):
    """Read the kernels of a row of the array every 36 cycles, for the weight loader."""
    if w.takes_chunk:
        w.kernels_read += 1
    if w.free_kernels_at == now:
        w.kernels_freed += 1
    if core.load_beat and core.beat == 0 and core.blocks_left == LANES - f.kernel_release:
        w.free_kernels_at = now + 2
    if w.reads_kernel:
        w.kernel_at = now + LANES
        w.kernels_taken += w.kernel_start
        w.kernel_start = w.kernels_left == 1
        if w.kernel_start:
            w.kernels_left = f.rows
            items.kernels_at[w.kernels_gathered & 1] = now + f.kernel_latency
            w.kernels_gathered += 1
            w.reading = w.read_chunks != 1
            w.read_chunks -= 1
        else:
            w.kernels_left -= 1
    if core.takes_weights:
        w.reading = w.kernel_start = True
        w.kernels_left = f.rows
        w.read_chunks = table[core.weight_row, _CHUNKS]


@compiled
def _issue(w, f, table):
    """Go over a chunk's patches, once for each lane."""
    w.issued_first = w.pass_start
    w.issued = w.issue
    if w.issue and w.pass_start:
        w.cooldown = f.accumulator_update - 1
        w.patches_read += w.chunk_start
    elif w.cooldown != 0:
        w.cooldown -= 1
    if w.issue:
        w.fresh = False
        w.pass_start = w.last_patch
        w.chunk_start = w.last_patch and w.last_lane
        if not w.last_patch:
            w.patches_left -= 1
        else:
            w.patches_left = w.patches
            if w.last_lane:
                w.lane = 0
                w.chunks_left -= 1
            else:
                w.lane += 1
    if w.ends:
        w.active = False
    if w.takes_job:
        w.active = w.pass_start = w.chunk_start = w.fresh = True
        w.row = w.gate_row
        w.patches = w.patches_left = table[w.row, _PATCHES]
        w.lane = 0
        w.chunks_left = table[w.row, _CHUNKS]
