"""The token gate: nothing passes early, all passes in order, and it says what it waits for."""

from random import Random

import pytest
from amaranth.lib import data

from systolith_hw.stream.gate import TokenGate
from systolith_sim.testing.streams import simulate, stream_get, stream_put, trace

LAYOUT = data.StructLayout({"after_loaded": 24, "after_drained": 24, "number": 8})
CONDITIONS = {"after_loaded": "loaded", "after_drained": "drained"}


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.6)])
def test_instructions_pass_in_order_and_never_early(stall_in, stall_out):
    random = Random(2)
    counts = {"loaded": 0, "drained": 0}
    jobs = [
        {"after_loaded": index // 2, "after_drained": index // 3, "number": index}
        for index in range(40)
    ]
    dut = TokenGate(LAYOUT, CONDITIONS)
    passed = []

    async def feed(ctx):
        await stream_put(ctx, dut.i, jobs, seed=1, stall=stall_in)

    async def take(ctx):
        for seed in range(len(jobs)):
            (job,) = await stream_get(ctx, dut.o, 1, seed=seed, stall=stall_out)
            assert job.after_loaded <= counts["loaded"]
            assert job.after_drained <= counts["drained"]
            passed.append(job.number)
        ctx.set(dut.o.ready, 1)
        assert all(valid == 0 for (valid,) in await trace(ctx, 10, dut.o.valid))

    async def progress(ctx):
        while True:
            for name in counts:
                if random.random() < 0.2 and counts[name] < 20:
                    counts[name] += 1
                ctx.set(dut.progress[name], counts[name])
            await ctx.tick()

    simulate(dut, feed, take, watch=[dut.o], background=[progress])
    assert passed == list(range(40))


def test_it_takes_two_cycles_at_the_least():
    dut = TokenGate(LAYOUT, CONDITIONS)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        rows = await trace(ctx, 9, dut.i.ready, dut.o.valid)
        assert rows == [(1, 0), (0, 0), (0, 1)] * 3

    simulate(dut, bench)


@pytest.mark.parametrize(
    ("loaded", "drained", "waiting"), [(4, 6, 0b11), (5, 6, 0b10), (4, 7, 0b01), (5, 7, 0b00)]
)
def test_it_says_which_counter_holds_an_instruction(loaded, drained, waiting):
    dut = TokenGate(LAYOUT, CONDITIONS)

    async def bench(ctx):
        assert ctx.get(dut.waiting) == 0
        ctx.set(dut.progress.loaded, loaded)
        ctx.set(dut.progress.drained, drained)
        await stream_put(ctx, dut.i, [{"after_loaded": 5, "after_drained": 7, "number": 1}])
        await ctx.tick()
        for _ in range(5):
            _, _, now, valid = await ctx.tick().sample(dut.waiting, dut.o.valid)
            assert now == waiting
            assert valid == (waiting == 0)

    simulate(dut, bench)


def test_counters_compare_in_their_full_width():
    dut = TokenGate(LAYOUT, CONDITIONS)

    async def bench(ctx):
        top = (1 << 24) - 1
        ctx.set(dut.progress.loaded, top - 1)
        await stream_put(ctx, dut.i, [{"after_loaded": top, "after_drained": 0, "number": 1}])
        assert all(valid == 0 for (valid,) in await trace(ctx, 10, dut.o.valid))
        ctx.set(dut.progress.loaded, top)
        await ctx.tick()
        _, _, valid = await ctx.tick().sample(dut.o.valid)
        assert valid

    simulate(dut, bench)
