"""The pixel sequencer: the walk's addresses, the bank's addresses, and their flags."""

from itertools import product
from random import Random

import numpy as np
import pytest

from systolith_hw.compute.sequencer import PIXEL_JOB, PixelSequencer
from systolith_hw.spec.isa import walk_steps
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put

LEVELS = ("x", "y", "n", "s", "r", "c")


def random_job(random):
    counts = tuple(random.randint(1, most) for most in (4, 3, 2, 2, 3, 2))
    strides = tuple(random.randint(0, 5) for _ in counts)
    fields = dict.fromkeys(PIXEL_JOB.members, 0) | {
        "act_base": random.randrange(100),
        "acc_base": random.randrange(30),
        "bank": random.getrandbits(1),
        "clear": random.getrandbits(1),
    }
    for level, count, step in zip(LEVELS, counts, walk_steps(counts, strides), strict=True):
        fields |= {f"{level}_count": count, f"{level}_step": step % (1 << 24)}
    return counts, strides, fields


def issued(job):
    """Return (activation address, first, bank, bank address, overwrite, done) of every pixel."""
    counts, strides, fields = job
    places = list(product(*(range(count) for count in reversed(counts))))
    pixels = int(np.prod(counts[:3]))
    return [
        (
            fields["act_base"] + int(np.dot(place[::-1], strides)),
            number % pixels == 0,
            fields["bank"],
            fields["acc_base"] + number % pixels,
            bool(fields["clear"]) and number < pixels,
            number == len(places) - 1,
        )
        for number, place in enumerate(places)
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("readiness", [1.0, 0.3])
def test_addresses_and_flags_are_those_of_the_walk(seed, readiness):
    random = Random(seed)
    config = small_config(4, 4, act_depth=1024)
    dut = PixelSequencer(config)
    jobs = [random_job(random) for _ in range(6)]
    expected = [pixel for job in jobs for pixel in issued(job)]
    got, busy, starts = [], [], []

    async def feed(ctx):
        await stream_put(ctx, dut.job, [job[2] for job in jobs])

    async def watch(ctx):
        cycle = 0
        while len(got) < len(expected) or cycle < busy[-1] + 20:
            ctx.set(dut.weights_ready, random.random() < readiness)
            _, _, addr, first, accumulate, done, now, fault, swap = await ctx.tick().sample(
                dut.act_addr, dut.act_first, dut.accumulate, dut.done, dut.busy, dut.fault, dut.swap
            )
            assert not fault
            if now:
                busy.append(cycle)
            if swap:
                starts.append(cycle)
            if accumulate.valid:
                assert cycle == busy[len(got)] + 2  # from issue to the address
                got.append(
                    (
                        addr,
                        bool(first),
                        accumulate.bank,
                        accumulate.addr,
                        bool(accumulate.overwrite),
                        bool(done),
                    )
                )
            cycle += 1

    simulate(dut, feed, watch)
    assert got == expected
    # `swap` comes a cycle ahead of each pass's first address.
    firsts = [cycle + 2 for cycle, (_, first, *_) in zip(busy, expected, strict=True) if first]
    assert [cycle + 1 for cycle in starts] == firsts
    # Once begun, a pass never waits.
    for cycle, following, (_, first, *_) in zip(busy, busy[1:], expected[1:], strict=False):
        assert first or following == cycle + 1
