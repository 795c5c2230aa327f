"""The direct core with its buffers: sums, cycles and states of hand-made convolutions."""

from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect

from systolith_hw.compute.core import DirectCore
from systolith_hw.interface.buffers import buffer_shape
from systolith_hw.interface.core import DrainRead
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.spec.isa import FIELDS, Buffer, Instruction, Opcode, walk_steps
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_hw.spec.timing import least_pass
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put

STATES = ENGINE_STATES[Engine.COMPUTE]
LEVELS = ("x", "y", "n", "s", "r", "c")
SHAPES = [(2, 2), (3, 6), (4, 4), (8, 4)]


class Harness(wiring.Component):
    """The core with an activation and a weight buffer that have contents."""

    def __init__(self, config, act, weight):
        self.core = DirectCore(config)
        self.act = SkewedMemory(buffer_shape(Buffer.ACT, config))
        self.weight = SkewedMemory(buffer_shape(Buffer.WEIGHT, config))
        for memory, contents in ((self.act, act), (self.weight, weight)):
            for lane, bank in enumerate(memory.banks):
                bank.init = [int(value) & 255 for value in contents[:, lane]]
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self.core
        m.submodules.act = self.act
        m.submodules.weight = self.weight
        connect(m, core.act, self.act.read)
        connect(m, core.weight, self.weight.read)
        return m


def conv(counts, strides, **fields):
    """Return a CONV; counts and strides are those of x, y, n, s, r, c."""
    steps = walk_steps(counts, strides)
    for level, count, step in zip(LEVELS, counts, steps, strict=True):
        fields |= {f"{level}_count": count, f"{level}_step": step}
    return {"counts": counts, "strides": strides, "fields": fields}


def payload(job):
    instruction = Instruction(Opcode.CONV, job["fields"])
    present = [field.name for field in FIELDS[Opcode.CONV] if not field.option]
    return {name: instruction[name] for name in present}


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


def contents(config, seed):
    rng = np.random.default_rng(seed)
    act = rng.integers(-128, 128, (config.act_depth, config.rows))
    weight = rng.integers(-128, 128, (config.weight_depth, config.cols))
    return act, weight


def run(config, jobs, *, seed=0, stall=0.0, progress=None, read_back=True, limit=6000):
    """Run CONVs; return the banks, the state of every cycle, and the cycles of `done`.

    `progress` is what the counters are in a cycle, a function of the cycle.
    """
    act, weight = contents(config, seed)
    harness = Harness(config, act, weight)
    core = harness.core
    states, dones, faults = [], [], []
    banks = np.zeros((2, config.acc_depth, config.cols), np.int64)
    lanes = config.post_lanes

    async def feed(ctx):
        await stream_put(ctx, core.conv, [payload(job) for job in jobs], seed=seed, stall=stall)

    async def watch(ctx):
        cycle = 0
        quiet = 0
        while quiet < 30:
            if progress is not None:
                ctx.set(core.progress, progress(cycle))
            _, _, state, done, fault = await ctx.tick().sample(
                core.status.state, core.status.done, core.status.fault
            )
            states.append(STATES[state])
            if done:
                dones.append(cycle)
            if fault:
                faults.append(cycle)
            cycle += 1
            quiet = quiet + 1 if len(dones) == len(jobs) else 0

    async def read(ctx):
        while len(dones) < len(jobs):
            await ctx.tick()
        places = list(product(range(2), range(config.acc_depth), range(config.cols // lanes)))
        sums = []
        for bank, addr, group in places + [(0, 0, 0)] * (lanes + 4):
            ctx.set(core.drain.place, {"bank": bank, "addr": addr})
            ctx.set(core.drain.group, group)
            _, _, lane_sums = await ctx.tick().sample(core.drain.sum)
            sums.append(lane_sums)
        for cycle, (bank, addr, group) in enumerate(places):
            for lane in range(lanes):
                banks[bank, addr, group * lanes + lane] = sums[cycle + DrainRead.LATENCY + lane][
                    lane
                ]

    simulate(harness, feed, watch, *([read] if read_back else []), limit=limit)
    assert not faults
    return banks, states, dones, (act, weight)


def only_busy(states):
    """Return the states from the first pixel to the last."""
    busy = [cycle for cycle, state in enumerate(states) if state == "busy"]
    return states[busy[0] : busy[-1] + 1]


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


def test_done_comes_when_the_last_sum_can_be_read():
    config = small_config(4, 4)
    jobs = [conv((6, 1, 1, 1, 1, 1), (1,) + (0,) * 5, acc_base=0, bank=0, clear=1)]
    act, weight = contents(config, 0)
    harness = Harness(config, act, weight)
    core = harness.core

    async def bench(ctx):
        await stream_put(ctx, core.conv, [payload(jobs[0])])
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
    harness = Harness(config, *contents(config, 0))
    seen = []

    async def bench(ctx):
        await stream_put(ctx, harness.core.conv, [payload(job)])
        for _ in range(60):
            _, _, fault = await ctx.tick().sample(harness.core.status.fault)
            seen.append(fault)

    simulate(harness, bench)
    assert sum(seen) == (0 if inside else 1), name
