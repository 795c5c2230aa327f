"""The bus edge: the read port's bursts for fetch and load, the write port's for the stores."""

from systolith_sim.replay.parts import (
    MASK,
    POPPED,
    PUSHED,
    QUEUE,
    READY,
    compiled,
    queue_free,
    queue_step,
    registers,
)

__all__ = [
    "READ_PORT",
    "WRITE_PORT",
    "offer_reads",
    "offer_writes",
    "start_reads",
    "start_writes",
    "step_reads",
    "step_writes",
]

_LAST, _FETCH = 2, 1
"""Bits of a beat: it ends its burst, it was fetch's."""

READ_PORT = registers(
    numbers=("fetch_beats", "load_beats", "chosen_beats", "outstanding", "ar_beats"),
    flags=(
        *("fetch_waits", "load_waits"),  # a burst of each, before one is chosen
        *("chosen", "chosen_fetch", "checked", "ended", "ar_valid", "ar_fetch", "quiet"),
        # Within a cycle: what it offers.
        *("r_ready", "issue", "beat_valid", "beat_fetch", "beat_last"),
    ),
    arrays={"queue": QUEUE},
)


@compiled
def start_reads(s):
    """Bring the registers to the start of a program."""
    s.quiet = True


@compiled
def offer_reads(s, f, items):
    """Offer the beat at hand, room for another, and the chosen burst to the address channel."""
    beat = items.beats[s.queue[POPPED] & MASK]
    s.beat_valid = s.queue[READY] != 0
    s.beat_fetch = beat & _FETCH != 0
    s.beat_last = beat & _LAST != 0
    s.r_ready = queue_free(s.queue, f.read_beats)
    s.issue = s.chosen and s.checked and not s.ar_valid and s.outstanding != f.outstanding_reads


@compiled
def step_reads(s, items, fetch, load, memory):
    """Move one cycle on."""
    s.quiet = (
        s.outstanding == 0
        and not s.ar_valid
        and not s.chosen
        and not s.fetch_waits
        and not s.load_waits
    )
    taken = fetch.pushed or load.pushed
    s.outstanding += s.issue
    s.outstanding -= s.ended
    s.ended = taken and s.beat_last

    # The address channel, behind it the burst that is checked, behind that one of each user.
    if s.issue:
        s.ar_valid = True
        s.ar_fetch = s.chosen_fetch
        s.ar_beats = s.chosen_beats
    elif memory.ar_taken:
        s.ar_valid = False
    s.checked = s.chosen and not s.issue
    choose_fetch = not s.chosen and s.fetch_waits
    choose_load = not s.chosen and s.load_waits and not s.fetch_waits
    if not s.chosen:
        s.chosen = s.fetch_waits or s.load_waits
        s.chosen_fetch = s.fetch_waits
        s.chosen_beats = s.fetch_beats if s.fetch_waits else s.load_beats
    elif s.issue:
        s.chosen = False
    if not s.fetch_waits:
        s.fetch_waits = fetch.asked
        s.fetch_beats = fetch.beats
    elif choose_fetch:
        s.fetch_waits = False
    if not s.load_waits:
        s.load_waits = load.asked
        s.load_beats = load.beats
    elif choose_load:
        s.load_waits = False

    if memory.beat_arrives:
        items.beats[s.queue[PUSHED] & MASK] = memory.r_fetches * _FETCH + memory.r_ends * _LAST
    queue_step(s.queue, memory.beat_arrives, taken)


WRITE_PORT = registers(
    numbers=("unclaimed", "outstanding", "early_beats", "held_beats", "aw_beats", "sent"),
    flags=(
        *("early", "early_last", "held", "held_last", "checked", "aw_valid", "acknowledged"),
        "quiet",
        # Within a cycle: what it offers.
        *("issue", "w_taken", "w_sent", "w_last", "answered"),
    ),
    arrays={
        "buffer": QUEUE,
        "lengths": QUEUE,
        "answers": QUEUE,
    },
)


@compiled
def start_writes(s):
    """Bring the registers to the start of a program."""
    s.quiet = True


@compiled
def offer_writes(s, f, items, memory):
    """Offer the held burst to the address channel once all its data is there, and data."""
    s.issue = (
        s.held
        and s.checked
        and not s.aw_valid
        and s.unclaimed > s.held_beats - 1
        and s.outstanding != f.outstanding_writes
    )
    s.w_taken = s.lengths[READY] != 0 and memory.w_ready
    s.w_sent = s.w_taken and s.buffer[READY] != 0
    s.w_last = s.sent == items.bursts[s.lengths[POPPED] & MASK] - 1
    s.answered = memory.b_valid


@compiled
def step_writes(s, items, store, memory):
    """Move one cycle on."""
    s.quiet = s.outstanding == 0 and not s.aw_valid and not s.held and not s.early
    if s.issue:
        items.bursts[s.lengths[PUSHED] & MASK] = s.held_beats
        items.ends_store[s.answers[PUSHED] & MASK] = s.held_last
    s.acknowledged = s.answered and items.ends_store[s.answers[POPPED] & MASK] != 0
    queue_step(s.buffer, store.packed, s.w_taken)
    queue_step(s.lengths, s.issue, s.w_sent and s.w_last)
    queue_step(s.answers, s.issue, s.answered)
    s.unclaimed += store.packed
    if s.issue:
        s.unclaimed -= s.held_beats
    s.outstanding += s.issue
    s.outstanding -= s.answered
    if s.w_sent:
        s.sent = 0 if s.w_last else s.sent + 1

    # The address channel, behind it the burst that is held, behind that one that came early.
    if s.issue:
        s.aw_valid = True
        s.aw_beats = s.held_beats
    elif memory.aw_taken:
        s.aw_valid = False
    s.checked = s.held and not s.issue
    moves = s.early and not s.held
    if moves:
        s.held = True
        s.held_beats = s.early_beats
        s.held_last = s.early_last
    elif s.issue:
        s.held = False
    if not s.early:
        s.early = store.asked
        s.early_beats = store.beats
        s.early_last = store.beats_last
    elif moves:
        s.early = False
