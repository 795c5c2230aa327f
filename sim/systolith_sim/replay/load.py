"""The load engine: asks for runs of memory, unpacks their beats, fills the buffers."""

import numpy as np

from systolith_hw.spec.isa import PARAM_BYTES, Buffer, Opcode
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_sim.replay.parts import (
    ACTIVE,
    BASE,
    BEATS,
    END,
    IDLE,
    LAST,
    MASK,
    POPPED,
    PUSHED,
    QUEUE,
    READY,
    ROW,
    SKIP,
    SPLITTER,
    STATE,
    WALKER,
    burst_beats,
    compiled,
    queue_free,
    queue_step,
    registers,
    run_taken,
    split_step,
    walk_step,
)
from systolith_sim.replay.table import COLUMNS

__all__ = ["LOAD", "mine", "offer", "start", "step"]

_IDLE, _BUSY, _MEMORY, _COMPUTE, _STORE = range(len(ENGINE_STATES[Engine.LOAD]))
(
    _OPCODE, _COMPUTED, _DRAINED, _STORED, _BUFFER, _PLANES, _WORDS, _ENTRIES, _SCAN,
    _TILE_ROWS, _TILE_COLUMNS, _TOP, _BOTTOM, _LEFT, _RIGHT, _PER_WORD, _NIBBLES,
) = (
    COLUMNS.index(name)
    for name in (
        "opcode", "after_first", "after_second", "after_third", "buffer", "planes", "words",
        "entries", "scan", "tile_rows", "tile_columns", "body_top", "body_bottom", "body_left",
        "body_right", "per_word", "nibbles",
    )
)  # fmt: skip
_ACT = int(Buffer.ACT)

LOAD = registers(
    numbers=(
        "gate_row",
        *("run_left", "run_take", "run_end", "run_buffer"),  # the run whose beats come
        # The words of weights, parameters or a table, and entries of the word at hand.
        *("words_buffer", "words_left", "word_entries", "entries_left", "nibbles"),
        *("tile_row", "tile_waits", "line", "column", "planes_left", "packed_left"),
        "sink_row",
        *("beats", "state", "next_job"),  # within a cycle: what it offers
    ),
    flags=(
        *("gate_full", "computed_met", "drained_met", "stored_met"),
        *("run_active", "words_active", "tile_active", "done"),
        # Within a cycle: what it offers.
        *("computed_seen", "drained_seen", "stored_seen"),
        *("takes_instruction", "leaves_gate", "asked", "takes_run", "pushed", "run_ends"),
        *("needs_word", "in_body", "tile_steps", "column_ends", "row_ends", "tile_ends"),
        *("words_step", "words_last", "words_end", "free", "takes_job"),
    ),
    arrays={
        "instructions": QUEUE,
        "walker": WALKER,
        "splitter": SPLITTER,
        "runs": QUEUE,
        "jobs": QUEUE,
    },
)


@compiled
def _gcd(a, b):
    while b:
        a, b = b, a % b
    return a


@compiled
def start(f, items):
    """Bring the registers to the start of a program."""
    sizes = (f.block, f.cols, PARAM_BYTES)
    for buffer in range(3):
        items.unit[buffer] = _gcd(f.bus, sizes[buffer])
        items.word[buffer] = sizes[buffer] // items.unit[buffer]


def mine(table: np.ndarray) -> np.ndarray:
    """Return which instructions are LOADs."""
    return np.flatnonzero(table[:, _OPCODE] == int(Opcode.LOAD))


@compiled
def offer(s, g, f, table, items, tokens, read):
    """Offer a burst to read and room for the beat at hand; see what the counters allow."""
    # The side that takes: the tile writer, or the count of weights' or parameters' words.
    s.needs_word = s.in_body = s.tile_steps = False
    if s.tile_active and s.tile_waits == 0:
        row = s.tile_row
        s.in_body = (
            table[row, _TOP] <= s.line < table[row, _BOTTOM]
            and table[row, _LEFT] <= s.column < table[row, _RIGHT]
        )
        s.needs_word = s.in_body and not (table[row, _PER_WORD] != 0 and s.packed_left != 0)
        s.tile_steps = not s.needs_word or items.filled[_ACT] >= items.word[_ACT]
    s.column_ends = s.tile_steps and s.column == table[s.tile_row, _TILE_COLUMNS] - 1
    s.row_ends = s.column_ends and s.line == table[s.tile_row, _TILE_ROWS] - 1
    s.tile_ends = s.row_ends and s.planes_left == 0
    s.words_step = (
        s.words_active
        and s.entries_left == 0
        and items.filled[s.words_buffer] >= items.word[s.words_buffer]
    )
    s.words_last = s.words_left == 1
    s.words_end = (s.words_step and s.words_last and s.word_entries == 1) or (
        s.entries_left == 1 and s.words_left == 0
    )
    s.free = not s.words_active and not s.tile_active and not g.scanning
    s.takes_job = s.jobs[READY] != 0 and s.free
    s.next_job = s.jobs[POPPED] & MASK

    # The beat at hand goes to the unpacker of its run's buffer.
    room = items.filled[s.run_buffer] <= 2 * items.word[s.run_buffer] - 1
    s.pushed = read.beat_valid and not read.beat_fetch and s.run_active and room
    s.run_ends = not s.run_active or (s.pushed and s.run_left == 1)

    # The side that asks: gate, walker, splitter.
    s.computed_seen = s.gate_full and tokens.computed >= table[s.gate_row, _COMPUTED]
    s.drained_seen = s.gate_full and tokens.drained >= table[s.gate_row, _DRAINED]
    s.stored_seen = s.gate_full and tokens.stored >= table[s.gate_row, _STORED]
    s.leaves_gate = (
        s.gate_full
        and s.computed_met
        and s.drained_met
        and s.stored_met
        and s.walker[STATE] == IDLE
        and queue_free(s.jobs, f.load_jobs)
    )
    s.takes_instruction = s.instructions[READY] != 0 and not s.gate_full
    s.beats = burst_beats(s.splitter, f.burst_beats)
    s.asked = s.splitter[ACTIVE] != 0 and not read.load_waits
    s.takes_run = (
        run_taken(s.walker, s.splitter, s.asked, s.beats)
        and queue_free(s.runs, f.load_runs)
        and g.passes
    )

    if s.words_step or s.tile_steps or s.entries_left != 0 or g.packs:
        s.state = _BUSY
    elif g.waits:
        s.state = _COMPUTE
    elif not s.free or s.jobs[READY] != 0:
        s.state = _MEMORY
    elif s.gate_full and not s.computed_met:
        s.state = _COMPUTE
    elif s.gate_full and not (s.drained_met and s.stored_met):
        s.state = _STORE
    else:
        s.state = _IDLE


@compiled
def step(s, g, f, table, items, mine, fetch, times, now):
    """Move one cycle on."""
    _take(s, g, f, table, items, times, now)
    _ask(s, g, f, table, items, mine, fetch, times, now)


@compiled
def _take(s, g, f, table, items, times, now):
    """Put words into the buffers, beats into the unpackers."""
    s.done = s.words_end or s.tile_ends or g.ended
    if s.done:
        times[s.sink_row, 2] = now
    if s.tile_steps:
        if s.column_ends:
            s.packed_left = 0
            s.column = 0
            s.line = 0 if s.row_ends else s.line + 1
        else:
            per_word = table[s.tile_row, _PER_WORD]
            if s.in_body and per_word != 0:
                s.packed_left = (s.packed_left if s.packed_left != 0 else per_word) - 1
            s.column += 1
        if s.row_ends:
            s.planes_left -= 1
        if s.needs_word:
            items.filled[_ACT] -= items.word[_ACT]
    if s.tile_ends:
        s.tile_active = False
    if s.tile_waits != 0:
        s.tile_waits -= 1
    if s.entries_left != 0:
        s.entries_left -= 1
    if s.words_step:
        s.entries_left = s.word_entries - 1
        s.words_left -= 1
        # Of two words in one, the first leaves it there.
        if s.nibbles == 0 or s.words_left & 1 == 0:
            items.filled[s.words_buffer] -= items.word[s.words_buffer]
    if s.words_end:
        s.words_active = False

    if s.pushed:
        items.filled[s.run_buffer] += s.run_take // items.unit[s.run_buffer]
        s.run_take = s.run_end if s.run_left == 2 else f.bus
        s.run_left -= 1
    if s.run_ends:
        run = items.load_runs[s.runs[POPPED] & MASK]
        s.run_active = s.runs[READY] != 0
        s.run_left = run[0]
        s.run_end = run[2]
        s.run_take = (run[2] if run[0] == 1 else f.bus) - run[1]
        s.run_buffer = run[3]

    if s.takes_job:
        job = items.load_jobs[s.next_job]
        s.sink_row = job
        times[job, 1] = now
        if table[job, _SCAN] != 0:
            pass  # g has it
        elif table[job, _BUFFER] == _ACT:
            s.tile_active = True
            s.tile_waits = f.tile_prepare
            s.tile_row = job
            s.line = s.column = s.packed_left = 0
            s.planes_left = table[job, _PLANES] - 1
        else:
            s.words_active = True
            s.words_buffer = table[job, _BUFFER]
            s.words_left = table[job, _WORDS]
            s.word_entries = table[job, _ENTRIES]
            s.nibbles = table[job, _NIBBLES]


@compiled
def _ask(s, g, f, table, items, mine, fetch, times, now):
    """Bring instructions through the gate and the walker to bursts."""
    if s.leaves_gate:
        items.load_jobs[s.jobs[PUSHED] & MASK] = s.gate_row
        times[s.gate_row, 0] = now
    queue_step(s.jobs, s.leaves_gate, s.free)
    if s.takes_run:
        run = items.load_runs[s.runs[PUSHED] & MASK]
        run[0] = s.walker[BEATS]
        run[1] = s.walker[SKIP]
        run[2] = s.walker[END]
        run[3] = table[s.walker[ROW], _BUFFER]
    queue_step(s.runs, s.takes_run, s.run_ends)
    split_step(
        s.splitter, f.bus, s.asked, s.beats, s.takes_run, s.walker[BEATS], s.walker[BASE],
        s.walker[LAST],
    )  # fmt: skip
    taken = s.takes_run or g.drops
    walk_step(s.walker, table, s.leaves_gate, s.gate_row, taken, f.bus)

    s.computed_met, s.drained_met, s.stored_met = s.computed_seen, s.drained_seen, s.stored_seen
    takes = not s.gate_full
    if s.takes_instruction:
        s.gate_full = True
        s.gate_row = mine[s.instructions[POPPED]]
    if s.leaves_gate:
        s.gate_full = s.computed_met = s.drained_met = s.stored_met = False
    queue_step(s.instructions, fetch.sent_load, takes, f.queue_depth)
