"""The core for both kinds: lanes' sums, direct sums of patches, cycles, states and faults."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.compute.core import DirectCore
from systolith_hw.compute.winograd.core import WinogradCore
from systolith_hw.spec.isa import Instruction, Opcode
from systolith_hw.spec.legal import broken_rule
from systolith_hw.spec.timing import winograd_latency
from systolith_hw.spec.winograd import LANES
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.cores import (
    STATES,
    CoreBench,
    contents,
    conv,
    dones_after_resets,
    only_busy,
    payload,
    run_core,
)
from systolith_sim.testing.streams import simulate, stream_put
from systolith_sim.testing.tiles import (
    direct_sums,
    from_lanes,
    lane_sums,
    tile,
    winograd_config,
)


def reference(config, jobs, act, weight):
    """Return both banks after CONVs of both kinds, direct ones of one row of pixels."""
    banks = np.zeros((2, config.acc_depth, config.cols), np.int64)
    for job in jobs:
        fields = job["fields"]
        if "shape" in job:
            sums = lane_sums(job, act, weight)
        else:
            x, passes = job["counts"][0], job["counts"][5]
            base, step = fields["act_base"], job["strides"][5]
            parts = [
                act[base + c * step : base + c * step + x]
                @ weight[fields["weight_base"] + c * config.rows :][: config.rows]
                for c in range(passes)
            ]
            sums = np.sum(parts, axis=0)
        target = banks[fields["bank"], fields["acc_base"] :][: len(sums)]
        target[:] = sums if fields.get("clear") else target + sums
    return banks


def row(count, chunks, **fields):
    """Return a direct CONV over a row of pixels."""
    return conv((count, 1, 1, 1, 1, chunks), (1, 0, 0, 0, 0, count), **fields)


def random_jobs(config, random, count, direct=0.0):
    """Return CONVs with random shapes, that add to banks that were cleared."""
    jobs = []
    cleared = [0, 0]
    for _ in range(count):
        bank = random.randint(0, 1)
        if random.random() < direct:
            pixel = random.randint(1, 12)
            common = {"weight_base": random.randrange(config.rows), "bank": bank}
            job = row(pixel, random.randint(1, 4), act_base=random.randrange(99), **common)
        else:
            shapes = [
                (n, y, x)
                for n in (1, 2)
                for y in range(1, 8)
                for x in range(1, 8)
                if n * y * x <= config.winograd
            ]
            job = tile(
                random.choice(shapes),
                random.randint(1, 3),
                act_base=random.randrange(99),
                weight_base=random.randrange(config.rows),
                bank=bank,
            )
        size = LANES * job["fields"].get("patches", 0) or job["counts"][0]
        job["fields"]["acc_base"] = random.randint(0, config.acc_depth - size)
        job["fields"]["clear"] = int(not cleared[bank] or random.random() < 0.3)
        cleared[bank] = 1
        jobs.append(job)
    return jobs


def run(config, jobs, seed=0, **options):
    """Run CONVs on the core, compare both banks, return the states and the cycles of `done`."""
    for job in jobs:
        assert broken_rule(Instruction(Opcode.CONV, job["fields"]), config) is None
    act, weight = contents(config, seed)
    banks, states, dones = run_core(
        WinogradCore(config), jobs, (act, weight), seed=seed, limit=40_000, **options
    )
    assert len(dones) == len(jobs)
    if options.get("read_back", True):
        assert np.array_equal(banks, reference(config, jobs, act, weight))
    return states, dones, banks, (act, weight)


@pytest.mark.parametrize(
    ("rows", "cols", "shape"),
    [
        (4, 4, (1, 2, 2)),
        (8, 4, (1, 1, 5)),
        (4, 8, (2, 3, 2)),
        (3, 6, (1, 1, 1)),
        (10, 2, (1, 2, 4)),
    ],
)
def test_lanes_give_the_plain_convolution(rows, cols, shape):
    config = winograd_config(rows, cols, max(4, int(np.prod(shape))))
    job = tile(shape, 2, act_base=7, weight_base=3, acc_base=2, bank=1, clear=1)
    _, _, banks, (act, weight) = run(config, [job], seed=rows)
    size = LANES * int(np.prod(shape))
    result = from_lanes(job, banks[1, 2 : 2 + size])
    assert np.array_equal(result, direct_sums(job, act, weight))
    assert np.abs(result).max() > 10_000


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("rows", "cols", "patches"), [(4, 4, 6), (2, 6, 4), (6, 3, 7)])
def test_convs_of_both_kinds_follow_each_other_in_any_order(rows, cols, patches, seed):
    random = Random(seed)
    print(f"seed {seed}")
    config = winograd_config(rows, cols, patches)
    jobs = random_jobs(config, random, 5, direct=(0.0, 0.5, 0.5, 0.8)[seed])
    run(config, jobs, seed=seed, stall=(0.0, 0.98)[seed % 2])


@pytest.mark.parametrize("seed", range(2))
def test_tokens_that_come_late_at_random_change_no_sum(seed):
    random = Random(seed)
    print(f"seed {seed}")
    config = winograd_config(4, 4, 6)
    jobs = random_jobs(config, random, 5, direct=0.3)
    counters: dict[str, int] = {"loaded": 0, "drained": 0}
    for job in jobs:
        for field in ("after_loaded_act", "after_loaded_weight", "after_drained"):
            counter = field.split("_")[1]
            counters[counter] += random.randint(0, 2)
            job["fields"][field] = counters[counter]
    now = dict.fromkeys(counters, 0)

    def progress(cycle):
        for counter, most in counters.items():
            now[counter] += now[counter] < most and random.random() < 0.006
        return dict(now)

    run(config, jobs, seed=seed, progress=progress)
    assert now == counters


@pytest.mark.parametrize(
    ("rows", "shape", "most"),
    [
        (4, (1, 2, 2), 4),
        (4, (1, 1, 5), 14),
        (6, (2, 1, 3), 6),
        (6, (1, 1, 7), 7),
        (6, (1, 1, 3), 7),
    ],
)
def test_a_conv_takes_36_passes_a_chunk_and_convs_follow_without_a_pause(rows, shape, most):
    config = winograd_config(rows, 2, most)
    patches, chunks = int(np.prod(shape)), 2
    jobs = [
        tile(shape, chunks, act_base=index, weight_base=0, acc_base=0, bank=index % 2, clear=1)
        for index in range(3)
    ]
    states, dones, *_ = run(config, jobs, read_back=False)
    working = only_busy(states)
    a_pass = max(patches, config.least_pass)
    assert len(working) == len(jobs) * chunks * LANES * a_pass - (a_pass - patches)
    assert working.count("busy") == len(jobs) * chunks * LANES * patches
    assert set(working) <= {"busy", "wait_weights"}
    assert np.diff(dones).tolist() == [chunks * LANES * a_pass] * 2


def test_short_and_long_tiles_follow_each_other_in_the_same_ring():
    config = winograd_config(2, 2, 16)
    shapes = [(1, 4, 4), (1, 1, 1), (1, 1, 1), (1, 4, 4), (1, 1, 3), (1, 4, 4)]
    jobs = [
        tile(shape, 1, act_base=index, weight_base=0, acc_base=0, bank=0, clear=index == 0)
        for index, shape in enumerate(shapes)
    ]
    run(config, jobs)


@pytest.mark.parametrize("offset", [0, 1, 17, 35])
def test_a_conv_takes_the_same_cycles_whenever_it_comes(offset):
    """The transforms have no phase of their own that a CONV would have to wait for."""
    config = winograd_config(4, 2, 4)
    jobs = [
        tile(
            (1, 2, 2), 1, act_base=0, weight_base=0, acc_base=0, bank=0, clear=1, after_loaded_act=n
        )
        for n in (0, 1)
    ]

    def progress(cycle):
        return {"loaded": int(cycle >= 420 + offset)}

    states, dones, *_ = run(config, jobs, progress=progress, read_back=False)
    begun = states.index("busy", 400)
    # The token, and the gate in front of the sequencer, take the two cycles.
    assert begun == 420 + offset + 2 + winograd_latency(4)
    assert dones[1] - begun == dones[0] - states.index("busy")


def test_direct_convs_take_the_cycles_of_the_direct_core():
    random = Random(5)
    config = winograd_config(4, 4, 4)
    act, weight = contents(config, 0)
    jobs = [
        row(
            random.randint(1, 9),
            random.randint(1, 4),
            act_base=random.randrange(50),
            weight_base=random.randrange(50),
            acc_base=0,
            bank=index % 2,
            clear=1,
            after_loaded_act=random.randint(0, index),
        )
        for index in range(12)
    ]

    def progress(cycle):
        return {"loaded": cycle // 17}

    options = {"progress": progress, "stall": 0.3}
    depths = ("act_depth", "weight_depth", "acc_depth")
    direct = small_config(4, 4, **{name: getattr(config, name) for name in depths})
    results = [
        run_core(core, jobs, (act, weight), **options)
        for core in (DirectCore(direct), WinogradCore(config))
    ]
    assert np.array_equal(results[0][0], results[1][0])
    assert results[0][1:] == results[1][1:]


@pytest.mark.parametrize(
    ("field", "counter", "state"),
    [
        ("after_loaded_act", "loaded", "wait_input"),
        ("after_loaded_weight", "loaded", "wait_weights"),
        ("after_drained", "drained", "wait_output"),
    ],
)
def test_a_conv_waits_for_its_tokens_in_the_state_that_names_them(field, counter, state):
    config = winograd_config(4, 2, 4)
    fields = {"act_base": 0, "weight_base": 0, "acc_base": 0, "bank": 0, "clear": 1, field: 3}
    job = tile((1, 2, 2), 1, **fields)

    def progress(cycle):
        return {counter: min(3, cycle // 200)}

    states, *_ = run(config, [job], progress=progress, read_back=False)
    # The first chunk comes while the weights or the bank are waited for.
    assert states[200:600] == [state] * 400
    assert set(states[5:200]) <= {"wait_input", state}
    first = states.index("busy", 600)
    if field == "after_drained":
        assert first == 602
    assert states[first : first + 4] == ["busy"] * 4
    last = len(states) - states[::-1].index("busy")
    assert set(states[first:last]) == {"busy", "wait_weights"}
    assert set(states[last:]) == {"idle"}


@pytest.mark.parametrize(
    ("field", "past"),
    [
        ("act_base", 4096 - 200 + 1),
        ("weight_base", 4 * 96 - 72 + 1),
        ("acc_base", 6 * 36 + 3 - 143),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_an_address_beyond_a_buffer_is_a_fault_with_that_address(field, past, inside):
    config = winograd_config(4, 2, 6)
    fields = {"act_base": 0, "weight_base": 0, "acc_base": 0} | {field: past - inside}
    job = tile((1, 2, 2), 2, bank=0, clear=1, **fields)
    bench = CoreBench(WinogradCore(config), *contents(config, 0))
    status = bench.core.status
    end = {"act_base": 4096, "weight_base": 384, "acc_base": 219}[field]
    seen = []

    async def drive(ctx):
        await stream_put(ctx, bench.core.conv, [payload(job, config)])
        for _ in range(700):
            _, _, fault, addr = await ctx.tick().sample(status.fault, status.fault_addr)
            if fault:
                seen.append(addr)

    simulate(bench, drive)
    assert set(seen) == (set() if inside else {end})


@pytest.mark.parametrize("pause", [1, 900])
def test_a_conv_that_gathers_may_find_its_unit_complete_behind_patches(pause):
    config = winograd_config(4, 2, 4, gather=64)
    patches = tile((1, 1, 1), 1, act_base=0, weight_base=0, acc_base=0, bank=0, clear=1)
    gathers = conv((1,) * 6, (0,) * 5 + (1,), bank=1, clear=1, gather=1, units=1)
    bench = CoreBench(WinogradCore(config), *contents(config, 3))
    core = bench.core

    async def drive(ctx):
        ctx.set(core.gathering.active, {"inputs": 4, "words": 1})
        await stream_put(ctx, core.conv, [payload(patches, config)])
        await ctx.tick().repeat(pause)
        ctx.set(core.gathering.complete, 1)
        await ctx.tick()
        ctx.set(core.gathering.complete, 0)
        await ctx.tick().repeat(3)
        assert not ctx.get(core.status.rest)  # a unit is left over
        await stream_put(ctx, core.conv, [payload(gathers, config)])

    async def watch(ctx):
        for _ in range(2):
            await ctx.tick().until(core.status.done)

    simulate(bench, drive, watch, limit=3000)


def test_of_patches_that_a_reset_of_one_cycle_has_met_no_done_comes():
    core = WinogradCore(winograd_config(4, 2, 4))
    job = tile((1, 1, 1), 1, act_base=0, weight_base=0, acc_base=0, bank=0, clear=1)
    assert dones_after_resets(core, job, cycles=20) == [(0, 1)] * 20


@pytest.mark.parametrize("reset_at", [3, 60, 160, 400])
def test_after_a_reset_the_core_is_as_new(reset_at):
    config = winograd_config(4, 2, 4)
    job = tile((1, 2, 2), 2, act_base=0, weight_base=0, acc_base=0, bank=0, clear=1)
    act, weight = contents(config, 1)
    bench = CoreBench(WinogradCore(config), act, weight)
    reset = Signal()
    core = bench.core
    # A reset lasts until the pipelines are empty; that the core rests is known a cycle later.
    end = reset_at + 80
    busy, dones = [], []

    async def drive(ctx):
        ctx.set(core.conv.p, payload(job, config))
        offered = True
        for cycle in range(end + 600):
            ctx.set(reset, reset_at <= cycle < end)
            offered |= cycle == end + 1
            ctx.set(core.conv.valid, offered)
            _, _, state, done, taken = await ctx.tick().sample(
                core.status.state, core.status.done, core.conv.ready
            )
            offered &= not taken
            busy.append(STATES[state] == "busy")
            if done:
                dones.append(cycle)

    simulate(ResetInserter(reset)(bench), drive)
    after = busy[end + 1 :]
    assert after.index(True) == 3 + winograd_latency(4)
    assert sum(after) == 2 * LANES * 4
    assert len(dones) == 1
