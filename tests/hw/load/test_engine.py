"""The load engine: regions of a memory into pictures of the buffers."""

from collections import deque
from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.load.engine import LoadEngine
from systolith_hw.spec import isa
from systolith_hw.spec.isa import PARAM_BYTES, Buffer, Instruction, Opcode, fields_of
from systolith_hw.spec.legal import word_bytes
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put

STATES = ENGINE_STATES[Engine.LOAD]
CONFIGS = [
    *((4, 4, 8, 4, 0, 0), (8, 4, 16, 2, 1, 1), (3, 6, 4, 1, 0, 0), (3, 6, 4, 1, 1, 0)),
    *((12, 12, 16, 4, 0, 1), (6, 12, 4, 2, 0, 1), (4, 8, 64, 4, 1, 1)),
]
MEMORY_BYTES = 1 << 14


def make_config(rows, cols, bus, lanes, functions=0, nibbles=0):
    depths = {"act_depth": 512, "param_depth": 8 * cols, "out_depth": 256}
    options = {"functions": functions, "nibbles": nibbles}
    return small_config(rows, cols, bus_bytes=bus, post_lanes=lanes, **options, **depths)


def load(**fields):
    return Instruction(Opcode.LOAD, fields)


def payload(instruction, config=None):
    fields = fields_of(Opcode.LOAD, config or small_config())
    return {field.name: instruction[field.name] for field in fields}


def region(memory, job, size):
    """Return the bytes of a region as an ndarray of shape (planes, runs, run bytes)."""
    return np.array(
        [
            [
                memory[start : start + job["run_words"] * size]
                for run in range(job["runs"])
                for start in [job["addr"] + plane * job["plane_pitch"] + run * job["run_pitch"]]
            ]
            for plane in range(job["planes"])
        ]
    )


def apply(config, memory, job, buffers):
    """Do in NumPy what a LOAD does; `buffers` are ndarrays of bytes, one row a word."""
    buffer = Buffer(job["buffer"])
    size = word_bytes(buffer, config)
    words = region(memory, job, size).reshape(-1, size)
    if buffer is Buffer.TABLE:  # a word has eight entries
        words = words.reshape(-1, 1)
    if job["nibbles"]:
        signed = [[(word & 15) - (word & 8) * 2, (word >> 4) - (word >> 7) * 16] for word in words]
        words = (np.array(signed).reshape(-1, size) & 255).astype(np.uint8)
    if buffer is not Buffer.ACT:
        buffers[buffer][job["dest"] : job["dest"] + len(words)] = words
        return
    words = words.reshape(job["planes"], job["rows"], job["pixels"], size)
    vertical, horizontal = (job["pad_top"], job["pad_bottom"]), (job["pad_left"], job["pad_right"])
    around = ((0, 0), vertical, horizontal, (0, 0))
    words = np.pad(words, around, constant_values=job["pad_value"] & 255).reshape(-1, size)
    lanes = slice(job["lane"] * size, (job["lane"] + 1) * size)
    buffers[buffer][job["dest"] : job["dest"] + len(words), lanes] = words


def random_job(random, config):
    buffer = random.choice(isa.buffers_of(config))
    size = word_bytes(buffer, config)
    pixels, rows, planes = random.randint(1, 6), random.randint(1, 4), random.randint(1, 2)
    pitch = pixels * size + random.choice([0, size, 3 * size])
    fields = {
        "buffer": buffer,
        "addr": random.randrange(MEMORY_BYTES // 2) // size * size,
        "run_words": pixels,
        "runs": rows,
        "run_pitch": pitch,
        "planes": planes,
        "plane_pitch": rows * pitch + random.choice([0, size]),
    }
    if buffer is Buffer.ACT:
        fields |= {
            "rows": rows,
            "pixels": pixels,
            "lane": random.randrange(config.row_groups),
            "pad_value": random.randint(-128, 127),
            "dest": random.randrange(64),
        }
        fields |= {
            f"pad_{side}": random.randint(0, 2) for side in ("top", "bottom", "left", "right")
        }
        if random.random() < 0.4:  # the rows as one run
            fields |= {"run_words": pixels * rows, "runs": 1}
    else:
        places = {
            Buffer.WEIGHT: config.weight_depth - 12,
            Buffer.PARAM: config.param_depth - 12,
            Buffer.TABLE: isa.TABLE_ENTRIES - 12 * PARAM_BYTES,
        }
        fields["planes"] = 1
        fields["pixels"] = 1
        fields["run_words"] = random.randint(1, 4)
        fields["runs"] = random.randint(1, 3)
        fields["dest"] = random.randrange(places[buffer])
        if config.nibbles and buffer is Buffer.WEIGHT and random.random() < 0.7:
            fields["nibbles"] = 1
            fields["dest"] = random.randrange(places[buffer] - 12)
    return load(**fields)


class Bench:
    """A load engine, a memory, and what it writes into its buffers."""

    def __init__(self, config, *, seed=0, stall=0.0):
        self.config = config
        self.dut = LoadEngine(config)
        self.random = Random(seed)
        self.stall = stall
        rng = np.random.default_rng(seed)
        self.memory = rng.integers(0, 256, MEMORY_BYTES).astype(np.uint8)
        self.buffers = self.empty()
        self.pending = deque()  # addresses of beats that were asked for
        self.done = 0
        self.states = []
        self.faults = []
        self.miscounts = []

    def empty(self):
        config = self.config
        return {
            Buffer.ACT: np.zeros((config.act_depth, config.rows), np.uint8),
            Buffer.WEIGHT: np.zeros((config.weight_depth, config.cols), np.uint8),
            Buffer.PARAM: np.zeros((config.param_depth, PARAM_BYTES), np.uint8),
            Buffer.TABLE: np.zeros((isa.TABLE_ENTRIES, 1), np.uint8),
        }

    async def reads(self, ctx):
        dut, bus = self.dut, self.config.bus_bytes
        beats = self.pending
        while True:
            ctx.set(dut.burst.ready, self.random.random() >= self.stall)
            if not ctx.get(dut.beat.valid) and beats and self.random.random() >= self.stall:
                place = beats.popleft()
                raw = self.memory[place : place + bus].tobytes()
                ctx.set(dut.beat.p, int.from_bytes(raw, "little"))
                ctx.set(dut.beat.valid, 1)
            _, _, asked, burst, given = await ctx.tick().sample(
                dut.burst.valid & dut.burst.ready, dut.burst.p, dut.beat.valid & dut.beat.ready
            )
            if asked:
                beats.extend(burst.addr + index * bus for index in range(burst.length + 1))
            if given:
                ctx.set(dut.beat.valid, 0)

    async def writes(self, ctx):
        dut, config = self.dut, self.config
        while True:
            _, _, done, state, fault, at, miscount, number = await ctx.tick().sample(
                dut.status.done,
                dut.status.state,
                dut.status.fault,
                dut.status.fault_addr,
                dut.status.miscount,
                dut.status.miscount_number,
            )
            self.states.append(STATES[state])
            if fault:
                self.faults.append(at)
            if miscount:
                self.miscounts.append((number, self.done))
            self.done += done
            ctx.set(dut.progress.loaded, self.done)
            # Registered outputs: read them now for the next cycle's edge.
            act, weight, param = ctx.get(dut.act.en), ctx.get(dut.weight.en), ctx.get(dut.param.en)
            if act:
                word = ctx.get(dut.act.data.as_value()).to_bytes(config.block, "little")
                group = act.bit_length() - 1
                assert act == 1 << group
                lanes = slice(group * config.block, (group + 1) * config.block)
                self.buffers[Buffer.ACT][ctx.get(dut.act.addr), lanes] = list(word)
            if weight:
                word = ctx.get(dut.weight.data.as_value()).to_bytes(config.cols, "little")
                self.buffers[Buffer.WEIGHT][ctx.get(dut.weight.addr)] = list(word)
            if param:
                lane = param.bit_length() - 1
                assert param == 1 << lane
                word = ctx.get(dut.param.data.as_value()).to_bytes(PARAM_BYTES, "little")
                entry = ctx.get(dut.param.addr) * config.post_lanes + lane
                self.buffers[Buffer.PARAM][entry] = list(word)
            if config.functions and ctx.get(dut.table.en):
                entry = ctx.get(dut.table.data.as_value())
                self.buffers[Buffer.TABLE][ctx.get(dut.table.addr)] = entry

    def run(self, *tests, reset=None):
        dut = self.dut
        whole = dut if reset is None else ResetInserter(reset)(dut)
        # A reset withdraws a burst that waits: the read port is reset with the engine.
        watch = [dut.burst] if reset is None else []
        simulate(whole, *tests, background=[self.reads, self.writes], watch=watch, limit=20_000)


@pytest.mark.parametrize(("rows", "cols", "bus", "lanes", "functions", "nibbles"), CONFIGS)
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_regions_arrive_in_their_buffers(rows, cols, bus, lanes, functions, nibbles, stall):
    config = make_config(rows, cols, bus, lanes, functions, nibbles)
    random = Random(rows + bus)
    jobs = [random_job(random, config) for _ in range(25)]
    bench = Bench(config, seed=bus, stall=stall)
    expected = bench.empty()
    for job in jobs:
        apply(config, bench.memory, job, expected)

    async def feed(ctx):
        fields = [payload(job, config) for job in jobs]
        await stream_put(ctx, bench.dut.load, fields, stall=stall)
        while bench.done < len(jobs):
            await ctx.tick()
        for _ in range(30):
            await ctx.tick()
        assert bench.done == len(jobs)

    bench.run(feed)
    for buffer in Buffer:
        assert np.array_equal(bench.buffers[buffer], expected[buffer]), buffer
    assert not bench.faults
    assert not bench.miscounts
    assert set(bench.states[-20:]) == {"idle"}


@pytest.mark.parametrize(
    ("field", "counter", "state"),
    [
        ("after_computed", "computed", "wait_compute"),
        ("after_drained", "drained", "wait_store"),
        ("after_stored", "stored", "wait_store"),
    ],
)
def test_a_load_asks_for_nothing_before_its_tokens_are_there(field, counter, state):
    config = make_config(4, 4, 8, 4)
    bench = Bench(config)
    dut = bench.dut

    async def test(ctx):
        await stream_put(ctx, dut.load, [payload(load(run_words=4, pixels=4, **{field: 2}))])
        for _ in range(40):
            _, _, valid = await ctx.tick().sample(dut.burst.valid)
            assert not valid
        assert bench.done == 0
        assert not ctx.get(dut.status.rest)
        assert bench.states[-30:] == [state] * 30
        ctx.set(dut.progress[counter], 2)
        while not ctx.get(dut.status.done):
            assert not ctx.get(dut.status.rest)
            await ctx.tick()
        # The controller counts it in the cycle after this one.
        await ctx.tick()
        assert ctx.get(dut.status.rest)
        assert bench.done == 1

    bench.run(test)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"buffer": Buffer.ACT, "dest": 509, "run_words": 4, "pixels": 4}, 512),
        ({"buffer": Buffer.WEIGHT, "dest": 253, "run_words": 4}, 256),
        ({"buffer": Buffer.PARAM, "dest": 29, "run_words": 4}, 32),
        ({"buffer": Buffer.ACT, "dest": 508, "run_words": 4, "pixels": 4}, None),
        ({"buffer": Buffer.WEIGHT, "dest": 252, "run_words": 4}, None),
        ({"buffer": Buffer.PARAM, "dest": 28, "run_words": 4}, None),
    ],
)
def test_a_word_beyond_its_buffer_is_a_fault(fields, fault):
    config = make_config(4, 4, 8, 4)
    bench = Bench(config)

    async def test(ctx):
        await stream_put(ctx, bench.dut.load, [payload(load(**fields))])
        for _ in range(60):
            await ctx.tick()

    bench.run(test)
    assert bench.faults == ([] if fault is None else [fault])


TILE = {"run_words": 3, "runs": 2, "run_pitch": 16, "rows": 2, "pixels": 3}
PADDED = {f"pad_{side}": 2 for side in ("top", "bottom", "left", "right")}


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("padding", [{}, PADDED])
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, False),
        ({"run_words": 6, "runs": 1}, False),
        ({"rows": 1}, True),
        ({"rows": 3}, True),
        ({"pixels": 2}, True),
        ({"pixels": 4}, True),
        ({"run_words": 2}, True),
        ({"run_words": 4}, True),
        ({"runs": 1}, True),
        ({"runs": 3}, True),
        ({"pixel_bytes": 1}, True),
        ({"pixel_bytes": 1, "pixels": 9}, False),
        ({"pixel_bytes": 1, "pixels": 8}, True),
        ({"pixel_bytes": 1, "pixels": 13}, True),
        ({"rows": 1, "pixels": 1, "run_words": 2, "runs": 1}, True),
        ({"rows": 1, "pixels": 2, "run_words": 1, "runs": 1}, True),
    ],
)
def test_a_region_of_another_size_than_its_tile_is_a_fault(before, padding, fields, wrong):
    if fields.get("pixel_bytes") and not wrong:
        fields = {**fields, "run_words": 3}  # nine bytes a row are three words of four
    config = make_config(4, 4, 8, 4)
    bench = Bench(config)
    good = load(**TILE)
    jobs = [good] * before + [load(**{**TILE, **padding, **fields})] + [good] * 3

    async def test(ctx):
        for job in jobs:
            await stream_put(ctx, bench.dut.load, [payload(job)])
            for _ in range(10):
                await ctx.tick()
            if bench.miscounts:
                break
        for _ in range(150):
            await ctx.tick()

    bench.run(test)
    if not wrong:
        assert bench.done == len(jobs)
        assert not bench.miscounts
    else:
        # Seen at once, so before or with the end of the LOAD.
        assert bench.miscounts[0] in ((before, before), (before, before + 1))


def test_long_runs_flow_a_beat_a_cycle():
    config = make_config(12, 12, 16, 4)
    bench = Bench(config)
    jobs = [load(buffer=Buffer.WEIGHT, run_words=96, dest=96 * index) for index in range(3)]

    async def test(ctx):
        await stream_put(ctx, bench.dut.load, [payload(job) for job in jobs])
        while bench.done < 3:
            await ctx.tick()

    bench.run(test)
    busy = [cycle for cycle, state in enumerate(bench.states) if state == "busy"]
    assert len(busy) == 3 * 96
    assert busy[-1] - busy[0] + 1 <= 3 * (96 + 2)


@pytest.mark.parametrize("when", [4, 11, 23, 60])
def test_after_a_reset_in_the_middle_loads_are_as_ever(when):
    config = make_config(4, 4, 8, 4)
    random = Random(when)
    jobs = [random_job(random, config) for _ in range(10)]
    bench = Bench(config, seed=when, stall=0.2)
    reset = Signal()
    expected = bench.empty()
    for job in jobs:
        apply(config, bench.memory, job, expected)

    async def test(ctx):
        ctx.set(bench.dut.load.payload, payload(jobs[3]))
        ctx.set(bench.dut.load.valid, 1)
        for _ in range(when):
            await ctx.tick()
        ctx.set(bench.dut.load.valid, 0)
        # As the controller does: nothing more is asked for, and what was asked for arrives.
        ctx.set(reset, 1)
        for _ in range(200):
            await ctx.tick()
        bench.pending.clear()
        ctx.set(bench.dut.beat.valid, 0)
        ctx.set(reset, 0)
        bench.done = 0
        bench.buffers = bench.empty()
        await stream_put(ctx, bench.dut.load, [payload(job) for job in jobs])
        while bench.done < len(jobs):
            await ctx.tick()

    bench.run(test, reset=reset)
    for buffer in Buffer:
        assert np.array_equal(bench.buffers[buffer], expected[buffer]), buffer
