"""The replay's memory: latency, bandwidth that both ways share, reads and writes under way."""

import itertools

import pytest

from systolith_sim.replay import memory
from systolith_sim.replay.bus import READ_PORT, WRITE_PORT
from systolith_sim.replay.parts import ITEMS


@pytest.fixture
def serve(record, facts):
    """Return what lets a memory serve: when beats are read, and when answers come."""

    def served(bursts=(), stores=(), cycles=400, **timing):
        ram, items, f = record(memory.MEMORY), record(ITEMS), facts(**{"latency": 2, **timing})
        read, write = record(READ_PORT, r_ready=True), record(WRITE_PORT)
        reads, writes = list(bursts), list(stores)
        data = sum(writes)
        memory.start(ram, f, False)
        beats, answers, asked = [], [], []
        for now in range(1, cycles):
            read.ar_valid, write.aw_valid = bool(reads), bool(writes)
            read.ar_beats = reads[0] if reads else 0
            write.aw_beats = writes[0] if writes else 0
            write.w_sent = data > 0 and ram.w_ready
            data -= int(write.w_sent)
            memory.offer(ram, read, write)
            if ram.beat_arrives:
                beats.append(now)
            if ram.b_valid:
                answers.append(now)
            if ram.ar_taken:
                asked.append(now)
                reads.pop(0)
            if ram.aw_taken:
                writes.pop(0)
            memory.step(ram, f, items, read, write, now)
        assert (ram.beats_read, data) == (len(beats), 0)
        return beats, answers, asked

    return served


@pytest.mark.parametrize("latency", [2, 20])
def test_the_first_beat_comes_a_latency_after_its_address_and_then_one_each_cycle(serve, latency):
    beats, _, asked = serve([5, 3], latency=latency)
    assert beats == list(range(asked[0] + latency, asked[0] + latency + 8))


@pytest.mark.parametrize(("rate", "cycles"), [(4, 2), (2, 4), (1, 8)])
def test_bandwidth_sets_the_cycles_between_beats(serve, rate, cycles):
    beats, _, _ = serve([16], bytes_per_cycle=rate)
    assert {after - before for before, after in itertools.pairwise(beats)} == {cycles}


def test_only_so_many_reads_are_under_way(serve):
    _, _, asked = serve([4] * 6, reads=1, latency=30)
    assert all(after - before > 30 for before, after in itertools.pairwise(asked))
    _, _, asked = serve([4] * 6, reads=6, latency=30)
    assert asked == list(range(1, 7))


def test_a_write_is_answered_a_latency_after_its_last_beat(serve):
    (short,), (long,) = (serve((), [8], latency=cycles)[1] for cycles in (20, 31))
    assert long - short == 11


def test_reads_and_writes_share_the_bandwidth(serve):
    alone, _, _ = serve([32], bytes_per_cycle=4, latency=2)
    both, answers, _ = serve([32], [32], bytes_per_cycle=4, latency=2)
    assert len(both) == 32
    assert len(answers) == 1
    assert both[-1] - both[0] >= 2 * (alone[-1] - alone[0]) - 4


def test_a_turn_costs_its_cycles(serve):
    whole = {"bytes_per_cycle": 8, "latency": 2}
    ends = []
    for turnaround in (0, 16):
        beats, answers, _ = serve([8, 8], [8], turnaround=turnaround, **whole)
        ends.append(max(beats[-1], *answers))
    assert ends[1] - ends[0] >= 16
