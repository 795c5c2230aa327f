"""STOREs in the replay: a sum a cycle, whole beats, acknowledgements."""

import pytest

from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.presets import PRESETS

CONFIG = PRESETS["tiny"]
READS = CONFIG.block // CONFIG.post_lanes
"""Cycles of the lanes for a word."""


def program(made, words, address=0, **fields):
    return [
        made.load(Buffer.PARAM, 0, 4),
        made.load(Buffer.WEIGHT, 0, 4),
        made.load(Buffer.ACT, 0, 60),
        made.conv(60, after_loaded_act=3, after_loaded_weight=2),
        made.store(address, words, after_computed=1, after_loaded=1, **fields),
    ]


@pytest.mark.parametrize("words", [1, 7, 50])
def test_each_sum_is_a_busy_cycle(run, made, words):
    done = run(*program(made, words))
    assert done.counts["STORE busy"] == READS * words
    _, begin, end, _ = done.times[4]
    assert end - begin + 1 == READS * words


def test_pooling_reads_every_sum_of_a_window(run, made):
    done = run(*program(made, 9, dx_count=2, dy_count=2))
    assert done.counts["STORE busy"] == 4 * READS * 9


@pytest.mark.parametrize("address", [0, 4])
def test_runs_are_written_in_whole_beats(run, made, address):
    words = 5
    done = run(*program(made, words, address))
    first, end = address // 8, -(-(address + words * CONFIG.block) // 8)
    assert done.counts["write_beats"] == end - first


def test_a_store_is_acknowledged_a_latency_after_its_writes(run, made):
    short, long = (run(*program(made, 6), latency=cycles).times[4] for cycles in (20, 45))
    assert (long[3] - long[2]) - (short[3] - short[2]) == 25


def test_a_store_waits_for_room_where_writes_are_slow(run, made):
    done = run(*program(made, 60), bytes_per_cycle=0.125)
    assert done.counts["STORE wait_memory"] > 60 * CONFIG.block / 0.125 - 1000
