"""The lane sequencer: addresses of ring and bank, their flags, and what passes wait for."""

from itertools import pairwise
from random import Random

import pytest

from systolith_hw.compute.winograd.lanes import LaneSequencer
from systolith_hw.spec.timing import patch_release
from systolith_hw.spec.winograd import LANES
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put

MOST = 7


def expected_words(jobs):
    """Return (ring address, first, bank, bank address, overwrite, done) of every word."""
    words = []
    half = 0
    for job in jobs:
        for chunk in range(job["c_count"]):
            for lane in range(LANES):
                for patch in range(job["patches"]):
                    words.append(
                        (
                            (half * LANES + lane) * MOST + patch,
                            patch == 0,
                            job["bank"],
                            job["acc_base"] + lane * job["patches"] + patch,
                            bool(job["clear"]) and chunk == 0,
                            (chunk, lane, patch)
                            == (job["c_count"] - 1, LANES - 1, job["patches"] - 1),
                        )
                    )
            half ^= 1
    return words


@pytest.mark.parametrize("readiness", [1.0, 0.2])
def test_words_are_those_of_the_walk_and_passes_wait_for_weights_and_chunks(readiness):
    random = Random(3)
    config = small_config(4, 4, winograd=MOST, acc_depth=LANES * MOST + 20)
    dut = LaneSequencer(config)
    jobs = [
        {
            "patches": random.randint(1, MOST),
            "c_count": random.randint(1, 3),
            "acc_base": random.randint(0, 20),
            "bank": random.getrandbits(1),
            "clear": random.getrandbits(1),
        }
        for _ in range(5)
    ]
    words = expected_words(jobs)
    got, busy, starts, releases, waits = [], [], [], [], []

    async def feed(ctx):
        await stream_put(ctx, dut.job, jobs)

    async def watch(ctx):
        cycle = 0
        while len(got) < len(words) or cycle < busy[-1] + 20:
            weights, full = (random.random() < readiness for _ in range(2))
            ctx.set(dut.weights_ready, weights)
            ctx.set(dut.full, full)
            (
                _,
                _,
                addr,
                first,
                word,
                done,
                now,
                start,
                release,
                chunk,
                weight,
            ) = await ctx.tick().sample(
                dut.addr,
                dut.first,
                dut.accumulate,
                dut.done,
                dut.busy,
                dut.start,
                dut.release,
                dut.wait_chunk,
                dut.wait_weights,
            )
            assert now + chunk + weight <= 1
            assert not (chunk and full)
            waits.append((chunk, weight))
            if now:
                busy.append(cycle)
            if start:
                assert full
                assert weights
                starts.append(cycle)
            if release:
                releases.append(cycle)
            if word.valid:
                assert cycle == busy[len(got)] + 2  # from issue to the address
                got.append(
                    (
                        addr,
                        bool(first),
                        word.bank,
                        word.addr,
                        bool(word.overwrite),
                        bool(done),
                    )
                )
            cycle += 1

    simulate(dut, feed, watch, limit=30_000)
    assert got == words
    firsts = [cycle for cycle, (_, first, *_) in zip(busy, words, strict=True) if first]
    assert starts == firsts[::LANES]
    assert releases == [cycle + 1 for cycle in firsts[patch_release(config) :: LANES]]
    # Once begun, a pass never waits, and passes are as far apart as the accumulators need.
    for cycle, following, (_, first, *_) in zip(busy, busy[1:], words[1:], strict=False):
        assert first or following == cycle + 1
    assert min(b - a for a, b in pairwise(firsts)) >= 5
    assert any(chunk for chunk, _ in waits) == (readiness < 1)


def test_an_address_beyond_the_bank_is_a_fault():
    config = small_config(4, 4, winograd=MOST, acc_depth=LANES * MOST)
    dut = LaneSequencer(config)
    seen = []

    async def bench(ctx):
        ctx.set(dut.weights_ready, 1)
        ctx.set(dut.full, 1)
        job = {"patches": MOST, "c_count": 1, "acc_base": 2, "bank": 0, "clear": 1}
        await stream_put(ctx, dut.job, [job])
        for _ in range(LANES * MOST + 10):
            _, _, fault, addr = await ctx.tick().sample(dut.fault, dut.fault_addr)
            if fault:
                seen.append(addr)

    simulate(dut, bench)
    assert seen == [LANES * MOST, LANES * MOST + 1]
