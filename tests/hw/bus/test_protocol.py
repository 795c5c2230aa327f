"""Both ports against a memory that breaks AXI4: it is seen, said once and for all, and cured."""

from collections import deque
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.bus.axi import AxiId
from systolith_hw.bus.read_port import ReadPort
from systolith_hw.bus.write_port import WritePort
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put

READ_BREACHES = ["stray", "early last", "no last", "late last", "other id", "lost beat"]
WRITE_BREACHES = ["stray", "twice", "before the data", "before the address", "other id"]
SEEN_WITHIN = 80
"""Cycles until a breach must be seen, from when it is complete."""


class Reads:
    """AR and R, honest but for the beat number `at`."""

    def __init__(self, dut, random, breach, at):
        self.dut = dut
        self.random = random
        self.breach = breach
        self.at = at
        self.broke = False

    async def run(self, ctx):
        bus = self.dut.bus
        queues = {AxiId.LOAD: deque(), AxiId.FETCH: deque()}
        beats = 0
        ctx.set(bus.arready, 1)
        while True:
            if not ctx.get(bus.rvalid) and self.random.random() < 0.7:
                answer = None
                waiting = [number for number, queue in queues.items() if queue]
                mine = not self.broke and beats >= self.at
                if mine and self.breach == "stray":
                    # Of a user that waits for nothing.
                    free = [number for number, queue in queues.items() if not queue]
                    if free:
                        answer = (free[0], 1)
                        self.broke = True
                elif waiting:
                    number = self.random.choice(waiting)
                    last = queues[number].popleft()
                    answer = (number, last)
                    if mine and self.breach == "early last" and not last:
                        answer = (number, 1)
                        self.broke = True
                    elif mine and self.breach in ("no last", "late last") and last:
                        answer = (number, 0)
                        self.broke = True
                        if self.breach == "late last":
                            queues[number].appendleft(1)
                    elif mine and self.breach == "other id":
                        other = AxiId(1 - number.value)
                        if not queues[other]:
                            answer = (other, last)
                            self.broke = True
                    elif mine and self.breach == "lost beat" and not last:
                        # Seen when the burst ends too early.
                        answer = (number, queues[number].popleft())
                        self.broke = True
                    beats += 1
                if answer is not None:
                    ctx.set(bus.rvalid, 1)
                    ctx.set(bus.rid, answer[0])
                    ctx.set(bus.rlast, answer[1])
            _, _, ar, r, length, number = await ctx.tick().sample(
                bus.arvalid & bus.arready, bus.rvalid & bus.rready, bus.arlen, bus.arid
            )
            if ar:
                queues[AxiId(number)].extend(index == length for index in range(length + 1))
            if r:
                ctx.set(bus.rvalid, 0)


class Writes:
    """AW, W and B, honest but for the answer number `at`."""

    def __init__(self, dut, random, breach, at):
        self.dut = dut
        self.random = random
        self.breach = breach
        self.at = at
        self.broke = False

    async def run(self, ctx):
        bus = self.dut.bus
        addressed = written = answered = taken = 0
        while True:
            mine = not self.broke and answered >= self.at
            if mine and self.breach == "before the address":
                ctx.set(bus.awready, 0)
            else:
                ctx.set(bus.awready, self.random.random() < 0.7)
            stops = mine and self.breach == "before the data" and taken
            ctx.set(bus.wready, not stops and self.random.random() < 0.7)
            open_bursts = min(addressed, written) - answered
            if not ctx.get(bus.bvalid) and self.random.random() < 0.5:
                gives = open_bursts > 0
                ctx.set(bus.bid, 0)
                if mine and self.breach == "stray" and addressed == answered:
                    gives = self.broke = not ctx.get(bus.awvalid)
                elif mine and self.breach == "twice" and answered and not open_bursts:
                    gives = self.broke = True
                elif mine and self.breach == "before the data" and addressed > written == answered:
                    gives = self.broke = True
                elif mine and self.breach == "before the address":
                    self.broke = addressed == answered < written
                    gives |= self.broke
                elif mine and self.breach == "other id" and gives:
                    ctx.set(bus.bid, 1)
                    self.broke = True
                if gives:
                    ctx.set(bus.bvalid, 1)
                    answered += 1
            _, _, aw, w, last, b = await ctx.tick().sample(
                bus.awvalid & bus.awready,
                bus.wvalid & bus.wready,
                bus.wlast,
                bus.bvalid & bus.bready,
            )
            addressed += aw
            written += w & last
            taken = 0 if w and last else taken + w
            if b:
                ctx.set(bus.bvalid, 0)


def watch(dut, memory, feeds):
    """Return what the port says of the protocol after a run; only a reset ends it."""
    reset = Signal()
    seen = []

    async def test(ctx):
        ctx.set(dut.window_end, 1 << 32)
        waited = 0
        flags = [0 for _ in flags_of(dut)]
        for _ in range(600):
            await ctx.tick()
            flags = [ctx.get(flag) for flag in flags_of(dut)]
            if any(flags):
                assert memory.broke, "an honest memory was accused"
            waited += memory.broke
            if waited > SEEN_WITHIN:
                break
        seen.append(flags)
        # It stays, whatever comes.
        for _ in range(20):
            await ctx.tick()
            assert all(ctx.get(now) >= was for now, was in zip(flags_of(dut), flags, strict=True))
        ctx.set(reset, 1)
        for _ in range(3):
            await ctx.tick()
        assert not any(ctx.get(flag) for flag in flags_of(dut))

    simulate(ResetInserter(reset)(dut), test, background=[memory.run, *feeds])
    return seen[0]


def flags_of(dut):
    return [dut.broken] if isinstance(dut, WritePort) else [dut.broken_load, dut.broken_fetch]


def bursts_of(random, config, count):
    return [
        {"addr": 4096 * index, "length": random.randrange(1, config.burst_beats), "last": 1}
        for index in range(count)
    ]


@pytest.mark.parametrize("breach", [None, *READ_BREACHES])
@pytest.mark.parametrize("seed", range(6))
def test_a_read_port_notices_every_breach(breach, seed):
    random = Random(seed)
    config = small_config(outstanding_reads=random.choice([1, 2, 4]))
    dut = ReadPort(config)
    memory = Reads(dut, random, breach, random.randrange(12))

    async def loads(ctx):
        ctx.set(dut.load_beat.ready, 1)
        await stream_put(ctx, dut.load, bursts_of(random, config, 12), stall=0.5)

    async def fetches(ctx):
        ctx.set(dut.fetch_beat.ready, 1)
        await stream_put(ctx, dut.fetch, bursts_of(random, config, 6), stall=0.9)

    found = watch(dut, memory, [loads, fetches])
    assert memory.broke == (breach is not None)
    assert any(found) == memory.broke


@pytest.mark.parametrize("breach", [None, *WRITE_BREACHES])
@pytest.mark.parametrize("seed", range(6))
def test_a_write_port_notices_every_breach(breach, seed):
    random = Random(seed)
    config = small_config(outstanding_writes=random.choice([1, 2, 4]))
    dut = WritePort(config)
    memory = Writes(dut, random, breach, random.randrange(6))
    bursts = bursts_of(random, config, 10)

    async def feed(ctx):
        await stream_put(ctx, dut.burst, bursts, stall=0.3)

    async def beats(ctx):
        count = sum(burst["length"] + 1 for burst in bursts)
        await stream_put(ctx, dut.beat, [{"data": 1, "strb": 255}] * count)

    (found,) = watch(dut, memory, [feed, beats])
    assert memory.broke == (breach is not None)
    assert found == memory.broke
