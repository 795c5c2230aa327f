"""The simulated memory (axi_memory.v): bandwidth that reads and writes share, latencies, turns."""

from systolith_sim.replay.parts import MASK, compiled, registers

__all__ = ["MEMORY", "offer", "start", "step"]

MEMORY = registers(
    numbers=(
        *("credit", "idle_credit", "moved_at"),
        *("ar_first", "ar_count", "reads", "r_beat"),
        *("aw_first", "aw_count", "writes", "w_beat", "w_count"),
        *("b_first", "b_count"),
        *("beats_read", "beats_written"),  # since the start
    ),
    flags=(
        *("read_turn", "writing", "ar_ready", "aw_ready", "w_ready"),
        *("r_valid", "r_fetch", "r_last", "b_valid"),
        # Within a cycle: what it offers.
        *("beat_arrives", "r_fetches", "r_ends", "ar_taken", "aw_taken"),
    ),
)


@compiled
def start(s, f, read_turn):
    """Bring the registers to the start of a program; `read_turn` is left by the one before."""
    s.idle_credit = f.beat_cost - f.memory_rate if f.memory_rate < f.beat_cost else 0
    s.credit = s.idle_credit
    s.read_turn = read_turn
    s.moved_at = -f.memory_turnaround
    s.ar_ready = s.aw_ready = s.w_ready = True


@compiled
def offer(s, read, write):
    """Find the handshakes of this cycle."""
    s.beat_arrives = s.r_valid and read.r_ready
    s.r_fetches = s.r_fetch
    s.r_ends = s.r_last
    s.ar_taken = read.ar_valid and s.ar_ready
    s.aw_taken = write.aw_valid and s.aw_ready


@compiled
def step(s, f, items, read, write, now):
    """Move one cycle on."""
    reads, writes = _grant(s, f, items, read, now)
    if s.beat_arrives:
        s.r_valid = False
        if s.r_last:
            s.reads -= 1
    if reads:
        _read(s, items)
    if writes:
        _write(s, f, items, now)
    if s.b_valid:
        s.b_valid = False
        s.writes -= 1
    if not s.b_valid and s.b_count != 0 and now >= items.b[s.b_first & MASK]:
        s.b_valid = True
        s.b_first += 1
        s.b_count -= 1

    if s.ar_taken:
        entry = items.ar[(s.ar_first + s.ar_count) & MASK]
        entry[0] = read.ar_fetch
        entry[1] = read.ar_beats
        entry[2] = now + f.memory_latency - 1
        s.ar_count += 1
        s.reads += 1
    if s.aw_taken:
        items.aw[(s.aw_first + s.aw_count) & MASK] = write.aw_beats
        s.aw_count += 1
        s.writes += 1
    if write.w_sent:
        s.w_count += 1
    s.ar_ready = s.reads < f.memory_reads
    s.aw_ready = s.writes < f.memory_writes
    s.w_ready = s.w_count < f.memory_write_beats


@compiled
def _grant(s, f, items, read, now):
    """Return whether a beat is read and whether one is written, as far as the credit goes."""
    reads = (
        (not s.r_valid or read.r_ready)
        and s.ar_count != 0
        and now >= items.ar[s.ar_first & MASK, 2]
    )
    writes = s.w_count != 0 and s.aw_count != 0 and s.b_count != f.memory_answers
    turning = False
    if f.memory_turnaround != 0:
        whole = s.w_count >= items.aw[s.aw_first & MASK] or s.w_count == f.memory_write_beats
        if s.w_beat == 0 and not whole:
            writes = False
        if reads and writes:
            reads = s.w_beat == 0 if s.writing else s.r_beat != 0
            writes = not reads
        changes = reads if s.writing else writes
        turning = changes and now <= s.moved_at + f.memory_turnaround
    available = s.credit if turning else s.credit + f.memory_rate
    if turning or available < f.beat_cost:
        reads = writes = False
    elif reads and writes and available < 2 * f.beat_cost:
        reads = s.read_turn
        writes = not s.read_turn
        s.read_turn = not s.read_turn
    if reads:
        available -= f.beat_cost
    if writes:
        available -= f.beat_cost
    s.credit = available if available < f.beat_cost else s.idle_credit
    if reads or writes:
        s.writing = writes
        s.moved_at = now
    return reads, writes


@compiled
def _read(s, items):
    """Bring the next beat of the first read to the read channel."""
    entry = items.ar[s.ar_first & MASK]
    s.r_fetch = entry[0] != 0
    s.r_valid = True
    s.beats_read += 1
    s.r_last = s.r_beat == entry[1] - 1
    if s.r_last:
        s.r_beat = 0
        s.ar_first += 1
        s.ar_count -= 1
    else:
        s.r_beat += 1


@compiled
def _write(s, f, items, now):
    """Take the next beat of the first write; its last one is answered a latency later."""
    s.beats_written += 1
    s.w_count -= 1
    if s.w_beat == items.aw[s.aw_first & MASK] - 1:
        items.b[(s.b_first + s.b_count) & MASK] = now + f.memory_latency - 1
        s.b_count += 1
        s.w_beat = 0
        s.aw_first += 1
        s.aw_count -= 1
    else:
        s.w_beat += 1
