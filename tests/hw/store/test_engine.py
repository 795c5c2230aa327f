"""The store engine: words of a bank into the bytes of a memory, burst by burst."""

from random import Random

import numpy as np
import pytest

from systolith_hw.interface.core import DrainRead
from systolith_hw.spec.isa import Instruction, Opcode, fields_of, walk_steps
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_hw.spec.winograd import LANES, OUTPUTS, PATCH
from systolith_hw.store.engine import StoreEngine
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.patches import lane_sums
from systolith_sim.testing.streams import simulate, stream_get, stream_put

STATES = ENGINE_STATES[Engine.STORE]
CONFIGS = [(4, 4, 8, 4), (4, 8, 16, 2), (3, 6, 4, 1), (12, 12, 16, 4), (4, 4, 4, 1)]


def store(pixels, runs=1, blocks=1, **fields):
    """Return a STORE of `pixels` words a run, in the bank's order."""
    return Instruction(
        Opcode.STORE,
        {
            "run_words": pixels,
            "runs": runs,
            "planes": blocks,
            "blocks": blocks,
            "x_count": pixels,
            "x_step": 1,
            "y_count": runs,
            "y_step": 1,
            "low": -128,
            "high": 127,
            **fields,
        },
    )


def store_patches(width, height, blocks=1, pool=0, **fields):
    """Return a STORE of patches that lie at the bank's start, a run for each row."""
    across, down = -(-width // OUTPUTS), -(-height // OUTPUTS)
    count = across * down
    levels = {"dx": PATCH, "dy": PATCH, "x": across, "y": down, "n": 1}
    steps = walk_steps((PATCH, PATCH), (PATCH * count, count))
    outer = walk_steps((across, down), (1, across))
    return Instruction(
        Opcode.STORE,
        {
            **{f"{level}_count": size for level, size in levels.items()},
            **dict(zip(("dx_step", "dy_step", "x_step", "y_step"), steps + outer, strict=True)),
            "run_words": width >> pool,
            "runs": height >> pool,
            "planes": blocks,
            "blocks": blocks,
            "winograd": 1,
            "pool": pool,
            "width": width,
            "height": height,
            "low": -128,
            "high": 127,
            **fields,
        },
    )


def payload(instruction, config):
    return {field.name: instruction[field.name] for field in fields_of(Opcode.STORE, config)}


class Bench:
    """A store engine whose sums are int8 already and whose parameters change nothing."""

    def __init__(self, config, *, seed=0, stall=0.0):
        self.config = config
        self.dut = StoreEngine(config)
        self.rng = rng = np.random.default_rng(seed)
        self.banks = rng.integers(-128, 128, (2, config.acc_depth, config.cols))
        self.stall = stall
        self.seed = seed
        self.bursts = []
        self.memory = {}
        self.states = []
        self.drained = 0
        self.miscounts = []

    def expect(self, job, memory):
        """Write what a STORE writes into `memory`, a dictionary of bytes."""
        block = self.config.block
        word = 0
        for b in range(job["blocks"]):
            for run in range(job["runs"]):
                addr = job["addr"] + b * job["plane_pitch"] + run * job["run_pitch"]
                for index in range(job["run_words"]):
                    pixel = word % (job["x_count"] * job["y_count"])
                    values = self.banks[job["bank"], job["acc_base"] + pixel]
                    for channel in range(block):
                        place = addr + index * block + channel
                        memory[place] = int(values[b * block + channel]) & 255
                    word += 1

    def fill(self, job, memory):
        """Put patches into a STORE's bank, and write what it writes into `memory`."""
        block, size = self.config.block, OUTPUTS
        across, down = job["x_count"], job["y_count"]
        columns = block * job["blocks"]
        # With a kernel of a single one, the sums are the middle of the patch.
        shape = (across * down, columns)
        patches = self.rng.integers(-128, 128, (*shape, PATCH, PATCH))
        kernel = np.zeros((3, 3), int)
        kernel[1, 1] = 1
        lanes = lane_sums(patches, kernel).reshape(*shape, LANES)
        words = lanes.transpose(2, 0, 1).reshape(-1, columns)
        self.banks[job["bank"], : len(words), :columns] = words
        middle = patches[..., 1:-1, 1:-1].reshape(down, across, columns, size, size)
        maps = middle.transpose(2, 0, 3, 1, 4).reshape(columns, down * size, across * size)
        maps = maps[:, : job["height"], : job["width"]]
        if job["pool"]:
            tall, wide = job["height"] // 2, job["width"] // 2
            maps = maps.reshape(columns, tall, 2, wide, 2).max(axis=(2, 4))
        for channel, row, pixel in np.ndindex(maps.shape):
            plane, byte = divmod(channel, block)
            place = job["addr"] + plane * job["plane_pitch"] + row * job["run_pitch"]
            memory[place + pixel * block + byte] = int(maps[channel, row, pixel]) & 255

    async def surroundings(self, ctx):
        dut, lanes = self.dut, self.config.post_lanes
        for lane in range(lanes):
            ctx.set(dut.param.data[lane], {"bias": 0, "multiplier": 1 << 9, "shift": 9})
        reads = [(0, 0, 0)] * (DrainRead.LATENCY + lanes)
        while True:
            _, _, read, group, state, drained, miscount, number = await ctx.tick().sample(
                dut.drain.place,
                dut.drain.group,
                dut.status.state,
                dut.status.done,
                dut.status.miscount,
                dut.status.miscount_number,
            )
            if miscount:
                self.miscounts.append(number)
            self.states.append(STATES[state])
            self.drained += drained
            reads = [(read.bank, read.addr, group), *reads[:-1]]
            for lane in range(lanes):
                bank, addr, group = reads[DrainRead.LATENCY + lane - 1]
                column = group * lanes + lane
                inside = column < self.config.cols and addr < self.config.acc_depth
                ctx.set(dut.drain.sum[lane], int(self.banks[bank, addr, column]) if inside else 0)

    async def take(self, ctx, regions):
        """Take bursts and their beats until that many regions have ended."""
        dut, bus = self.dut, self.config.bus_bytes
        seed = 1000 * self.seed
        while regions:
            (burst,) = await stream_get(ctx, dut.burst, 1, seed=seed, stall=self.stall)
            seed += 1
            self.bursts.append((burst.addr, burst.length + 1))
            beats = await stream_get(ctx, dut.beat, burst.length + 1, seed=seed, stall=self.stall)
            for index, beat in enumerate(beats):
                data = int(beat.data).to_bytes(bus, "little")
                assert beat.strb, "a beat without a byte"
                for lane in range(bus):
                    if beat.strb >> lane & 1:
                        place = burst.addr + index * bus + lane
                        assert place not in self.memory, "a byte is written twice"
                        self.memory[place] = data[lane]
            regions -= burst.last
        for _ in range(20):
            _, _, burst, beat = await ctx.tick().sample(dut.burst.valid, dut.beat.valid)
            assert not burst
            assert not beat

    def run(self, *tests):
        dut = self.dut
        simulate(dut, *tests, background=[self.surroundings], watch=[dut.burst, dut.beat])


@pytest.mark.parametrize(("rows", "cols", "bus", "lanes"), CONFIGS)
@pytest.mark.parametrize("stall", [0.0, 0.7])
def test_words_arrive_at_their_addresses(rows, cols, bus, lanes, stall):
    config = small_config(rows, cols, bus_bytes=bus, post_lanes=lanes)
    random = Random(bus * cols)
    block = config.block
    bench = Bench(config, seed=3, stall=stall)
    jobs = []
    expected = {}
    for index in range(10):
        pixels, runs = random.randint(1, 7), random.randint(1, 3)
        blocks = random.randint(1, config.col_groups)
        pitch = (pixels + random.choice([0, 1, 5])) * block
        jobs.append(
            store(
                pixels,
                runs,
                blocks,
                addr=64 * 64 * index + random.randrange(8) * block,
                run_pitch=pitch,
                plane_pitch=runs * pitch + random.choice([0, block]),
                bank=random.getrandbits(1),
                acc_base=random.randrange(8),
            )
        )
        bench.expect(jobs[-1], expected)

    async def feed(ctx):
        await stream_put(ctx, bench.dut.store, [payload(job, config) for job in jobs])

    async def take(ctx):
        await bench.take(ctx, len(jobs))

    bench.run(feed, take)
    assert bench.memory == expected
    assert bench.drained == len(jobs)
    assert not bench.miscounts


@pytest.mark.parametrize(
    ("field", "counter", "state"),
    [("after_computed", "computed", "wait_compute"), ("after_loaded", "loaded", "wait_params")],
)
def test_a_store_drains_nothing_before_its_tokens_are_there(field, counter, state):
    bench = Bench(small_config(4, 4))
    dut = bench.dut
    job = store(5, **{field: 3})
    expected = {}
    bench.expect(job, expected)

    async def test(ctx):
        ctx.set(dut.progress[counter], 2)
        await stream_put(ctx, dut.store, [payload(job, bench.config)])
        for _ in range(40):
            await ctx.tick()
        assert bench.states[-30:] == [state] * 30
        assert not ctx.get(dut.status.rest)
        ctx.set(dut.progress[counter], 3)
        await bench.take(ctx, 1)
        await ctx.tick()
        assert ctx.get(dut.status.rest)

    bench.run(test)
    assert bench.memory == expected


def test_it_waits_for_memory_while_writes_are_pending():
    bench = Bench(small_config(4, 4))

    async def test(ctx):
        ctx.set(bench.dut.pending, 1)
        await stream_put(ctx, bench.dut.store, [payload(store(5), bench.config)])
        await bench.take(ctx, 1)
        assert bench.states[-5:] == ["wait_memory"] * 5
        ctx.set(bench.dut.pending, 0)
        for _ in range(3):
            await ctx.tick()
        assert bench.states[-1] == "idle"

    bench.run(test)
    assert bench.states.count("busy") == 5


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("stall", [0.0, 0.8])
@pytest.mark.parametrize(
    "fields",
    [
        {"run_words": 4},
        {"run_words": 6},
        {"runs": 1},
        {"runs": 3},
        {"planes": 2},
        {"x_count": 4},
        {"x_count": 6},
        {"y_count": 1},
        {"y_count": 3},
        {"n_count": 2},
        {"run_words": 11, "runs": 1},
        {"run_words": 1, "runs": 1},
        {"x_count": 1, "y_count": 1},
    ],
)
def test_a_region_of_another_size_than_what_is_drained_is_a_fault(before, stall, fields):
    bench = Bench(small_config(4, 4), stall=stall)
    dut = bench.dut
    bad = Instruction(Opcode.STORE, {**store(5, 2, addr=1024, run_pitch=20).fields, **fields})

    async def test(ctx):
        ctx.set(dut.pending, 1)
        for index in range(before):
            good = store(5, 2, addr=64 * index, run_pitch=20)
            await stream_put(ctx, dut.store, [payload(good, bench.config)])
            await bench.take(ctx, 1)
        # Of a STORE that is not acknowledged yet, or after all are.
        for pending in (0, 1) if stall else (1,):
            ctx.set(dut.progress.stored, before)
            ctx.set(dut.pending, pending)
            await ctx.tick()
        assert not bench.miscounts
        ctx.set(dut.burst.ready, 1)
        ctx.set(dut.beat.ready, 1)
        await stream_put(ctx, dut.store, [payload(bad, bench.config)])
        for _ in range(120):
            await ctx.tick()
            if bench.miscounts:
                break

    simulate(dut, test, background=[bench.surroundings])
    assert bench.miscounts == [before]


@pytest.mark.parametrize(("rows", "cols", "bus", "lanes"), [(4, 4, 8, 4), (4, 8, 16, 2)])
@pytest.mark.parametrize("stall", [0.0, 0.7])
def test_patches_arrive_as_rows_of_their_map(rows, cols, bus, lanes, stall):
    config = small_config(
        rows, cols, bus_bytes=bus, post_lanes=lanes, winograd=4, acc_depth=12 * LANES
    )
    random = Random(cols)
    bench = Bench(config, seed=4, stall=stall)
    dut, block = bench.dut, config.block
    expected, cycles = {}, 0

    async def test(ctx):
        nonlocal cycles
        for index in range(5):
            pool = index % 2
            width, height = (random.randint(1, 6) << pool for _ in range(2))
            blocks = random.randint(1, config.col_groups)
            pitch = ((width >> pool) + random.choice([0, 3])) * block
            job = store_patches(
                width,
                height,
                blocks,
                pool,
                addr=64 * 64 * index,
                run_pitch=pitch,
                plane_pitch=pitch * (height >> pool),
                bank=index % 2,
            )
            cycles += job["x_count"] * job["y_count"] * blocks * LANES * (block // lanes)
            bench.fill(job, expected)
            await stream_put(ctx, dut.store, [payload(job, config)])
            await bench.take(ctx, 1)
            assert bench.drained == index + 1
            assert ctx.get(dut.status.rest)

    bench.run(test)
    assert bench.memory == expected
    assert bench.states.count("busy") == cycles
    assert not bench.miscounts


def test_it_is_not_at_rest_while_words_of_patches_wait():
    config = small_config(4, 4, winograd=4, acc_depth=12 * LANES)
    bench = Bench(config)
    job = store_patches(12, 8, run_pitch=48)
    expected = {}
    bench.fill(job, expected)

    async def test(ctx):
        await stream_put(ctx, bench.dut.store, [payload(job, config)])
        for _ in range(600):
            await ctx.tick()
            assert not ctx.get(bench.dut.status.rest)
        assert bench.drained == 1
        await bench.take(ctx, 1)
        assert ctx.get(bench.dut.status.rest)

    bench.run(test)
    assert bench.memory == expected


@pytest.mark.parametrize(
    "fields", [{"run_words": 6}, {"run_words": 8}, {"runs": 4}, {"runs": 6}, {"planes": 2}]
)
def test_a_region_of_another_size_than_the_patches_give_is_a_fault(fields):
    config = small_config(4, 4, winograd=4, acc_depth=12 * LANES)
    bench = Bench(config)
    dut = bench.dut
    bad = Instruction(Opcode.STORE, {**store_patches(7, 5, run_pitch=64).fields, **fields})

    async def test(ctx):
        ctx.set(dut.pending, 1)
        ctx.set(dut.burst.ready, 1)
        ctx.set(dut.beat.ready, 1)
        await stream_put(ctx, dut.store, [payload(bad, config)])
        await ctx.tick().repeat(400)

    simulate(dut, test, background=[bench.surroundings])
    assert bench.miscounts == [0]
