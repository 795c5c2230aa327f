"""Gathered weights: the scan of inputs, the runs that its mask lets pass, and the ring of units.

The load engine and the core tell each other that a unit is complete, or free again.
"""

from systolith_hw.spec.isa import Buffer
from systolith_sim.replay.parts import MASK, RUN, STATE, compiled, registers
from systolith_sim.replay.table import COLUMNS, DIFFERS

__all__ = ["GATHER", "offer", "start", "step"]

_ACT = int(Buffer.ACT)
_WORDS, _SCAN, _BLOCKS, _UNITS, _FIRST_BIT = (
    COLUMNS.index(name) for name in ("words", "scan", "unit_blocks", "units", "first_bit")
)

GATHER = registers(
    numbers=(
        *("scan_bit", "words_left", "left", "place"),  # the scan's; active bytes of its word
        *("scans", "loading", "bit", "row", "room"),  # of the runs that may pass
        *("blocks", "unit_left"),  # the writer's: words of a run, of the unit
        *("units", "ring_blocks", "blocks_left"),  # the core's ring
        *("freeing", "freed"),  # units that the core has read for the last time
    ),
    flags=(
        *("scanning", "some", "final", "fills", "nothing", "finishing"),
        *("gathers", "known", "first"),
        "written",
        *("ring_gathers", "at_unit"),
        # Within a cycle: what it offers.
        *("takes_word", "goes", "next_word", "ends", "completes", "done", "ended", "packs"),
        *("active", "passes", "drops", "waits"),
        *("complete", "free", "lacks_unit"),
    ),
)


@compiled
def start(s):
    """Bring the registers to the start of a program; without units that gather all runs pass."""
    s.passes = True


@compiled
def offer(s, load, f, items, mask, now):
    """Find what the scan does, whether the walker's run passes, and which units are there."""
    s.goes = s.some and s.left != 0
    s.next_word = not s.some or s.left <= 1
    s.takes_word = (
        s.scanning and not s.final and s.next_word and items.filled[_ACT] >= items.word[_ACT]
    )
    s.ends = s.some and s.final and s.next_word
    s.completes = s.place == f.rows - 1
    s.done = s.fills and s.completes
    if s.ends:
        s.done = s.completes if s.goes else s.place == 0 and not s.nothing
    s.ended = s.finishing
    s.packs = s.some or s.fills

    run = load.walker[STATE] == RUN
    s.active = s.known and mask[s.bit] != 0
    s.waits = run and s.gathers and s.active and s.first and s.room == 0
    s.passes = not s.gathers or (s.active and not (s.first and s.room == 0))
    s.drops = run and s.gathers and s.known and not s.active

    s.complete = s.written
    s.free = s.freed != s.freeing and items.freed_at[s.freed & MASK] == now
    s.lacks_unit = s.ring_gathers and s.at_unit and s.units == 0


@compiled
def step(s, load, core, f, table, items, mask, now):
    """Move one cycle on."""
    _scan(s, load, f, table, items, mask)
    _filter(s, load, f, table)
    _write(s, load, f, table, items)
    _take(s, core, f, table, items, now)


@compiled
def _scan(s, load, f, table, items, mask):
    """Pack the active bytes of a word, one per cycle; zeros fill the buffer's last word."""
    if s.goes or s.fills:
        s.place = 0 if s.completes else s.place + 1
    if s.fills and s.completes:
        s.fills = False
    if s.ends:
        s.fills = not s.done
    s.finishing = s.done
    if s.goes:
        s.left -= 1
        s.nothing = False
    if s.next_word:
        s.some = False
    if s.takes_word:
        items.filled[_ACT] -= items.word[_ACT]
        s.some = True
        s.final = s.words_left == 1
        s.words_left -= 1
        s.left = 0
        for _ in range(f.block):
            s.left += mask[s.scan_bit] == DIFFERS
            s.scan_bit += 1
    if s.ended:
        s.scanning = False
    if load.takes_job:
        job = items.load_jobs[load.next_job]
        if table[job, _SCAN] != 0:
            s.scanning = s.nothing = True
            s.final = False
            s.place = 0
            s.words_left = table[job, _WORDS]
            s.scan_bit = table[job, _FIRST_BIT]


@compiled
def _filter(s, load, f, table):
    """Follow the walker's runs; a region that gathers waits for the scans before it."""
    s.room += s.free
    if s.gathers and (load.takes_run or s.drops):
        s.bit += 1
        if s.active:
            s.room -= s.first
            s.first = s.row == f.rows - 1
            s.row = 0 if s.first else s.row + 1
    if s.loading != 0:
        s.loading -= 1
        s.known = s.loading == 0
    elif s.gathers and not s.known and s.scans == 0:
        s.loading = f.mask_start
    s.scans -= s.ended
    if load.leaves_gate:
        row = load.gate_row
        s.scans += table[row, _SCAN]
        s.gathers = table[row, _BLOCKS] != 0
        s.known = False
        s.loading = 0
        s.bit = table[row, _FIRST_BIT]
        s.row = 0
        s.first = True
        s.room = table[row, _UNITS]


@compiled
def _write(s, load, f, table, items):
    """Count the words of a unit that are written."""
    s.written = False
    if load.words_step and s.blocks != 0:
        s.written = s.unit_left == 1 or load.words_last
        s.unit_left = f.rows * s.blocks if s.unit_left == 1 else s.unit_left - 1
    if load.takes_job:
        job = items.load_jobs[load.next_job]
        s.blocks = table[job, _BLOCKS]
        s.unit_left = f.rows * s.blocks


@compiled
def _take(s, core, f, table, items, now):
    """Follow the core through the ring; a unit is free when the last column has read it."""
    s.units += s.complete
    s.freed += s.free
    if core.load_beat and s.ring_gathers:
        if core.first_beat:
            s.units -= s.at_unit
        if core.last_beat:
            s.at_unit = s.blocks_left == 1
            s.blocks_left = s.ring_blocks if s.at_unit else s.blocks_left - 1
            if s.at_unit:
                items.freed_at[s.freeing & MASK] = now + f.cols
                s.freeing += 1
    if core.loader_ends:
        s.ring_gathers = False
    if core.takes_weights:
        s.ring_blocks = s.blocks_left = table[core.weight_row, _BLOCKS]
        s.ring_gathers = s.at_unit = s.ring_blocks != 0
