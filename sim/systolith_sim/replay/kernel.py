"""The replay: every cycle of a layer's instructions, with the engines' registers and no data.

It follows the gateware register by register (control/, load/, compute/, store/, bus/) and the
simulated memory (axi_memory.v), but moves counts where they move data. Compiled by Numba, a cycle
takes some tens of nanoseconds.
"""

import numpy as np
from numba import njit

from systolith_hw.spec.config import ACCUMULATOR_UPDATE
from systolith_sim.replay.parts import (
    IDLE,
    POPPED,
    PUSHED,
    READY,
    RUN,
    burst_beats,
    queue_free,
    queue_step,
    split_step,
    walk_step,
)
from systolith_sim.replay.table import COLUMNS

__all__ = ["PARAMETERS", "RESULTS", "TILE_PREPARE", "replay"]

PARAMETERS = (
    "address",
    "rows",
    "block",
    "cols",
    "bus",
    "burst_beats",
    "outstanding_reads",
    "outstanding_writes",
    "queue_depth",
    "out_beats",
    "compute_latency",
    "drain_latency",
    "memory_latency",
    "memory_rate",
    "memory_turnaround",
    "memory_reads",
    "memory_writes",
    "read_turn",
    "limit",
)
"""What the replay is told of accelerator and memory; latencies in cycles, rate in bytes / 256."""

RESULTS = ("cycles", "read_beats", "write_beats", "load", "compute", "store", "read_turn")
"""What it returns: counts, for each engine five of them, its cycles in each of its states, and
whose turn it is in the memory."""

(
    OPCODE, FIRST, SECOND, THIRD, BUFFER, ADDR, WORD_BYTES, RUN_WORDS, RUNS, RUN_PITCH, PLANES,
    PLANE_PITCH, WORDS, TILE_ROWS, TILE_COLUMNS, BODY_TOP, BODY_BOTTOM, BODY_LEFT, BODY_RIGHT,
    PER_WORD, FIRST_WRITTEN, PIXELS, PASSES, READS,
) = range(len(COLUMNS))  # fmt: skip
REGION = (ADDR, RUN_WORDS, RUNS, RUN_PITCH, PLANES, PLANE_PITCH, WORD_BYTES)

RUNS_DEPTH, JOBS_DEPTH, BEATS_DEPTH, DRAIN_DEPTH, STORE_RUNS_DEPTH = 16, 8, 4, 32, 4
WRITE_BEATS = 32
COOLDOWN = ACCUMULATOR_UPDATE - 1
TILE_PREPARE = 3
SETTLE = 7
RING = 256


@njit(cache=True)
def _gcd(a, b):
    while b:
        a, b = b, a % b
    return a


@njit(cache=True)
def replay(table, p, times, samples, interval):
    """Return the counts of RESULTS of a layer.

    Parameters
    ----------
    table : ndarray of int64, shape (instructions, columns)
    p : tuple of int, the PARAMETERS
    times : ndarray of int64, shape (instructions, 4)
        Is filled with the cycle in which each instruction passed its gate, began (first word
        taken, first pixel or first sum), ended, and (a STORE) was acknowledged by the memory; -1
        if it did not.
    samples : ndarray of int64, shape (samples, at least 18)
        Its rows are filled with the counts, one row every `interval` cycles.
    interval : int
        0 takes no samples.
    """
    (
        address, rows, block, cols, bus, longest, out_reads, out_writes, queue_depth, out_beats,
        compute_latency, drain_latency, latency, rate, turnaround, most_reads, most_writes, turn,
        limit,
    ) = p  # fmt: skip
    count = table.shape[0]
    out = np.zeros(19, np.int64)
    load_states, compute_states, store_states = out[3:8], out[8:13], out[13:18]
    cost = 256 * bus
    idle_credit = cost - rate if rate < cost else 0

    # Fetch.
    instruction_beats = 64 // bus
    fetch_depth = 2 * max(longest, instruction_beats)
    fetch_split = np.array([0, 0, 0, 0])
    fetch_pending = True
    fetch_queue = np.zeros(3, np.int64)
    fetch_room = fetch_depth
    fetch_fits = False
    fetch_beat = 0
    word_valid = False
    complete = False
    checked = False
    fetched = 0

    # Queues of instructions: for each engine those that are its own.
    load_queue, conv_queue, store_queue = (
        np.zeros(3, np.int64),
        np.zeros(3, np.int64),
        np.zeros(3, np.int64),
    )
    loads = np.nonzero(table[:, OPCODE] == 1)[0]
    convs = np.nonzero(table[:, OPCODE] == 2)[0]
    stores = np.nonzero(table[:, OPCODE] == 3)[0]

    # Read port.
    fetch_waits = load_waits = False
    fetch_waiting = load_waiting = 0
    chosen = False
    chosen_fetch = False
    chosen_beats = 0
    chosen_checked = False
    outstanding = 0
    burst_ended = False
    ar_valid = False
    ar_fetch = False
    ar_beats = 0
    beats_queue = np.zeros(3, np.int64)
    beats_ring = np.zeros(8, np.int64)
    read_quiet = True

    # Load engine.
    gate_full = False
    gate_met0 = gate_met1 = gate_met2 = False
    gate_row = 0
    gate_index = 0
    walker = np.zeros(11, np.int64)
    splitter = np.zeros(4, np.int64)
    runs_queue = np.zeros(3, np.int64)
    runs_ring = np.zeros((32, 4), np.int64)
    jobs_queue = np.zeros(3, np.int64)
    jobs_ring = np.zeros(16, np.int64)
    run_active = False
    run_left = run_take = run_end = run_buffer = 0
    sizes = np.array([block, cols, 8])
    units = np.array([_gcd(bus, block), _gcd(bus, cols), _gcd(bus, 8)])
    fills = np.zeros(3, np.int64)
    linear = False
    linear_buffer = 1
    words_left = 0
    tile_active = False
    tile_waits = 0
    tile_row = 0
    tile_line = tile_column = 0
    tile_planes = 0
    current_left = 0
    sink_row = 0
    load_done = False

    # Core.
    weight_given = pixel_given = False
    wgate_full = wgate_met = False
    wgate_row = 0
    pgate_full = pgate_met0 = pgate_met1 = False
    pgate_row = 0
    loader_active = False
    loader_blocks = 0
    loader_beat = 0
    loader_full = False
    seq_active = False
    seq_row = 0
    seq_pixels = 1
    seq_left = 0
    seq_passes = 0
    pass_start = False
    seq_fresh = False
    claimed = False
    cooldown = 0
    valid_1 = first_1 = False
    compute_done = np.full(RING, np.int64(-1))
    compute_pushed = compute_popped = 0

    # Store engine.
    sgate_full = sgate_met0 = sgate_met1 = False
    sgate_row = 0
    store_walker = np.zeros(11, np.int64)
    store_splitter = np.zeros(4, np.int64)
    store_runs = np.zeros(3, np.int64)
    store_runs_ring = np.zeros((8, 2), np.int64)
    store_run_words = 0
    drain_active = False
    drain_row = 0
    drain_settle = 0
    drain_room = DRAIN_DEPTH
    drain_read = 0
    drain_reads = 1
    drain_left = 0
    drain_fresh = False
    word_times = np.zeros(RING, np.int64)
    words_pushed = words_popped = 0
    drain_queue = np.zeros(3, np.int64)
    packer_unit = _gcd(bus, block)
    packer_index = 0
    packer_fill = 0
    packer_flush = False
    drained_pulse = False

    # Write port.
    buffer_queue = np.zeros(3, np.int64)
    lengths_queue = np.zeros(3, np.int64)
    answers_queue = np.zeros(3, np.int64)
    lengths_ring = np.zeros(128, np.int64)
    answers_ring = np.zeros(128, np.int64)
    unclaimed = 0
    write_outstanding = 0
    first_held = False
    first_beats = 0
    first_last = False
    held = False
    held_beats = 0
    held_last = False
    held_checked = False
    aw_valid = False
    aw_beats = 0
    sent = 0
    acknowledged = False
    write_quiet = True

    # Memory.
    now = 0
    credit = idle_credit
    read_turn = turn != 0
    m_writing = False
    m_moved = -turnaround
    ar_ready = aw_ready = w_ready = True
    m_ar = np.zeros((128, 3), np.int64)
    m_ar_first = m_ar_count = reads_under_way = 0
    r_beat = 0
    r_valid = r_fetch = r_last = False
    m_aw = np.zeros(128, np.int64)
    m_aw_first = m_aw_count = writes_under_way = 0
    w_beat = 0
    w_count = 0
    m_b = np.zeros(128, np.int64)
    m_b_first = m_b_count = 0
    b_valid = False

    # Controller.
    loaded = computed = drained = stored = 0
    load_dispatched = conv_dispatched = store_dispatched = 0
    all_complete = False
    stores_pending = False
    settle = SETTLE

    while out[0] < limit:
        now += 1
        out[0] += 1

        # --- What everything offers in this cycle ---------------------------------------------

        # Load sink: the tile writer and the linear counter.
        act_valid = fills[0] >= sizes[0] // units[0]
        need_word = False
        body = False
        tile_go = tile_active and tile_waits == 0
        if tile_go:
            body = (
                table[tile_row, BODY_TOP] <= tile_line < table[tile_row, BODY_BOTTOM]
                and table[tile_row, BODY_LEFT] <= tile_column < table[tile_row, BODY_RIGHT]
            )
            need_word = body and not (table[tile_row, PER_WORD] != 0 and current_left != 0)
        tile_step = tile_go and (not need_word or act_valid)
        column_done = tile_step and tile_column == table[tile_row, TILE_COLUMNS] - 1
        row_done = column_done and tile_line == table[tile_row, TILE_ROWS] - 1
        tile_finish = row_done and tile_planes == 0
        linear_step = linear and fills[linear_buffer] >= (
            sizes[linear_buffer] // units[linear_buffer]
        )
        linear_finish = linear_step and words_left == 1
        free = not linear and not tile_active
        jobs_valid = jobs_queue[READY] != 0
        job = jobs_ring[jobs_queue[POPPED] % 16]
        job_taken = jobs_valid and free

        # Beats: to fetch or to an unpacker.
        beat_valid = beats_queue[READY] != 0
        beat = beats_ring[beats_queue[POPPED] % 8]
        beat_fetch = beat & 1 != 0
        unpack_ready = run_active and (
            fills[run_buffer] <= 2 * (sizes[run_buffer] // units[run_buffer]) - 1
        )
        fetch_push = beat_valid and beat_fetch and queue_free(fetch_queue, fetch_depth)
        load_push = beat_valid and not beat_fetch and unpack_ready
        beat_taken = fetch_push or load_push
        run_free = not run_active or (load_push and run_left == 1)

        # Fetch: instructions to their queues.
        fetch_free = not word_valid or not complete
        popped = fetch_queue[READY] != 0 and fetch_free
        sent_load = sent_conv = sent_store = False
        if checked and fetched < count:
            opcode = table[fetched, OPCODE]
            if opcode == 1:
                sent_load = queue_free(load_queue, queue_depth)
            elif opcode == 2:
                sent_conv = queue_free(conv_queue, queue_depth)
            else:
                sent_store = queue_free(store_queue, queue_depth)
        sent_any = sent_load or sent_conv or sent_store
        fetch_beats = burst_beats(fetch_split, longest, bus)
        fetch_asked = fetch_split[0] != 0 and fetch_fits and not fetch_waits
        load_asked = splitter[0] != 0 and not load_waits
        load_beats = burst_beats(splitter, longest, bus)

        # Read port.
        r_ready = queue_free(beats_queue, BEATS_DEPTH)
        issue_read = chosen and chosen_checked and not ar_valid and outstanding != out_reads

        # Load engine: gate, walker, splitter.
        gate_valid = gate_full and gate_met0 and gate_met1 and gate_met2
        gate_taken = gate_valid and walker[0] == IDLE and queue_free(jobs_queue, JOBS_DEPTH)
        load_instruction = load_queue[READY] != 0 and not gate_full
        final = load_beats == splitter[1]
        run_taken = (
            walker[0] == RUN
            and (splitter[0] == 0 or (load_asked and final))
            and queue_free(runs_queue, RUNS_DEPTH)
        )

        # Core.
        swap = valid_1 and first_1
        last_beat = loader_beat == rows - 1
        loader_issue = loader_active and (loader_beat != 0 or not loader_full or swap)
        loader_finish = loader_issue and last_beat and loader_blocks == 1
        begin = (loader_full or last_beat) and not claimed and cooldown == 0
        pixel = seq_active and (not pass_start or begin)
        last_pixel = seq_left == 1
        seq_finish = pixel and last_pixel and seq_passes == 1
        weight_job = wgate_full and wgate_met and (not loader_active or loader_finish)
        pixel_job = pgate_full and pgate_met0 and pgate_met1 and (not seq_active or seq_finish)
        conv_valid = conv_queue[READY] != 0
        conv_taken = weight_given and pixel_given
        computed_pulse = (
            compute_popped != compute_pushed and compute_done[compute_popped % RING] == now
        )

        # Store engine.
        drain_issue = drain_active and (drain_read != 0 or drain_room != 0)
        drain_word = drain_issue and drain_read == drain_reads - 1
        drain_finish = drain_word and drain_left == 1
        drain_idle = not drain_active and drain_settle == 0
        sgate_valid = sgate_full and sgate_met0 and sgate_met1
        sgate_taken = sgate_valid and store_walker[0] == IDLE and drain_idle
        store_instruction = store_queue[READY] != 0 and not sgate_full
        word_arrives = words_popped != words_pushed and word_times[words_popped % RING] == now
        out_units = bus // packer_unit
        in_units = block // packer_unit
        full_beat = packer_fill >= out_units
        packer_valid = full_beat or (packer_flush and packer_fill != 0)
        packer_ready = packer_fill <= 2 * out_units - 1 and not packer_flush
        store_run_valid = store_runs[READY] != 0
        store_run = store_runs_ring[store_runs[POPPED] % 8]
        moved = drain_queue[READY] != 0 and store_run_valid and packer_ready
        word_last = packer_index == store_run[1] - 1
        packed = packer_valid and queue_free(buffer_queue, out_beats)
        store_beats = burst_beats(store_splitter, longest, bus)
        store_asked = store_splitter[0] != 0 and not first_held
        store_run_taken = (
            store_walker[0] == RUN
            and (store_splitter[0] == 0 or (store_asked and store_beats == store_splitter[1]))
            and queue_free(store_runs, STORE_RUNS_DEPTH)
        )

        # Write port.
        issue_write = (
            held
            and held_checked
            and not aw_valid
            and unclaimed > held_beats - 1
            and write_outstanding != out_writes
        )
        w_taken = lengths_queue[READY] != 0 and w_ready
        w_sent = w_taken and buffer_queue[READY] != 0
        w_last = sent == lengths_ring[lengths_queue[POPPED] % 128] - 1
        answered = b_valid

        # --- Counters -------------------------------------------------------------------------
        if linear_step or tile_step:
            load_states[1] += 1
        elif linear or tile_active or jobs_valid:
            load_states[2] += 1
        elif gate_full and not gate_met0:
            load_states[3] += 1
        elif gate_full and not (gate_met1 and gate_met2):
            load_states[4] += 1
        else:
            load_states[0] += 1
        if pixel:
            compute_states[1] += 1
        elif seq_active:
            compute_states[3] += 1
        elif pgate_full and not pgate_met0:
            compute_states[2] += 1
        elif pgate_full and not pgate_met1:
            compute_states[4] += 1
        else:
            compute_states[0] += 1
        if drain_issue:
            store_states[1] += 1
        elif not drain_idle:
            store_states[4] += 1
        elif sgate_full and not sgate_met0:
            store_states[2] += 1
        elif sgate_full and not sgate_met1:
            store_states[3] += 1
        elif stores_pending:
            store_states[4] += 1
        else:
            store_states[0] += 1
        if interval != 0 and now % interval == 0 and now // interval <= len(samples):
            samples[now // interval - 1] = out
        if settle == 0 and all_complete:
            break

        # --- The memory's edge ----------------------------------------------------------------
        want_read = (
            (not r_valid or r_ready) and m_ar_count != 0 and now >= m_ar[m_ar_first % 128, 2]
        )
        want_write = w_count != 0 and m_aw_count != 0 and m_b_count != 64
        turning = False
        if turnaround != 0:
            if w_beat == 0 and w_count < m_aw[m_aw_first % 128] and w_count != WRITE_BEATS:
                want_write = False
            if want_read and want_write:
                want_read = w_beat == 0 if m_writing else r_beat != 0
                want_write = not want_read
            turning = (want_read if m_writing else want_write) and now <= m_moved + turnaround
        available = credit if turning else credit + rate
        if turning or available < cost:
            want_read = want_write = False
        elif want_read and want_write and available < 2 * cost:
            want_read = read_turn
            want_write = not read_turn
            read_turn = not read_turn
        if want_read:
            available -= cost
        if want_write:
            available -= cost
        credit = available if available < cost else idle_credit
        if want_read or want_write:
            m_writing = want_write
            m_moved = now
        # What the accelerator takes is what was there before this edge.
        beat_arrives = r_valid and r_ready
        arriving = (1 if r_fetch else 0) | (2 if r_last else 0)
        if beat_arrives:
            r_valid = False
            if r_last:
                reads_under_way -= 1
        if want_read:
            r_fetch = m_ar[m_ar_first % 128, 0] != 0
            r_valid = True
            out[1] += 1
            r_last = r_beat == m_ar[m_ar_first % 128, 1] - 1
            if r_last:
                r_beat = 0
                m_ar_first += 1
                m_ar_count -= 1
            else:
                r_beat += 1
        if want_write:
            out[2] += 1
            if w_beat == m_aw[m_aw_first % 128] - 1:
                m_b[(m_b_first + m_b_count) % 128] = now + latency - 1
                m_b_count += 1
                w_beat = 0
                m_aw_first += 1
                m_aw_count -= 1
            else:
                w_beat += 1
            w_count -= 1
        if b_valid:
            b_valid = False
            writes_under_way -= 1
        if not b_valid and m_b_count != 0 and now >= m_b[m_b_first % 128]:
            b_valid = True
            m_b_first += 1
            m_b_count -= 1
        ar_taken = ar_valid and ar_ready
        if ar_taken:
            place = (m_ar_first + m_ar_count) % 128
            m_ar[place, 0] = ar_fetch
            m_ar[place, 1] = ar_beats
            m_ar[place, 2] = now + latency - 1
            m_ar_count += 1
            reads_under_way += 1
        aw_taken = aw_valid and aw_ready
        if aw_taken:
            m_aw[(m_aw_first + m_aw_count) % 128] = aw_beats
            m_aw_count += 1
            writes_under_way += 1
        if w_sent:
            w_count += 1
        ar_ready = reads_under_way < most_reads
        aw_ready = writes_under_way < most_writes
        w_ready = w_count < WRITE_BEATS

        # --- The accelerator's edge -----------------------------------------------------------

        # Controller.
        all_complete = (
            fetched == count
            and load_dispatched == loaded
            and conv_dispatched == computed
            and store_dispatched == stored
            and read_quiet
            and write_quiet
        )
        stores_pending = store_dispatched != stored
        if settle != 0:
            settle -= 1
        # Gates see the counts before this edge.
        gate_see0 = gate_full and computed >= table[gate_row, FIRST]
        gate_see1 = gate_full and drained >= table[gate_row, SECOND]
        gate_see2 = gate_full and stored >= table[gate_row, THIRD]
        wgate_see = wgate_full and loaded >= table[wgate_row, THIRD]
        pgate_see0 = pgate_full and loaded >= table[pgate_row, FIRST]
        pgate_see1 = pgate_full and drained >= table[pgate_row, SECOND]
        sgate_see0 = sgate_full and computed >= table[sgate_row, FIRST]
        sgate_see1 = sgate_full and loaded >= table[sgate_row, SECOND]
        if load_done:
            loaded += 1
        if computed_pulse:
            computed += 1
            compute_popped += 1
        if drained_pulse:
            drained += 1
        if acknowledged:
            times[stores[stored], 3] = now
            stored += 1
        load_dispatched += sent_load
        conv_dispatched += sent_conv
        store_dispatched += sent_store

        # Fetch.
        fetch_fits = fetch_split[0] != 0 and fetch_room > fetch_beats - 1 and not fetch_asked
        split_step(
            fetch_split, longest, bus, fetch_asked, fetch_pending, count * instruction_beats,
            address, 1,
        )  # fmt: skip
        fetch_pending = False
        fetch_room += popped - (fetch_beats if fetch_asked else 0)
        queue_step(fetch_queue, fetch_push, fetch_free)
        checked = complete and not sent_any
        word_taken = word_valid and not complete
        if fetch_free:
            word_valid = popped
        if word_taken:
            if fetch_beat == instruction_beats - 1:
                fetch_beat = 0
                complete = True
            else:
                fetch_beat += 1
        if sent_any:
            complete = False
            fetched += 1
        queue_step(load_queue, sent_load, not gate_full, queue_depth)
        queue_step(conv_queue, sent_conv, conv_taken, queue_depth)
        queue_step(store_queue, sent_store, not sgate_full, queue_depth)

        # Read port.
        read_quiet = (
            outstanding == 0 and not ar_valid and not chosen and not fetch_waits and not load_waits
        )
        outstanding += issue_read
        outstanding -= burst_ended
        burst_ended = beat_taken and beat & 2 != 0
        if issue_read:
            ar_valid = True
            ar_fetch = chosen_fetch
            ar_beats = chosen_beats
        elif ar_taken:
            ar_valid = False
        chosen_checked = chosen and not issue_read
        choose_fetch = not chosen and fetch_waits
        choose_load = not chosen and load_waits and not fetch_waits
        if not chosen:
            chosen = fetch_waits or load_waits
            chosen_fetch = fetch_waits
            chosen_beats = fetch_waiting if fetch_waits else load_waiting
        elif issue_read:
            chosen = False
        if not fetch_waits:
            fetch_waits = fetch_asked
            fetch_waiting = fetch_beats
        elif choose_fetch:
            fetch_waits = False
        if not load_waits:
            load_waits = load_asked
            load_waiting = load_beats
        elif choose_load:
            load_waits = False
        if beat_arrives:
            beats_ring[beats_queue[PUSHED] % 8] = arriving
        queue_step(beats_queue, beat_arrives, beat_taken)

        # Load engine.
        load_done = linear_finish or tile_finish
        if tile_step:
            if column_done:
                current_left = 0
                tile_column = 0
                tile_line = 0 if row_done else tile_line + 1
            else:
                per_word = table[tile_row, PER_WORD]
                if body and per_word != 0:
                    current_left = (current_left if current_left != 0 else per_word) - 1
                tile_column += 1
            if row_done:
                tile_planes -= 1
        if load_done:
            times[sink_row, 2] = now
        if tile_finish:
            tile_active = False
        if tile_waits != 0:
            tile_waits -= 1
        act_pop = tile_step and need_word
        for buffer in range(3):
            unit = units[buffer]
            fill = fills[buffer]
            if (act_pop and buffer == 0) or (linear_step and buffer == linear_buffer):
                fill -= sizes[buffer] // unit
            if load_push and buffer == run_buffer:
                fill += run_take // unit
            fills[buffer] = fill
        if load_push:
            run_take = run_end if run_left == 2 else bus
            run_left -= 1
        if run_free:
            run_active = runs_queue[READY] != 0
            run = runs_ring[runs_queue[POPPED] % 32]
            run_left = run[0]
            run_end = run[2]
            run_take = (run[2] if run[0] == 1 else bus) - run[1]
            run_buffer = run[3]
        if linear_step:
            words_left -= 1
        if linear_finish:
            linear = False
        if job_taken:
            sink_row = job
            times[job, 1] = now
            if table[job, BUFFER] == 0:
                tile_active = True
                tile_waits = TILE_PREPARE
                tile_row = job
                tile_line = tile_column = 0
                tile_planes = table[job, PLANES] - 1
                current_left = 0
            else:
                linear = True
                linear_buffer = table[job, BUFFER]
                words_left = table[job, WORDS]
        queue_step(jobs_queue, False, free)
        queue_step(runs_queue, False, run_free)
        if gate_taken:
            jobs_ring[jobs_queue[PUSHED] % 16] = gate_row
            jobs_queue[PUSHED] += 1
            times[gate_row, 0] = now
        if run_taken:
            entry = runs_ring[runs_queue[PUSHED] % 32]
            entry[0], entry[1], entry[2] = walker[6], walker[7], walker[8]
            entry[3] = table[walker[1], BUFFER]
            runs_queue[PUSHED] += 1
        split_step(splitter, longest, bus, load_asked, run_taken, walker[6], walker[9], walker[10])
        walk_step(walker, table, REGION, gate_taken, gate_row, run_taken, bus)
        gate_met0, gate_met1, gate_met2 = gate_see0, gate_see1, gate_see2
        if load_instruction:
            gate_full = True
            gate_row = loads[gate_index]
            gate_index += 1
        if gate_taken:
            gate_full = gate_met0 = gate_met1 = gate_met2 = False

        # Core.
        conv_index = conv_queue[POPPED] - (1 if conv_taken else 0)
        row = convs[conv_index] if conv_valid else 0
        wgate_met = wgate_see
        pgate_met0, pgate_met1 = pgate_see0, pgate_see1
        next_weight_job, next_pixel_job = wgate_row, pgate_row
        if conv_valid and not weight_given and not wgate_full:
            wgate_row = row
            wgate_full = weight_given = True
        if conv_valid and not pixel_given and not pgate_full:
            pgate_row = row
            pgate_full = pixel_given = True
        if conv_taken:
            weight_given = pixel_given = False
        if weight_job:
            wgate_full = wgate_met = False
        if pixel_job:
            pgate_full = pgate_met0 = pgate_met1 = False
            times[next_pixel_job, 0] = now
        if loader_issue:
            if last_beat:
                loader_beat = 0
                loader_blocks -= 1
            else:
                loader_beat += 1
        if loader_issue and last_beat:
            loader_full = True
        elif swap:
            loader_full = False
        if loader_finish:
            loader_active = False
        if weight_job:
            loader_active = True
            loader_blocks = table[next_weight_job, PASSES]
        first_1 = pass_start
        valid_1 = pixel
        if swap:
            claimed = False
        if pixel and pass_start:
            claimed = True
            cooldown = COOLDOWN
        elif cooldown != 0:
            cooldown -= 1
        if pixel:
            if seq_fresh:
                times[seq_row, 1] = now
                seq_fresh = False
            pass_start = last_pixel
            if last_pixel:
                seq_left = seq_pixels
                seq_passes -= 1
            else:
                seq_left -= 1
        if seq_finish:
            seq_active = False
            times[seq_row, 2] = now
            compute_done[compute_pushed % RING] = now + compute_latency
            compute_pushed += 1
        if pixel_job:
            seq_active = True
            seq_row = next_pixel_job
            seq_pixels = table[seq_row, PIXELS]
            seq_left = seq_pixels
            seq_passes = table[seq_row, PASSES]
            pass_start = True
            seq_fresh = True

        # Store engine.
        drained_pulse = drain_finish
        drain_room += moved - (1 if drain_issue and drain_read == 0 else 0)
        if word_arrives:
            words_popped += 1
        queue_step(drain_queue, word_arrives, store_run_valid and packer_ready)
        if drain_issue:
            if drain_fresh:
                times[drain_row, 1] = now
                drain_fresh = False
            if drain_word:
                drain_read = 0
                drain_left -= 1
                word_times[words_pushed % RING] = now + drain_latency
                words_pushed += 1
            else:
                drain_read += 1
        if drain_finish:
            drain_active = False
            drain_settle = drain_latency + 2
            times[drain_row, 2] = now
        elif drain_settle != 0:
            drain_settle -= 1
        fill = packer_fill
        if packed:
            fill = fill - out_units if full_beat else 0
        if packer_flush and fill == 0:
            packer_flush = False
        if moved:
            start = store_run[0] if packer_index == 0 else fill
            fill = start + in_units
            if word_last:
                packer_flush = True
            packer_index = 0 if word_last else packer_index + 1
        packer_fill = fill
        queue_step(store_runs, False, moved and word_last)
        if store_run_taken:
            entry = store_runs_ring[store_runs[PUSHED] % 8]
            entry[0] = store_walker[7] // packer_unit
            entry[1] = store_run_words
            store_runs[PUSHED] += 1
        if sgate_taken:
            drain_active = True
            drain_row = sgate_row
            drain_reads = table[sgate_row, READS]
            drain_left = table[sgate_row, WORDS]
            drain_read = 0
            drain_fresh = True
            times[sgate_row, 0] = now
            store_run_words = table[sgate_row, RUN_WORDS]

        # Write port.
        write_quiet = write_outstanding == 0 and not aw_valid and not held and not first_held
        if issue_write:
            lengths_ring[lengths_queue[PUSHED] % 128] = held_beats
            answers_ring[answers_queue[PUSHED] % 128] = held_last
        acknowledged = answered and answers_ring[answers_queue[POPPED] % 128] != 0
        queue_step(buffer_queue, packed, w_taken)
        queue_step(lengths_queue, issue_write, w_sent and w_last)
        queue_step(answers_queue, issue_write, answered)
        unclaimed += packed - (held_beats if issue_write else 0)
        write_outstanding += issue_write
        write_outstanding -= answered
        if w_sent:
            sent = 0 if w_last else sent + 1
        if issue_write:
            aw_valid = True
            aw_beats = held_beats
        elif aw_taken:
            aw_valid = False
        held_checked = held and not issue_write
        moved_on = first_held and not held
        if moved_on:
            held = True
            held_beats = first_beats
            held_last = first_last
        elif issue_write:
            held = False
        if not first_held:
            first_held = store_asked
            first_beats = store_beats
            first_last = store_splitter[3] != 0 and store_beats == store_splitter[1]
        elif moved_on:
            first_held = False
        split_step(
            store_splitter, longest, bus, store_asked, store_run_taken, store_walker[6],
            store_walker[9], store_walker[10],
        )  # fmt: skip
        walk_step(store_walker, table, REGION, sgate_taken, sgate_row, store_run_taken, bus)
        sgate_met0, sgate_met1 = sgate_see0, sgate_see1
        if store_instruction:
            sgate_full = True
            sgate_row = stores[store_queue[POPPED] - 1]
        if sgate_taken:
            sgate_full = sgate_met0 = sgate_met1 = False
    out[18] = read_turn
    return out
