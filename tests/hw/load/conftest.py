"""What the tests of the writers share."""

from collections import namedtuple

import pytest

from systolith_hw.interface.buffers import SINK_JOB
from systolith_sim.testing.streams import simulate, stream_put

Row = namedtuple("Row", "took busy finish fault en addr value")
"""A cycle at a writer, the write side one cycle after its decision."""


@pytest.fixture
def sink_job():
    """Return what makes a job that begins at a place."""
    return lambda dest: dict.fromkeys(SINK_JOB.members, 0) | {"dest": dest}


@pytest.fixture
def write_regions(sink_job):
    """Return what gives a writer (place, words) after (place, words), and returns each cycle's row.

    Eight more follow the last word's end, in which a word too many waits and must never be taken.
    """

    def write(dut, regions, stall):
        rows = []

        async def jobs(ctx):
            await stream_put(ctx, dut.job, [sink_job(dest) for dest, _ in regions])

        async def feed(ctx):
            for _, words in regions:
                for index, word in enumerate(words):
                    ctx.set(dut.last, index == len(words) - 1)
                    await stream_put(ctx, dut.word, [word], seed=word, stall=stall)
            ctx.set(dut.word.valid, 1)

        async def watch(ctx):
            while sum(row.finish for row in rows[:-8]) < len(regions):
                _, _, *row = await ctx.tick().sample(
                    dut.taken,
                    dut.busy,
                    dut.finish,
                    dut.fault,
                    dut.write.en,
                    dut.write.addr,
                    dut.write.data.as_value(),
                )
                rows.append(Row(*row))
            assert ctx.get(dut.word.ready) == 0

        simulate(dut, jobs, feed, watch)
        return rows

    return write
