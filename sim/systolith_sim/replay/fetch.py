"""Fetch: reads instructions ahead and hands each to the queue of its engine."""

from systolith_hw.spec.isa import Opcode
from systolith_sim.replay.parts import (
    ACTIVE,
    QUEUE,
    READY,
    SPLITTER,
    burst_beats,
    compiled,
    queue_free,
    queue_step,
    registers,
    split_step,
)
from systolith_sim.replay.table import COLUMNS

__all__ = ["FETCH", "offer", "start", "step"]

_OPCODE = COLUMNS.index("opcode")
_LOAD, _CONV = int(Opcode.LOAD), int(Opcode.CONV)

FETCH = registers(
    numbers=("room", "beat", "fetched", "beats"),
    flags=(
        *("pending", "fits", "word_valid", "complete", "checked"),
        # Within a cycle: what it offers.
        *("free", "popped", "pushed", "asked", "sent", "sent_load", "sent_conv", "sent_store"),
    ),
    arrays={"splitter": SPLITTER, "queue": QUEUE},
)


@compiled
def start(s, f):
    """Bring the registers to the start of a program."""
    s.pending = True
    s.room = f.fetch_beats


@compiled
def offer(s, f, table, read, load, compute, store):
    """Offer the next burst, and the instruction at hand to the engine whose it is."""
    s.free = not s.word_valid or not s.complete
    s.popped = s.queue[READY] != 0 and s.free
    s.pushed = read.beat_valid and read.beat_fetch and queue_free(s.queue, f.fetch_beats)
    s.beats = burst_beats(s.splitter, f.burst_beats)
    s.asked = s.splitter[ACTIVE] != 0 and s.fits and not read.fetch_waits
    s.sent_load = s.sent_conv = s.sent_store = False
    if s.checked and s.fetched < f.count:
        opcode = table[s.fetched, _OPCODE]
        if opcode == _LOAD:
            s.sent_load = queue_free(load.instructions, f.queue_depth)
        elif opcode == _CONV:
            s.sent_conv = queue_free(compute.instructions, f.queue_depth)
        else:
            s.sent_store = queue_free(store.instructions, f.queue_depth)
    s.sent = s.sent_load or s.sent_conv or s.sent_store


@compiled
def step(s, f):
    """Move one cycle on."""
    s.fits = s.splitter[ACTIVE] != 0 and s.room > s.beats - 1 and not s.asked
    total = f.count * f.instruction_beats
    split_step(s.splitter, f.bus, s.asked, s.beats, s.pending, total, f.address, 1)
    s.pending = False
    s.room += s.popped
    if s.asked:
        s.room -= s.beats
    queue_step(s.queue, s.pushed, s.free)

    # Beats make an instruction; whether it is legal is known a cycle later.
    s.checked = s.complete and not s.sent
    taken = s.word_valid and not s.complete
    if s.free:
        s.word_valid = s.popped
    if taken:
        if s.beat == f.instruction_beats - 1:
            s.beat = 0
            s.complete = True
        else:
            s.beat += 1
    if s.sent:
        s.complete = False
        s.fetched += 1
