"""Instruction fetch: programs of random instructions, from bursts to the three engines."""

from collections import deque
from random import Random

import pytest

from systolith_hw.control.fetch import Fetch
from systolith_hw.spec.isa import (
    FIELDS,
    INSTRUCTION_BYTES,
    OPCODE_WIDTH,
    Instruction,
    Opcode,
    fields_of,
)
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import collect, sample_when, simulate

BUSES = [(4, 4), (8, 16), (16, 256), (64, 1)]


def highest(field, addr_width):
    return min(field.high, (1 << addr_width) - 1) if field.external else field.high


def random_program(random, count, config):
    """Return instructions that fetch hands on, with random values in all fields."""
    program, before = [], {"loaded": 0, "computed": 0, "drained": 0, "stored": 0}
    for _ in range(count):
        opcode = random.choice(list(Opcode))
        present = {field.name: field for field in fields_of(opcode, config)}
        fields = {
            field.name: random.randint(field.low, highest(field, config.addr_width))
            if not field.name.endswith("_step")
            else random.getrandbits(field.width)
            for field in (present.get(field.name, field) for field in FIELDS[opcode])
        }
        fields |= {
            name: random.randint(0, before[name.split("_")[1]])
            for name in fields
            if name.startswith("after_")
        }
        if opcode is not Opcode.CONV:
            for name in ("addr", "run_pitch", "plane_pitch"):
                fields[name] -= fields[name] % config.bus_bytes
        if opcode is Opcode.LOAD:
            fields["lane"] = random.randrange(config.row_groups)
            fields["pixel_bytes"] = random.choice([0, *config.pack_sizes])
            before["loaded"] += 1
        elif opcode is Opcode.CONV:
            before["computed"] += 1
        else:
            fields["blocks"] = random.randint(1, config.col_groups)
            fields["param_base"] -= fields["param_base"] % config.post_lanes
            fields["low"], fields["high"] = sorted((fields["low"], fields["high"]))
            before["drained"] += 1
            before["stored"] += 1
        program.append(Instruction(opcode, fields))
    return program


class Bench:
    """Fetch with a memory that holds a program, and three engines that stall."""

    def __init__(self, config, image, addr, *, stall=0.0, engine_stall=0.0):
        self.config = config
        self.dut = Fetch(config)
        self.image = image
        self.addr = addr
        self.stall = stall
        self.engine_stall = engine_stall
        self.bursts = []
        self.taken = {opcode: [] for opcode in Opcode}

    async def memory(self, ctx):
        random = Random(11)
        dut, bus = self.dut, self.config.bus_bytes
        beats = deque()
        refused = 0
        while True:
            ctx.set(dut.burst.ready, random.random() >= self.stall)
            if not ctx.get(dut.beat.valid) and beats and random.random() >= self.stall:
                ctx.set(dut.beat.p, beats.popleft())
                ctx.set(dut.beat.valid, 1)
            _, _, asked, burst, given, ready = await ctx.tick().sample(
                dut.burst.valid & dut.burst.ready, dut.burst.p, dut.beat.valid, dut.beat.ready
            )
            if asked:
                self.bursts.append((burst.addr, burst.length + 1))
                for index in range(burst.length + 1):
                    place = burst.addr + index * bus - self.addr
                    beats.append(int.from_bytes(self.image[place : place + bus], "little"))
            # A queue of two words may need a cycle to move the first one on.
            refused = refused + 1 if given and not ready else 0
            assert refused <= 1, "a beat that was asked for must find room"
            if given and ready:
                ctx.set(dut.beat.valid, 0)

    def engines(self):
        streams = {
            Opcode.LOAD: self.dut.load,
            Opcode.CONV: self.dut.conv,
            Opcode.STORE: self.dut.store,
        }

        def engine(opcode):
            async def take(ctx):
                await collect(
                    ctx, streams[opcode], self.taken[opcode], seed=opcode, stall=self.engine_stall
                )

            return take

        return [engine(opcode) for opcode in Opcode]

    async def start(self, ctx, count):
        ctx.set(self.dut.addr, self.addr)
        ctx.set(self.dut.count, count)
        ctx.set(self.dut.start, 1)
        await ctx.tick()
        ctx.set(self.dut.start, 0)

    def run(self, test, **rest):
        dut = self.dut
        simulate(
            dut,
            test,
            background=[self.memory, *self.engines()],
            watch=[dut.burst, dut.load, dut.conv, dut.store],
            **rest,
        )


def check_taken(bench, program):
    for opcode in Opcode:
        mine = [instruction for instruction in program if instruction.opcode is opcode]
        assert len(bench.taken[opcode]) == len(mine)
        for got, instruction in zip(bench.taken[opcode], mine, strict=True):
            for field in fields_of(opcode, bench.config):
                assert got[field.name] == instruction[field.name], field.name


@pytest.mark.parametrize(("bus", "beats"), BUSES)
@pytest.mark.parametrize(("stall", "engine_stall"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.9)])
def test_instructions_reach_their_engines_in_order(bus, beats, stall, engine_stall):
    config = small_config(bus_bytes=bus, burst_beats=beats, out_depth=4096)
    programs = [
        random_program(Random(seed + bus), count, config) for seed, count in ((0, 12), (1, 5))
    ]
    image = b"".join(instruction.encode() for program in programs for instruction in program)
    addr = 0x10000 - 3 * INSTRUCTION_BYTES  # bursts meet a 4 KiB boundary
    bench = Bench(config, image, addr, stall=stall, engine_stall=engine_stall)
    dut = bench.dut

    async def test(ctx):
        for program in programs:
            for taken in bench.taken.values():
                taken.clear()
            await bench.start(ctx, len(program))
            while ctx.get(dut.fetched) != len(program):
                await ctx.tick()
            for _ in range(30):
                _, _, *valids = await ctx.tick().sample(
                    dut.burst.valid, dut.load.valid, dut.conv.valid, dut.store.valid, dut.fault
                )
                assert not any(valids)
            assert ctx.get(dut.fetched) == len(program)
            check_taken(bench, program)
            bench.addr += len(program) * INSTRUCTION_BYTES
            bench.image = bench.image[len(program) * INSTRUCTION_BYTES :]

    bench.run(test)
    for burst_addr, count in bench.bursts:
        assert burst_addr // 4096 == (burst_addr + count * bus - 1) // 4096
        assert count <= beats
    assert sum(count for _, count in bench.bursts) * bus == len(image)


@pytest.mark.parametrize("bad", [0, 2])
def test_an_unknown_opcode_is_a_fault_with_the_instructions_number(bad):
    config = small_config()
    program = random_program(Random(5), 4, config)
    image = bytearray(b"".join(instruction.encode() for instruction in program))
    image[bad * INSTRUCTION_BYTES] = image[bad * INSTRUCTION_BYTES] & 0xF0 | 0xF
    bench = Bench(config, bytes(image), 0)
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, 4)
        (fetched,) = await sample_when(ctx, dut.fault, dut.fetched)
        assert fetched == bad
        ctx.set(dut.halt, 1)
        for _ in range(40):
            await ctx.tick()
        assert ctx.get(dut.fault) == 0

    bench.run(test)
    check_taken(bench, program[:bad])


CASES = [
    (opcode, field.name, value)
    for opcode in Opcode
    for field in fields_of(opcode, small_config())
    for value in (
        *([field.least - 1] if field.least is not None else []),
        *([field.most + 1] if field.most is not None else []),
        *([1 << 20, 1 << field.width - 1] if field.external else []),
    )
]


@pytest.mark.parametrize(("opcode", "name", "value"), CASES)
def test_a_field_without_a_legal_value_is_a_fault(opcode, name, value):
    good = Instruction(opcode, {})
    data = int.from_bytes(good.encode(), "little")
    position = OPCODE_WIDTH
    for field in FIELDS[opcode]:
        if field.name == name:
            data ^= (good[name] ^ value) << position
        position += field.width
    bad = data.to_bytes(INSTRUCTION_BYTES, "little")
    check_fault(small_config(bus_bytes=64, out_depth=1024, addr_width=20), good, bad)


def check_fault(config, good, bad):
    """Check that fetch stops at the second of three instructions."""
    bench = Bench(config, good.encode() + bad + good.encode(), 0)
    dut = bench.dut

    async def test(ctx):
        await bench.start(ctx, 3)
        (fetched,) = await sample_when(ctx, dut.fault, dut.fetched)
        assert fetched == 1
        ctx.set(dut.halt, 1)
        for _ in range(10):
            await ctx.tick()

    bench.run(test, limit=200)
    check_taken(bench, [good])


WIDE = small_config(8, 4, bus_bytes=16, out_depth=1024)
TALL = small_config(4, 8, bus_bytes=4, post_lanes=2)
PATCHES = small_config(4, 4, bus_bytes=16, acc_depth=14 * 36, winograd=14)
TILE = {"winograd": 1, "x_count": 6, "y_count": 6, "n_count": 3, "s_count": 2, "patches": 6}
DRAIN = {
    **{"winograd": 1, "dx_count": 6, "dy_count": 6, "x_count": 3, "y_count": 2},
    **{"width": 10, "height": 8},
}
BROKEN = [
    (WIDE, Opcode.LOAD, {"lane": 2}),
    (WIDE, Opcode.LOAD, {"pixel_bytes": 3}),
    (WIDE, Opcode.LOAD, {"pixel_bytes": 4}),
    (WIDE, Opcode.LOAD, {"addr": 2}),
    (WIDE, Opcode.LOAD, {"run_pitch": 1}),
    (WIDE, Opcode.LOAD, {"buffer": 2, "plane_pitch": 4}),
    (TALL, Opcode.LOAD, {"buffer": 1, "addr": 2}),
    (TALL, Opcode.STORE, {"addr": 2}),
    (TALL, Opcode.STORE, {"plane_pitch": 6}),
    (TALL, Opcode.STORE, {"blocks": 3}),
    (TALL, Opcode.STORE, {"param_base": 1}),
    (TALL, Opcode.STORE, {"low": -3, "high": -4}),
    (TALL, Opcode.STORE, {"low": 1}),
    (TALL, Opcode.LOAD, {"after_computed": 1}),
    (TALL, Opcode.LOAD, {"after_drained": 1 << 23}),
    (TALL, Opcode.CONV, {"after_loaded_act": 1}),
    (TALL, Opcode.CONV, {"after_drained": 1}),
    (TALL, Opcode.STORE, {"after_loaded": 3}),
    (TALL, Opcode.STORE, {"after_computed": 1}),
    (PATCHES, Opcode.CONV, TILE | {"x_count": 5}),
    (PATCHES, Opcode.CONV, TILE | {"shift": 1}),
    (PATCHES, Opcode.CONV, TILE | {"r_count": 2}),
    (PATCHES, Opcode.CONV, TILE | {"r_count": 3, "patches": 18}),
    # Counts that are right in their lower bits.
    (PATCHES, Opcode.CONV, TILE | {"n_count": 3 + 16}),
    (PATCHES, Opcode.CONV, TILE | {"s_count": 2 + 64}),
    (PATCHES, Opcode.CONV, TILE | {"n_count": 6, "s_count": 11, "r_count": 3}),
    (PATCHES, Opcode.STORE, DRAIN | {"dx_count": 3}),
    (PATCHES, Opcode.STORE, DRAIN | {"x_count": 17, "width": 66}),
    (PATCHES, Opcode.STORE, DRAIN | {"height": 9}),
    (PATCHES, Opcode.STORE, DRAIN | {"height": 7, "pool": 1}),
]


@pytest.mark.parametrize(("config", "opcode", "fields"), BROKEN)
def test_what_a_configuration_or_the_order_forbids_is_a_fault(config, opcode, fields):
    check_fault(config, Instruction(opcode, {}), Instruction(opcode, fields).encode())


@pytest.mark.parametrize("bus", [4, 16, 64])
def test_tiles_of_patches_pass_whatever_came_before(bus):
    random = Random(bus)
    config = small_config(4, 4, bus_bytes=bus, acc_depth=14 * 36, winograd=14, out_depth=1024)
    counts = [
        (n, s, r)
        for n in range(1, 15)
        for s in range(1, 15)
        for r in range(1, 15)
        if n * s * r <= config.winograd
    ]
    program = []
    for n, s, r in random.sample(counts, len(counts)):
        tile = {"n_count": n, "s_count": s, "r_count": r, "patches": n * s * r}
        program.append(Instruction(Opcode.CONV, TILE | tile))
        if random.random() < 0.5:
            other = {name: random.randint(1, 200) for name in ("n_count", "s_count", "r_count")}
            program.append(Instruction(Opcode.CONV, other))
    image = b"".join(instruction.encode() for instruction in program)
    bench = Bench(config, image, 0, stall=0.2)

    async def test(ctx):
        await bench.start(ctx, len(program))
        while ctx.get(bench.dut.fetched) < len(program):
            assert not ctx.get(bench.dut.fault)
            await ctx.tick()
        await ctx.tick()

    bench.run(test, limit=20_000)
    check_taken(bench, program)


def test_halt_hands_out_nothing_more():
    config = small_config()
    program = random_program(Random(6), 6, config)
    bench = Bench(config, b"".join(instruction.encode() for instruction in program), 0)

    async def test(ctx):
        await bench.start(ctx, 6)
        while ctx.get(bench.dut.fetched) < 2:
            await ctx.tick()
        ctx.set(bench.dut.halt, 1)
        for _ in range(60):
            await ctx.tick()

    bench.run(test)
    assert sum(len(taken) for taken in bench.taken.values()) == 2


def test_a_program_larger_than_memory_is_asked_for_up_to_memorys_end():
    config = small_config(bus_bytes=64, burst_beats=16, out_depth=1024, addr_width=16)
    bench = Bench(config, Instruction(Opcode.CONV, {}).encode() * (1 << 10), 0)

    async def test(ctx):
        await bench.start(ctx, 1 << 31 | 1)
        while not bench.bursts or bench.bursts[-1][0] < 1 << 16:
            await ctx.tick()

    bench.run(test, limit=6000)


@pytest.mark.parametrize("addr", [1, 8, 32, 0x1020])
def test_a_program_that_is_not_aligned_is_a_fault_and_not_fetched(addr):
    bench = Bench(small_config(), b"", addr)
    dut = bench.dut

    async def test(ctx):
        for _ in range(2):
            await bench.start(ctx, 3)
            assert ctx.get(dut.fault)
            assert ctx.get(dut.fetched) == 0
            for _ in range(30):
                await ctx.tick()
                assert not ctx.get(dut.fault)
                assert ctx.get(dut.rest)

    bench.run(test)
    assert bench.bursts == []


def test_a_program_of_no_instructions_asks_for_nothing():
    bench = Bench(small_config(), b"", 0)

    async def test(ctx):
        await bench.start(ctx, 0)
        for _ in range(30):
            await ctx.tick()

    bench.run(test)
    assert bench.bursts == []


def test_an_instruction_every_four_cycles_when_a_beat_holds_one():
    config = small_config(bus_bytes=64, burst_beats=16, out_depth=1024)
    words = (instruction.encode() for instruction in random_program(Random(7), 24, config))
    bench, cycles = Bench(config, b"".join(words), 0), []

    async def test(ctx):
        await bench.start(ctx, 24)
        cycle = seen = 0
        while seen < 24:
            _, _, fetched = await ctx.tick().sample(bench.dut.fetched)
            if fetched != seen:
                cycles.append(cycle)
                seen = fetched
            cycle += 1

    bench.run(test)
    assert cycles[-1] - cycles[0] <= 23 * 4
