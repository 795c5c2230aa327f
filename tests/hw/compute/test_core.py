"""The direct core with its buffers: sums, cycles and states of hand-made convolutions."""

from itertools import product

import numpy as np
import pytest

from systolith_hw.compute.core import DirectCore
from systolith_hw.interface.core import DrainRead
from systolith_hw.spec.timing import least_pass
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.cores import (
    CoreBench,
    contents,
    conv,
    dones_after_resets,
    only_busy,
    payload,
    run_core,
)
from systolith_sim.testing.streams import simulate, stream_put

SHAPES = [(2, 2), (3, 6), (4, 4), (8, 4)]


def passes_and_pixels(job):
    counts = job["counts"]
    return int(np.prod(counts[3:])), int(np.prod(counts[:3]))


def reference(config, jobs, act, weight):
    """Return both banks, ndarray of shape (2, acc_depth, cols)."""
    banks = np.zeros((2, config.acc_depth, config.cols), np.int64)
    for job in jobs:
        fields = job["fields"]
        outer = [range(count) for count in job["counts"][:2:-1]]
        inner = [range(count) for count in job["counts"][2::-1]]
        for number, taps in enumerate(product(*outer)):
            base = fields["weight_base"] + number * config.rows
            block = weight[base : base + config.rows]
            for pixel, place in enumerate(product(*inner)):
                index = (*taps, *place)[::-1]
                addr = fields["act_base"] + int(np.dot(index, job["strides"]))
                sums = act[addr] @ block
                target = banks[fields["bank"], fields["acc_base"] + pixel]
                if number == 0 and fields.get("shift"):
                    target *= 256
                target[:] = sums if number == 0 and fields.get("clear") else target + sums
    return banks


def run(config, jobs, *, seed=0, **options):
    """Run CONVs; return the banks, the states, the cycles of `done`, and the buffers' contents."""
    data = contents(config, seed)
    return (*run_core(DirectCore(config), jobs, data, seed=seed, **options), data)


def example_jobs(config):
    """Return CONVs of several kinds: taps, strides, accumulation over two CONVs, both banks."""
    rows = config.rows
    return [
        conv(
            (3, 2, 1, 2, 2, 1),
            (1, 6, 0, 1, 6, 0),
            act_base=5,
            weight_base=0,
            acc_base=0,
            bank=0,
            clear=1,
        ),
        conv(
            (3, 2, 1, 1, 1, 2),
            (2, 12, 0, 0, 0, 40),
            act_base=60,
            weight_base=4 * rows,
            acc_base=0,
            bank=0,
            clear=0,
        ),
        conv(
            (2, 2, 2, 3, 1, 1),
            (1, 8, 40, 1, 0, 0),
            act_base=0,
            weight_base=7 * rows,
            acc_base=5,
            bank=1,
            clear=1,
        ),
        conv(
            (1, 1, 1, 1, 1, 1),
            (0, 0, 0, 0, 0, 0),
            act_base=200,
            weight_base=1,
            acc_base=40,
            bank=1,
            clear=1,
        ),
        conv(
            (3, 2, 1, 1, 2, 1),
            (1, 6, 0, 0, 7, 0),
            act_base=11,
            weight_base=rows,
            acc_base=0,
            bank=0,
            shift=1,
        ),
        conv(
            (9, 1, 1, 1, 2, 2),
            (1, 0, 0, 0, 9, 30),
            act_base=3,
            weight_base=2 * rows + 1,
            acc_base=20,
            bank=0,
            clear=1,
        ),
    ]


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
@pytest.mark.parametrize("stall", [0.0, 0.9])
def test_sums_are_those_of_the_walk(rows, cols, stall):
    config = small_config(rows, cols)
    jobs = example_jobs(config)
    banks, _, dones, data = run(config, jobs, seed=rows, stall=stall)
    written = reference(config, jobs, *data)
    assert len(dones) == len(jobs)
    assert np.array_equal(banks, written)


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
@pytest.mark.parametrize("pixels", [1, 3, 4, 5, 8, 11])
def test_a_conv_takes_passes_times_pixels_and_convs_follow_without_a_pause(rows, cols, pixels):
    config = small_config(rows, cols)
    jobs = [
        conv(
            (pixels, 1, 1, 3, 2, 1),
            (1, 0, 0, 1, 16, 0),
            act_base=index,
            weight_base=6 * rows * index,
            acc_base=0,
            bank=index % 2,
            clear=1,
        )
        for index in range(4)
    ]
    _, states, dones, _ = run(config, jobs, read_back=False)
    working = only_busy(states)
    a_pass = max(pixels, least_pass(rows))
    # The last pass needs no more than its pixels.
    assert len(working) == len(jobs) * 6 * a_pass - (a_pass - pixels)
    assert working.count("busy") == len(jobs) * 6 * pixels
    assert set(working) <= {"busy", "wait_weights"}
    assert np.diff(dones).tolist() == [6 * a_pass] * 3


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
@pytest.mark.parametrize("extra", [0, 3])
def test_convs_of_one_pass_follow_without_a_pause(rows, cols, extra):
    config = small_config(rows, cols)
    pixels = least_pass(rows) + extra
    jobs = [
        conv(
            (pixels, 1, 1, 1, 1, 1),
            (1, 0, 0, 0, 0, 0),
            act_base=index,
            weight_base=rows * index,
            acc_base=0,
            bank=index % 2,
            clear=1,
        )
        for index in range(6)
    ]
    _, _, dones, _ = run(config, jobs, read_back=False)
    assert np.diff(dones).tolist() == [pixels] * 5


@pytest.mark.requirement("RST-2")
def test_of_a_conv_that_a_reset_of_one_cycle_has_met_no_done_comes():
    core = DirectCore(small_config(4, 8))
    job = conv((6, 1, 1, 1, 1, 1), (1,) + (0,) * 5, acc_base=0, bank=0, clear=1)
    assert dones_after_resets(core, job, cycles=40) == [(0, 1)] * 40


def test_done_comes_when_the_last_sum_can_be_read():
    config = small_config(4, 4)
    jobs = [conv((6, 1, 1, 1, 1, 1), (1,) + (0,) * 5, acc_base=0, bank=0, clear=1)]
    act, weight = contents(config, 0)
    harness = CoreBench(DirectCore(config), act, weight)
    core = harness.core

    async def bench(ctx):
        await stream_put(ctx, core.conv, [payload(jobs[0], config)])
        done = False
        while not done:
            _, _, done = await ctx.tick().sample(core.status.done)
        # The progress counter shows it a cycle later; only then may a drain begin.
        ctx.set(core.drain.place, {"bank": 0, "addr": 5})
        ctx.set(core.drain.group, 0)
        for _ in range(DrainRead.LATENCY):
            await ctx.tick()
        for lane in range(config.post_lanes):
            assert ctx.get(core.drain.sum[lane]) == int(act[5] @ weight[:4, lane])
            await ctx.tick()

    simulate(harness, bench)


@pytest.mark.parametrize(
    ("field", "counter", "state"),
    [
        ("after_loaded_act", "loaded", "wait_input"),
        ("after_loaded_weight", "loaded", "wait_weights"),
        ("after_drained", "drained", "wait_output"),
    ],
)
def test_a_conv_waits_for_its_tokens_in_the_state_that_names_them(field, counter, state):
    config = small_config(4, 4)
    job = conv((6, 1, 1, 1, 1, 1), (1,) + (0,) * 5, acc_base=0, bank=0, clear=1)
    job["fields"][field] = 3

    def progress(cycle):
        return {counter: min(3, cycle // 20)}

    _, states, dones, _ = run(config, [job], progress=progress, read_back=False)
    assert len(dones) == 1
    # Two cycles of way in, then it waits until the counter reaches its value in cycle 60.
    assert states[5:58] == [state] * 53
    first = states.index("busy")
    assert 60 < first <= 70
    assert set(states[62:first]) <= {"idle", "wait_weights"}
    assert states[first : first + 6] == ["busy"] * 6
    assert set(states[first + 6 :]) == {"idle"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"act_base": 251}, "activation"),
        ({"weight_base": 64 * 4 - 3}, "weight"),
        ({"acc_base": 59}, "bank"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_an_address_beyond_a_buffer_is_a_fault(fields, name, inside):
    config = small_config(4, 4)
    fields = {key: value - inside for key, value in fields.items()}
    job = conv((6, 1, 1, 1, 1, 1), (1,) + (0,) * 5, bank=0, clear=1, **fields)
    harness = CoreBench(DirectCore(config), *contents(config, 0))
    seen = []

    async def bench(ctx):
        await stream_put(ctx, harness.core.conv, [payload(job, config)])
        for _ in range(60):
            _, _, fault = await ctx.tick().sample(harness.core.status.fault)
            seen.append(fault)

    simulate(harness, bench)
    assert sum(seen) == (0 if inside else 1), name
