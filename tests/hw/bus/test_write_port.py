"""The write side of the AXI4 master against a memory that stalls where it may."""

from collections import deque
from random import Random

import pytest

from systolith_hw.bus.axi import Response
from systolith_hw.bus.write_port import WritePort
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put

OPEN = (0, 1 << 32)
STALLS = [0.0, 0.3, 0.8]


class Memory:
    """AW, W and B of a memory: takes bursts, keeps bytes, answers late."""

    def __init__(self, dut, *, seed=0, stall=0.0, answers=None):
        self.dut = dut
        self.bus = dut.bus
        self.random = Random(seed)
        self.stall = stall
        self.answers = answers or {}
        self.bursts = []
        self.data = []
        self.ends = []  # beats up to each WLAST
        self.answered = 0
        self.most_open = 0

    async def run(self, ctx):
        bus = self.bus
        waiting = deque()
        while True:
            draw = self.random.random
            ctx.set(bus.awready, draw() >= self.stall)
            ctx.set(bus.wready, draw() >= self.stall)
            if not ctx.get(bus.bvalid) and waiting and draw() >= self.stall:
                ctx.set(bus.bvalid, 1)
                ctx.set(bus.bresp, waiting[0])
            _, _, aw, w, b, addr, length, data, strb, last = await ctx.tick().sample(
                bus.awvalid & bus.awready,
                bus.wvalid & bus.wready,
                bus.bvalid & bus.bready,
                bus.awaddr,
                bus.awlen,
                bus.wdata,
                bus.wstrb,
                bus.wlast,
            )
            if aw:
                assert ctx.get(bus.awsize) == (len(bus.wstrb) - 1).bit_length()
                assert ctx.get(bus.awburst) == 1
                self.bursts.append((addr, length + 1))
            if w:
                self.data.append((data, strb))
                if last:
                    waiting.append(self.answers.get(len(self.ends), Response.OKAY))
                    self.ends.append(len(self.data))
            if b:
                waiting.popleft()
                self.answered += 1
                ctx.set(bus.bvalid, 0)
            self.most_open = max(self.most_open, len(self.bursts) - self.answered)


async def check_bus(ctx, bus):
    """Assert AXI's rules, and that a burst's data comes without a pause of ours."""
    waiting_aw = waiting_w = None
    inside = False
    while True:
        (
            _,
            _,
            awvalid,
            awready,
            addr,
            length,
            wvalid,
            wready,
            data,
            strb,
            last,
        ) = await ctx.tick().sample(
            bus.awvalid,
            bus.awready,
            bus.awaddr,
            bus.awlen,
            bus.wvalid,
            bus.wready,
            bus.wdata,
            bus.wstrb,
            bus.wlast,
        )
        if waiting_aw is not None:
            assert (awvalid, addr, length) == waiting_aw
        if waiting_w is not None:
            assert (wvalid, data, strb, last) == waiting_w
        if inside:
            assert wvalid, "a burst was issued before its data was there"
        waiting_aw = (awvalid, addr, length) if awvalid and not awready else None
        waiting_w = (wvalid, data, strb, last) if wvalid and not wready else None
        if wvalid and wready:
            inside = not last


def random_bursts(random, config, count):
    bursts = []
    for _ in range(count):
        beats = random.choice([1, config.burst_beats, random.randint(1, config.burst_beats)])
        addr = random.randrange(1 << 16) * config.bus_bytes
        bursts.append({"addr": addr, "length": beats - 1, "last": random.random() < 0.5})
    return bursts


def random_beats(random, config, bursts):
    return [
        {
            "data": random.getrandbits(config.bus_bytes * 8),
            "strb": random.getrandbits(config.bus_bytes),
        }
        for burst in bursts
        for _ in range(burst["length"] + 1)
    ]


def run(
    config,
    bursts,
    beats,
    *,
    window=OPEN,
    stall=0.0,
    beat_stall=0.0,
    burst_stall=0.0,
    halt_at=None,
    answers=None,
    cycles=None,
    seed=0,
):
    """Return the memory and the pulses: a dictionary of lists of cycles or values."""
    dut = WritePort(config)
    memory = Memory(dut, seed=seed, stall=stall, answers=answers)
    pulses = {"acknowledged": [], "fault": [], "bus_error": [], "beat_taken": [], "quiet": []}

    async def feed_bursts(ctx):
        await stream_put(ctx, dut.burst, bursts, seed=seed + 1, stall=burst_stall)

    async def feed_beats(ctx):
        await stream_put(ctx, dut.beat, beats, seed=seed + 2, stall=beat_stall)

    async def watch(ctx):
        ctx.set(dut.window_base, window[0])
        ctx.set(dut.window_end, window[1])
        cycle = 0
        calm = 0
        while calm < 40 if cycles is None else cycle < cycles:
            if halt_at is not None and cycle >= halt_at:
                ctx.set(dut.halt, 1)
            _, _, quiet, taken, acknowledged, fault, addr, error = await ctx.tick().sample(
                dut.quiet,
                dut.beat_taken,
                dut.acknowledged,
                dut.fault,
                dut.fault_addr,
                dut.bus_error,
            )
            if acknowledged:
                pulses["acknowledged"].append((cycle, memory.answered))
            if fault:
                pulses["fault"].append(addr)
            if error:
                pulses["bus_error"].append(memory.answered)
            if taken:
                pulses["beat_taken"].append(cycle)
            pulses["quiet"].append(quiet)
            done = len(memory.data) == len(beats) and memory.answered == len(memory.bursts)
            calm = calm + 1 if done and quiet else 0
            cycle += 1

    async def bus_rules(ctx):
        await check_bus(ctx, dut.bus)

    background = [memory.run, bus_rules]
    endless = cycles is not None
    feeds = [feed_bursts, feed_beats]
    simulate(
        dut,
        *([] if endless else feeds),
        watch,
        background=[*background, *(feeds if endless else [])],
    )
    return memory, pulses


@pytest.mark.parametrize("bus", [4, 16])
@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize(("beat_stall", "burst_stall"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.9)])
def test_bursts_and_beats_arrive_in_order(bus, stall, beat_stall, burst_stall):
    config = small_config(bus_bytes=bus, outstanding_writes=3)
    random = Random(bus)
    bursts = random_bursts(random, config, 25)
    beats = random_beats(random, config, bursts)
    memory, pulses = run(
        config, bursts, beats, stall=stall, beat_stall=beat_stall, burst_stall=burst_stall
    )
    assert memory.bursts == [(burst["addr"], burst["length"] + 1) for burst in bursts]
    assert memory.data == [(beat["data"], beat["strb"]) for beat in beats]
    assert memory.ends == [
        sum(burst["length"] + 1 for burst in bursts[: index + 1]) for index in range(len(bursts))
    ]
    # `last` bursts are acknowledged, each after its own answer and before the next one's.
    numbers = [index + 1 for index, burst in enumerate(bursts) if burst["last"]]
    assert len(pulses["acknowledged"]) == len(numbers)
    for (_, answered), number in zip(pulses["acknowledged"], numbers, strict=True):
        assert answered in (number, number + 1)
    assert len(pulses["beat_taken"]) == len(beats)
    assert not pulses["fault"]
    assert not pulses["bus_error"]
    assert 1 <= memory.most_open <= config.outstanding_writes


def test_beats_flow_one_a_cycle():
    config = small_config(bus_bytes=8, burst_beats=16, outstanding_writes=4)
    random = Random(3)
    bursts = [{"addr": 128 * index, "length": 15, "last": 0} for index in range(8)]
    _, pulses = run(config, bursts, random_beats(random, config, bursts))
    cycles = pulses["beat_taken"]
    assert cycles[-1] - cycles[0] == 8 * 16 - 1


def test_no_address_is_sent_before_its_data_is_there():
    config = small_config(bus_bytes=8)
    dut = WritePort(config)

    async def bench(ctx):
        ctx.set(dut.window_end, 1 << 32)
        ctx.set(dut.bus.awready, 1)
        ctx.set(dut.bus.wready, 1)
        await stream_put(ctx, dut.burst, [{"addr": 64, "length": 3, "last": 1}])
        for count in range(4):
            for _ in range(20):
                _, _, awvalid, wvalid = await ctx.tick().sample(dut.bus.awvalid, dut.bus.wvalid)
                assert not awvalid
                assert not wvalid
            await stream_put(ctx, dut.beat, [{"data": count, "strb": 255}])
        seen = 0
        for _ in range(10):
            _, _, awvalid = await ctx.tick().sample(dut.bus.awvalid)
            seen += awvalid
        assert seen == 1

    simulate(dut, bench)


@pytest.mark.parametrize(
    ("window", "inside"),
    [
        ((0x1000, 0x1020), True),
        ((0x1001, 0x1020), False),
        ((0x1000, 0x101F), False),
        ((0, 1 << 32), True),
        ((0x1020, 0x2000), False),
        ((0, 0), False),
    ],
)
def test_a_burst_outside_of_the_window_is_a_fault_and_not_issued(window, inside):
    config = small_config(bus_bytes=8)
    bursts = [{"addr": 0x1000, "length": 3, "last": 1}]
    beats = random_beats(Random(0), config, bursts)
    memory, pulses = run(config, bursts, beats, window=window, cycles=60)
    assert pulses["fault"] == ([] if inside else [0x1000])
    assert memory.bursts == ([(0x1000, 4)] if inside else [])
    assert len(pulses["acknowledged"]) == inside
    assert pulses["quiet"][-1] == 1


def test_the_window_may_reach_the_end_of_the_address_space():
    config = small_config(bus_bytes=8, addr_width=20)
    bursts = [{"addr": (1 << 20) - 32, "length": 3, "last": 1}]
    memory, pulses = run(
        config, bursts, random_beats(Random(0), config, bursts), window=(0, 1 << 20), cycles=60
    )
    assert memory.bursts == [((1 << 20) - 32, 4)]
    assert not pulses["fault"]


@pytest.mark.parametrize("addr_width", [16, 32, 48])
@pytest.mark.parametrize("end", [0, 0x1000, -1])
def test_a_window_that_reaches_beyond_memory_ends_with_it(addr_width, end):
    config = small_config(bus_bytes=8, addr_width=addr_width)
    top = 1 << addr_width
    places = [(top - 64, 7), (top - 64, 8), (top - 8, 0), (top - 8, 1), (top, 0), (top + 64, 7)]
    bursts = [{"addr": addr, "length": length, "last": 1} for addr, length in places]
    window = (top - 0x4000, top + end % top)
    beats = random_beats(Random(0), config, [bursts[0], bursts[2]])
    memory, pulses = run(config, bursts, beats, window=window, cycles=150)
    assert pulses["fault"] == [top - 64, top - 8, top, top + 64]
    assert memory.bursts == [(top - 64, 8), (top - 8, 1)]


@pytest.mark.parametrize("answer", [Response.SLVERR, Response.DECERR])
def test_an_error_answer_is_reported_once(answer):
    config = small_config(bus_bytes=8)
    random = Random(4)
    bursts = random_bursts(random, config, 6)
    _, pulses = run(
        config, bursts, random_beats(random, config, bursts), answers={2: answer}, stall=0.3
    )
    assert len(pulses["bus_error"]) == 1
    assert pulses["bus_error"][0] in (3, 4)


@pytest.mark.parametrize("halt_at", range(5, 60, 5))
def test_halt_issues_no_further_burst_and_ends_those_issued(halt_at):
    config = small_config(bus_bytes=8)
    random = Random(halt_at)
    bursts = random_bursts(random, config, 30)
    memory, pulses = run(
        config,
        bursts,
        random_beats(random, config, bursts),
        halt_at=halt_at,
        stall=0.4,
        cycles=300,
        seed=halt_at,
    )
    assert len(memory.bursts) < len(bursts)
    assert memory.answered == len(memory.bursts)
    assert len(memory.data) == sum(count for _, count in memory.bursts)
    assert pulses["quiet"][-1] == 1
