"""The store engine: drains sums, packs the resulting words, requests bursts.

The sums of a STORE with ``winograd`` become words in ``strips``.
"""

import numpy as np

from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_sim.replay import strips
from systolith_sim.replay.parts import (
    ACTIVE,
    BASE,
    BEATS,
    IDLE,
    IS_LAST,
    LAST,
    LEFT,
    MASK,
    POPPED,
    PUSHED,
    QUEUE,
    READY,
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

__all__ = ["STORE", "mine", "offer", "start", "step"]

_IDLE, _BUSY, _COMPUTE, _PARAMS, _MEMORY = range(len(ENGINE_STATES[Engine.STORE]))
_OPCODE, _COMPUTED, _LOADED, _RUN_WORDS, _READS, _WINDOWS, _ACROSS = (
    COLUMNS.index(name)
    for name in (
        *("opcode", "after_first", "after_second", "run_words", "reads", "windows", "across"),
    )
)

STORE = registers(
    numbers=(
        "gate_row",
        *("row", "settle", "room", "read", "reads", "windows_left"),  # the drain's
        *("words_begun", "words_ended"),  # on their way through the lanes
        *("run_words", "index", "filled", "unit", "beat_units", "word_units"),  # the packer's
        *("beats", "run_skip", "run_length", "state"),  # within a cycle: what it offers
    ),
    flags=(
        *("gate_full", "computed_met", "loaded_met", "active", "fresh", "drained", "flush"),
        *("winograd", "waits"),  # the kind of the present STORE; it waits for words of the other
        # Within a cycle: what it offers.
        *("computed_seen", "loaded_seen", "takes_instruction", "leaves_gate"),
        *("asked", "beats_last", "takes_run"),
        *("reads_sum", "reads_window", "drain_ends", "drain_idle", "word_arrives"),
        *("takes_word", "moved", "word_last", "full_beat", "packed"),
    ),
    arrays={
        "instructions": QUEUE,
        "walker": WALKER,
        "splitter": SPLITTER,
        "runs": QUEUE,
        "words": QUEUE,
    },
)


@compiled
def _gcd(a, b):
    while b:
        a, b = b, a % b
    return a


@compiled
def start(s, f):
    """Bring the registers to the start of a program."""
    s.room = f.drain_words
    s.reads = 1
    s.unit = _gcd(f.bus, f.block)
    s.beat_units = f.bus // s.unit
    s.word_units = f.block // s.unit


def mine(table: np.ndarray) -> np.ndarray:
    """Return which instructions are STOREs."""
    return np.flatnonzero(table[:, _OPCODE] == int(Opcode.STORE))


@compiled
def offer(s, p, f, table, items, tokens, write, now):
    """Offer a burst to write and a beat; see whether a sum is read and what the counters allow."""
    # Drain.
    may_begin = s.room != 0
    if f.winograd != 0:
        strips.offer(p, s.room)
        if s.winograd:
            may_begin = p.may_begin
    s.reads_sum = s.active and (s.read != 0 or may_begin)
    s.reads_window = s.reads_sum and s.read == s.reads - 1
    s.drain_ends = s.reads_window and s.windows_left == 1
    s.drain_idle = not s.active and s.settle == 0 and not s.waits
    s.word_arrives = (
        s.words_ended != s.words_begun and items.drained_at[s.words_ended & MASK] == now
    )

    # Packer.
    s.full_beat = s.filled >= s.beat_units
    packer_valid = s.full_beat or (s.flush and s.filled != 0)
    packer_ready = s.filled <= 2 * s.beat_units - 1 and not s.flush
    run = items.store_runs[s.runs[POPPED] & MASK]
    s.run_skip = run[0]
    s.run_length = run[1]
    s.takes_word = s.runs[READY] != 0 and packer_ready
    s.moved = s.words[READY] != 0 and s.takes_word
    s.word_last = s.index == s.run_length - 1
    s.packed = packer_valid and queue_free(write.buffer, f.out_beats)

    # Gate, walker, splitter.
    s.computed_seen = s.gate_full and tokens.computed >= table[s.gate_row, _COMPUTED]
    s.loaded_seen = s.gate_full and tokens.loaded >= table[s.gate_row, _LOADED]
    s.leaves_gate = (
        s.gate_full and s.computed_met and s.loaded_met and s.walker[STATE] == IDLE and s.drain_idle
    )
    s.takes_instruction = s.instructions[READY] != 0 and not s.gate_full
    s.beats = burst_beats(s.splitter, f.burst_beats)
    s.beats_last = s.splitter[IS_LAST] != 0 and s.beats == s.splitter[LEFT]
    s.asked = s.splitter[ACTIVE] != 0 and not write.early
    s.takes_run = run_taken(s.walker, s.splitter, s.asked, s.beats) and queue_free(
        s.runs, f.store_runs
    )

    if s.reads_sum:
        s.state = _BUSY
    elif not s.drain_idle:
        s.state = _MEMORY
    elif s.gate_full and not s.computed_met:
        s.state = _COMPUTE
    elif s.gate_full and not s.loaded_met:
        s.state = _PARAMS
    elif tokens.stores_pending:
        s.state = _MEMORY
    else:
        s.state = _IDLE


@compiled
def step(s, p, f, table, items, mine, fetch, times, now):
    """Move one cycle on."""
    if f.winograd != 0:
        _stage(s, p, f, table, items, now)
    _drain(s, f, items, times, now)
    _pack(s)
    _ask(s, p, f, table, items, mine, fetch, times, now)


@compiled
def _stage(s, p, f, table, items, now):
    """Follow the sums of patches, and their words; let windows begin when there are none."""
    if s.waits and strips.clear(p, now):
        s.active = True
        s.waits = False
    if p.reads_word:
        s.room -= 1
        items.drained_at[s.words_begun & MASK] = now + f.staged
        s.words_begun += 1
    first = s.winograd and s.reads_sum and s.read == 0
    strips.step(p, f, table, items, first, s.winograd and s.reads_window, now)


@compiled
def _drain(s, f, items, times, now):
    """Read sums while the queue has room for the resulting words."""
    s.drained = s.drain_ends
    s.room += s.moved
    if s.reads_sum and s.read == 0 and not s.winograd:
        s.room -= 1
    if s.word_arrives:
        s.words_ended += 1
    queue_step(s.words, s.word_arrives, s.takes_word)
    if s.reads_sum:
        if s.fresh:
            times[s.row, 1] = now
            s.fresh = False
        if s.reads_window:
            s.read = 0
            s.windows_left -= 1
            if not s.winograd:
                items.drained_at[s.words_begun & MASK] = now + f.drain_latency
                s.words_begun += 1
        else:
            s.read += 1
    if s.drain_ends:
        s.active = False
        s.settle = (f.strip_latency if s.winograd else f.drain_latency) + 2
        times[s.row, 2] = now
    elif s.settle != 0:
        s.settle -= 1


@compiled
def _pack(s):
    """Join words to beats; the last beat of a run leaves before the next run begins."""
    fill = s.filled
    if s.packed:
        fill = fill - s.beat_units if s.full_beat else 0
    if s.flush and fill == 0:
        s.flush = False
    if s.moved:
        fill = (s.run_skip if s.index == 0 else fill) + s.word_units
        if s.word_last:
            s.flush = True
        s.index = 0 if s.word_last else s.index + 1
    s.filled = fill


@compiled
def _ask(s, p, f, table, items, mine, fetch, times, now):
    """Bring instructions through the gate to the drain, and through the walker to bursts."""
    if s.takes_run:
        run = items.store_runs[s.runs[PUSHED] & MASK]
        run[0] = s.walker[SKIP] // s.unit
        run[1] = s.run_words
    queue_step(s.runs, s.takes_run, s.moved and s.word_last)
    split_step(
        s.splitter, f.bus, s.asked, s.beats, s.takes_run, s.walker[BEATS], s.walker[BASE],
        s.walker[LAST],
    )  # fmt: skip
    walk_step(s.walker, table, s.leaves_gate, s.gate_row, s.takes_run, f.bus)
    if s.leaves_gate:
        row = s.gate_row
        times[row, 0] = now
        s.fresh = True
        s.row = row
        s.winograd = table[row, _ACROSS] != 0
        s.waits = not s.winograd and not strips.clear(p, now)
        s.active = not s.waits
        if s.winograd:
            strips.take(p, table, row)
        s.read = 0
        s.reads = table[row, _READS]
        s.windows_left = table[row, _WINDOWS]
        s.run_words = table[row, _RUN_WORDS]

    s.computed_met, s.loaded_met = s.computed_seen, s.loaded_seen
    takes = not s.gate_full
    if s.takes_instruction:
        s.gate_full = True
        s.gate_row = mine[s.instructions[POPPED]]
    if s.leaves_gate:
        s.gate_full = s.computed_met = s.loaded_met = False
    queue_step(s.instructions, fetch.sent_store, takes, f.queue_depth)
