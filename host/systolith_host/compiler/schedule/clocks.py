"""The compiled part of the order: room in the buffers, and the engines' clocks, item by item."""

import numpy as np

from systolith_host.compiler.schedule.tables import (
    ACT,
    ADDRESS,
    AFTER,
    AFTER_STEP,
    BYTES,
    CYCLES,
    DRAIN,
    FIRST,
    LAST,
    LOADS,
    OPENS,
    PARAM,
    RUNS,
    SIZE,
    WEIGHT,
    WORDS,
)
from systolith_host.jit import njit

__all__ = ["make_room", "run_engines"]


@njit(cache=True)
def make_room(items, bounds, depths):
    """Fill in the items' addresses and the users that they wait for; return whether all fit.

    Each buffer is a ring: items follow each other in the order of their first use.

    Parameters
    ----------
    depths : tuple of int
        Words of each buffer.
    """
    for buffer in range(3):
        depth = depths[buffer]
        position = 0
        standing = np.empty(bounds[buffer, 1] - bounds[buffer, 0] + 1, np.int64)
        number = 0
        for row in range(bounds[buffer, 0], bounds[buffer, 1]):
            words = items[row, WORDS]
            if words > depth:
                return False
            if position + words > depth:
                position = 0
            end = position + words
            after = -1
            kept = 0
            for place in range(number):
                other = standing[place]
                begin = items[other, ADDRESS]
                finish = begin + items[other, WORDS]
                if begin < end and position < finish:
                    if items[other, LAST] >= items[row, FIRST]:
                        return False
                    after = max(after, items[other, LAST])
                    # The next items still have to wait for the rest of it.
                    if finish <= end and begin >= position:
                        continue
                standing[kept] = other
                kept += 1
            standing[kept] = row
            number = kept + 1
            items[row, ADDRESS] = position
            items[row, AFTER] = after
            position = end
    return True


@njit(cache=True)
def run_engines(items, bounds, steps, stores, settings, latencies, load_order, starts):
    """Return the cycle in which the last write ends; -1 if something waits for ever.

    Of the LOADs that have room, the one needed first runs first.

    Parameters
    ----------
    items, bounds, steps, stores : ndarray
        Of work with room for its items.
    settings : (three rates, row groups, words of the output buffer, bytes)
        Rates of writes, of the store engine and of reads in bytes per cycle; the bytes are those
        of an instruction.
    latencies : (load, pipeline, fill, run, lead)
        Cycles before a LOAD's first word, through the requantiser, through the array, of a run
        of words in addition to its words, and from a CONV's data to its first pass.
    load_order : ndarray of int64, shape (items,)
        Is filled with the rows of the items in the order in which they are loaded.
    starts : tuple of three ndarrays of float64
        Are filled with the cycles in which items, CONVs and STOREs start.
    """
    write_rate, store_rate, read_rate, row_groups, out_depth, instruction_bytes = settings
    load_latency, pipeline, fill, run_cycles, lead = latencies
    item_starts, step_starts, store_starts = starts
    ready = np.full(len(items), -1.0)
    computed = np.empty(len(steps))
    drained = np.empty(len(stores))
    heads = bounds[:, 0].copy()
    step = store = written_back = loaded = 0
    compute = drain = loader = bus = end = written = 0.0
    # Short runs leave the output buffer more slowly than words come.
    whole = store_rate == write_rate
    room = out_depth * write_rate / store_rate
    while True:
        # Everything that can run with the items loaded so far.
        while store < len(stores):
            if step <= stores[store, AFTER_STEP]:
                act, weight = ready[steps[step, ACT]], ready[steps[step, WEIGHT]]
                if act < 0 or weight < 0:
                    break
                start = max(act, weight)
                if steps[step, OPENS] > 1:
                    start = max(start, drained[steps[step, OPENS] - 2])
                start = max(compute, start + lead)
                step_starts[step] = start
                compute = start + steps[step, CYCLES]
                computed[step] = compute + fill
                step += 1
            else:
                param = ready[stores[store, PARAM]]
                if param < 0:
                    break
                start = max(drain, max(computed[stores[store, AFTER_STEP]], param))
                store_starts[store] = start
                drain = start + stores[store, DRAIN] + pipeline
                drained[store] = drain
                begin = start if whole else max(start, written)
                written = max(drain, begin + stores[store, BYTES] / store_rate)
                drain = max(drain, written - room)
                end = max(end, written + load_latency)
                store += 1
        # The next LOAD.
        chosen = -1
        chosen_late = chosen_deadline = chosen_release = 0.0
        for buffer in range(3):
            row = heads[buffer]
            if row == bounds[buffer, 1]:
                continue
            after = items[row, AFTER]
            if buffer == 2:
                if after >= store:
                    continue
                release = drained[after] if after >= 0 else 0.0
                # A parameter's deadline is the last CONV of its first tile.
                deadline = stores[items[row, FIRST], AFTER_STEP] + 0.5
            else:
                if after >= step:
                    continue
                release = computed[after] if after >= 0 else 0.0
                deadline = float(items[row, FIRST])
            late = max(release - loader, 0.0)
            if (
                chosen < 0
                or late < chosen_late
                or (late == chosen_late and deadline < chosen_deadline)
            ):
                chosen = buffer
                chosen_late, chosen_deadline, chosen_release = late, deadline, release
        if chosen < 0:
            break
        row = heads[chosen]
        heads[chosen] += 1
        start = max(loader, chosen_release)
        while written_back < store and store_starts[written_back] <= start:
            size = stores[written_back, BYTES]
            bus = max(bus, store_starts[written_back]) + size / write_rate
            written_back += 1
        # Nothing else moves while instructions do: a LOAD comes with a CONV, more or less.
        fetched = 2 * items[row, LOADS] * instruction_bytes / read_rate
        begin = max(start, max(bus, chosen_release + load_latency))
        moved = items[row, SIZE] / read_rate + fetched
        words = items[row, WORDS] * (row_groups if chosen == 0 else 1)
        item_starts[row] = start
        ready[row] = begin + max(words + fetched, moved) + run_cycles * items[row, RUNS]
        bus = begin + moved
        loader = ready[row]
        load_order[loaded] = row
        loaded += 1
    return end if store == len(stores) else -1.0
