"""The convolution core: weight blocks shift in, pixels follow each other pass by pass.

In a CONV with ``winograd`` the pixels are gathered for the passes in ``lanes``.
"""

import numpy as np

from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_hw.spec.winograd import LANES
from systolith_sim.replay import lanes
from systolith_sim.replay.parts import (
    MASK,
    POPPED,
    QUEUE,
    READY,
    compiled,
    queue_step,
    registers,
)
from systolith_sim.replay.table import COLUMNS

__all__ = ["COMPUTE", "mine", "offer", "start", "step"]

_IDLE, _BUSY, _INPUT, _WEIGHTS, _OUTPUT = range(len(ENGINE_STATES[Engine.COMPUTE]))
_OPCODE, _ACTS_LOADED, _DRAINED, _WEIGHTS_LOADED, _PIXELS, _PASSES, _PATCHES = (
    COLUMNS.index(name)
    for name in (
        *("opcode", "after_first", "after_second", "after_third", "pixels", "passes", "patches"),
    )
)

COMPUTE = registers(
    numbers=(
        *("weight_row", "pixel_row"),  # instructions in the two gates
        *("blocks_left", "beat"),  # the weight loader's
        *("row", "pixels", "pixels_left", "passes_left", "cooldown"),  # the sequencer's
        *("begun", "ended"),  # CONVs whose last pixel was issued, and whose last sum is there
        "state",  # within a cycle: what it offers
    ),
    flags=(
        *("weight_given", "pixel_given"),
        *("weight_full", "weight_met", "pixel_full", "loaded_met", "drained_met"),
        *("loading", "block_full"),
        *("active", "pass_start", "fresh", "issued", "issued_first"),
        *("winograd", "vacant"),  # the kind of the instructions under way; there were none
        # Within a cycle: what it offers.
        *("weight_seen", "loaded_seen", "drained_seen", "takes_instruction"),
        *(
            "swap",
            "first_beat",
            "last_beat",
            "load_beat",
            "loader_ends",
            "loader_free",
            "block_ready",
        ),
        *(
            "pixel",
            "last_pixel",
            "conv_ends",
            "takes_weights",
            "takes_pixels",
            "computed",
            "vacates",
        ),
    ),
    arrays={"instructions": QUEUE},
)


@compiled
def start(s):
    """Bring the registers to the start of a program."""
    s.pixels_left = 1
    s.vacant = True


def mine(table: np.ndarray) -> np.ndarray:
    """Return which instructions are CONVs."""
    return np.flatnonzero(table[:, _OPCODE] == int(Opcode.CONV))


@compiled
def offer(s, w, g, f, table, items, tokens, now):
    """Find whether a row of weights shifts in and a pixel is issued; see what counters allow."""
    s.swap = s.issued and s.issued_first
    s.first_beat = s.beat == 0
    s.last_beat = s.beat == f.rows - 1
    s.block_ready = s.block_full or s.last_beat
    begin = s.block_ready
    if s.winograd:
        s.swap = w.issued and w.issued_first
        begin = lanes.may_gather(w)
    may_load = (not s.block_full or s.swap) and not g.lacks_unit
    s.load_beat = s.loading and (not s.first_beat or may_load)
    s.loader_ends = s.load_beat and s.last_beat and s.blocks_left == 1
    s.loader_free = not s.loading or s.loader_ends
    s.pixel = s.active and (not s.pass_start or (begin and s.cooldown == 0))
    s.last_pixel = s.pixels_left == 1
    s.conv_ends = s.pixel and s.last_pixel and s.passes_left == 1
    s.computed = s.ended != s.begun and items.computed_at[s.ended & MASK] == now

    s.weight_seen = s.weight_full and tokens.loaded >= table[s.weight_row, _WEIGHTS_LOADED]
    s.loaded_seen = s.pixel_full and tokens.loaded >= table[s.pixel_row, _ACTS_LOADED]
    s.drained_seen = s.pixel_full and (s.winograd or tokens.drained >= table[s.pixel_row, _DRAINED])
    s.takes_weights = s.weight_full and s.weight_met and s.loader_free
    s.takes_pixels = (
        s.pixel_full and s.loaded_met and s.drained_met and (not s.active or s.conv_ends)
    )
    s.takes_instruction = s.weight_given and s.pixel_given

    if s.winograd:
        lanes.offer(w, s, f, table, items, tokens, now)
        s.takes_weights = s.weight_full and s.weight_met and not w.reading
        s.takes_instruction = s.takes_instruction and w.given
        if w.issue:
            s.state = _BUSY
        elif w.active and w.there:
            s.state = _WEIGHTS
        elif w.active or (w.full and not w.loaded_met):
            s.state = _INPUT
        elif w.full and not w.drained_met:
            s.state = _OUTPUT
        else:
            s.state = _IDLE
    elif s.pixel:
        s.state = _BUSY
    elif s.active:
        s.state = _WEIGHTS
    elif s.pixel_full and not s.loaded_met:
        s.state = _INPUT
    elif s.pixel_full and not s.drained_met:
        s.state = _OUTPUT
    else:
        s.state = _IDLE
    s.vacates = f.winograd != 0 and not (
        s.weight_full or s.pixel_full or s.weight_given or s.pixel_given or s.active
        or s.block_ready or not s.loader_free or lanes.works(w)
    )  # fmt: skip


@compiled
def step(s, w, f, table, items, mine, fetch, times, now):
    """Move one cycle on."""
    if s.winograd:
        if w.takes_job:
            times[w.gate_row, 0] = now
        _note_passes(s, f, items, times, now, w.row, w.begins, w.ends)
        lanes.step(w, s, f, table, items, now)
    else:
        if s.takes_pixels:
            times[s.pixel_row, 0] = now
        _note_passes(s, f, items, times, now, s.row, s.pixel and s.fresh, s.conv_ends)
    _load_weights(s, w, table)
    _issue_pixels(s, f, table)
    _pass_gates(s, w, f, table, mine, fetch)


@compiled
def _note_passes(s, f, items, times, now, row, begins, ends):
    """Note that an instruction's passes begin or end, and when their sums will be there."""
    if s.computed:
        s.ended += 1
    if begins:
        times[row, 1] = now
    if ends:
        times[row, 2] = now
        items.computed_at[s.begun & MASK] = now + f.compute_latency
        s.begun += 1


@compiled
def _load_weights(s, w, table):
    """Shift a block in, row by row, behind the one in use."""
    if s.load_beat:
        if s.last_beat:
            s.beat = 0
            s.blocks_left -= 1
        else:
            s.beat += 1
    if s.load_beat and s.last_beat:
        s.block_full = True
    elif s.swap:
        s.block_full = False
    if s.loader_ends:
        s.loading = False
    if s.winograd:
        if w.takes_chunk:
            s.loading = True
            s.blocks_left = LANES
    elif s.takes_weights:
        s.loading = True
        s.blocks_left = table[s.weight_row, _PASSES]


@compiled
def _issue_pixels(s, f, table):
    """Go over a pass's pixels; a pass begins when its weights are there and its sums are stored."""
    s.issued_first = s.pass_start
    s.issued = s.pixel
    if s.pixel and s.pass_start:
        s.cooldown = f.accumulator_update - 1
    elif s.cooldown != 0:
        s.cooldown -= 1
    if s.pixel:
        s.fresh = False
        s.pass_start = s.last_pixel
        if s.last_pixel:
            s.pixels_left = s.pixels
            s.passes_left -= 1
        else:
            s.pixels_left -= 1
    if s.conv_ends:
        s.active = False
    if s.takes_pixels:
        s.active = s.pass_start = s.fresh = True
        s.row = s.pixel_row
        s.pixels = table[s.row, _PIXELS]
        s.pixels_left = s.pixels
        s.passes_left = table[s.row, _PASSES]


@compiled
def _pass_gates(s, w, f, table, mine, fetch):
    """Give an instruction to all its gates, to each as soon as it is free.

    One of the other kind is given when those before have left.
    """
    s.weight_met = s.weight_seen
    s.loaded_met, s.drained_met = s.loaded_seen, s.drained_seen
    if s.instructions[READY] != 0:
        row = mine[s.instructions[POPPED]]
        winograd = table[row, _PATCHES] != 0
        if s.vacant or winograd == s.winograd:
            s.winograd = winograd
            if not s.weight_given and not s.weight_full:
                s.weight_row = row
                s.weight_full = s.weight_given = True
            if not s.pixel_given and not s.pixel_full:
                s.pixel_row = row
                s.pixel_full = s.pixel_given = True
            if winograd and not w.given and not w.full:
                w.gate_row = row
                w.full = w.given = True
    if s.takes_instruction:
        s.weight_given = s.pixel_given = w.given = False
    if s.takes_weights:
        s.weight_full = s.weight_met = False
    if s.takes_pixels:
        s.pixel_full = s.loaded_met = s.drained_met = False
    if s.winograd:
        lanes.pass_gate(w)
    s.vacant = s.vacates
    queue_step(s.instructions, fetch.sent_conv, s.takes_instruction, f.queue_depth)
