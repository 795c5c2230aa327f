"""Width changers against byte strings, at every alignment, with stalls on both sides."""

from math import gcd
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith_hw.stream.gearbox import Packer, Unpacker
from systolith_sim.testing.streams import (
    collect,
    sample_when,
    simulate,
    stream_get,
    stream_put,
    trace,
)

PAIRS = [(16, 12), (8, 4), (16, 32), (4, 8), (8, 8), (64, 12), (4, 3)]
STALLS = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.6)]


def beats_of(data, bus, unit, offset):
    """Return the beats of a run that starts `offset` bytes into its first beat."""
    place = 0
    beats = []
    while place < len(data):
        take = min(bus - offset, len(data) - place)
        beat = bytes(offset) + data[place : place + take] + b"\xee" * (bus - offset - take)
        beats.append(
            {
                "data": int.from_bytes(beat, "little"),
                "skip": offset // unit,
                "take": take // unit,
            }
        )
        place += take
        offset = 0
    return beats


def chunks(data, size):
    return [
        int.from_bytes(data[place : place + size], "little") for place in range(0, len(data), size)
    ]


@pytest.mark.parametrize(("bus", "word"), PAIRS)
@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
def test_unpacker_gives_the_bytes_of_runs_at_any_alignment(bus, word, stall_in, stall_out):
    random = Random(bus * word)
    unit = gcd(bus, word)
    beats, expected = [], []
    for _ in range(12):
        data = random.randbytes(word * random.randint(1, 9))
        beats += beats_of(data, bus, unit, random.randrange(bus // unit) * unit)
        expected += chunks(data, word)
    dut = Unpacker(bus, word)
    words = []

    async def feed(ctx):
        await stream_put(ctx, dut.i, beats, seed=1, stall=stall_in)

    async def take(ctx):
        words.extend(await stream_get(ctx, dut.o, len(expected), seed=2, stall=stall_out))
        ctx.set(dut.o.ready, 1)
        assert all(valid == 0 for (valid,) in await trace(ctx, 10, dut.o.valid))

    simulate(dut, feed, take, watch=[dut.o])
    assert words == expected


@pytest.mark.parametrize(("bus", "word"), PAIRS)
def test_unpacker_moves_a_word_or_a_beat_a_cycle(bus, word):
    random = Random(1)
    data = random.randbytes(bus * word * 4)
    beats, words = beats_of(data, bus, gcd(bus, word), 0), chunks(data, word)
    dut = Unpacker(bus, word)
    cycles = []

    async def feed(ctx):
        await stream_put(ctx, dut.i, beats)

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(max(len(beats), len(words)) + 4):
            _, _, valid, got = await ctx.tick().sample(dut.o.valid, dut.o.p)
            if valid:
                assert got == words[len(cycles)]
                cycles.append(cycle)

    simulate(dut, feed, take)
    assert len(cycles) == len(words)
    assert cycles[0] == -(-word // bus)  # latency 1 after the beat that completes the word
    assert cycles[-1] <= max(len(beats), len(words)) + 1


def test_unpacker_takes_nothing_of_an_empty_beat():
    dut = Unpacker(8, 4)
    empty = {"data": 0x1111111122222222, "skip": 0, "take": 0}
    upper = {"data": 0xAAAAAAAABBBBBBBB, "skip": 1, "take": 1}
    words = []

    async def feed(ctx):
        await stream_put(ctx, dut.i, [empty, upper, empty, upper])

    async def take(ctx):
        words.extend(await stream_get(ctx, dut.o, 2))
        ctx.set(dut.o.ready, 1)
        assert all(valid == 0 for (valid,) in await trace(ctx, 8, dut.o.valid))

    simulate(dut, feed, take, watch=[dut.o])
    assert words == [0xAAAAAAAA] * 2


def packed(runs, bus):
    """Return (offset, data) runs as (bytes of data, strobes) of each beat."""
    beats = []
    for offset, data in runs:
        whole = bytes(offset) + data
        for place in range(0, len(whole), bus):
            part = whole[place : place + bus]
            strobes = [place + index >= offset for index in range(len(part))]
            beats.append((part.ljust(bus, b"\0"), strobes + [False] * (bus - len(part))))
    return beats


def words_of(runs, word, unit):
    words = []
    for offset, data in runs:
        parts = chunks(data, word)
        for index, part in enumerate(parts):
            first = index == 0
            words.append(
                {
                    "data": part,
                    "first": first,
                    "last": index == len(parts) - 1,
                    # `skip` counts at the first word only.
                    "skip": offset // unit if first else (index * 7) % max(1, offset // unit + 1),
                }
            )
    return words


def strobed(beat, bus):
    data = int(beat.data).to_bytes(bus, "little")
    strobes = [bool(int(beat.strb) >> index & 1) for index in range(bus)]
    return bytes(d if s else 0 for d, s in zip(data, strobes, strict=True)), strobes


@pytest.mark.parametrize(("bus", "word"), PAIRS)
@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
def test_packer_joins_runs_at_any_alignment(bus, word, stall_in, stall_out):
    random = Random(bus + word)
    unit = gcd(bus, word)
    runs = [
        (random.randrange(bus // unit) * unit, random.randbytes(word * random.randint(1, 9)))
        for _ in range(12)
    ]
    dut = Packer(bus, word)
    expected = packed(runs, bus)
    beats = []

    async def feed(ctx):
        await stream_put(ctx, dut.i, words_of(runs, word, unit), seed=3, stall=stall_in)

    async def take(ctx):
        beats.extend(await stream_get(ctx, dut.o, len(expected), seed=4, stall=stall_out))
        ctx.set(dut.o.ready, 1)
        assert all(valid == 0 for (valid,) in await trace(ctx, 10, dut.o.valid))

    simulate(dut, feed, take, watch=[dut.o])
    assert [strobed(beat, bus) for beat in beats] == expected


@pytest.mark.parametrize(("bus", "word"), PAIRS)
def test_packer_moves_a_word_or_a_beat_a_cycle(bus, word):
    data = Random(2).randbytes(bus * word * 4)
    dut = Packer(bus, word)
    words, count = words_of([(0, data)], word, gcd(bus, word)), len(data) // bus
    beats = []
    finished = []

    async def feed(ctx):
        await stream_put(ctx, dut.i, words)

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        cycle = 0
        while len(beats) < count:
            _, _, valid, beat = await ctx.tick().sample(dut.o.valid, dut.o.p)
            if valid:
                beats.append(strobed(beat, bus)[0])
            cycle += 1
        finished.append(cycle)

    simulate(dut, feed, take)
    assert b"".join(beats) == data
    assert finished[0] <= max(count, len(words)) + 2


def test_packer_loses_two_cycles_between_runs():
    dut = Packer(8, 8)
    runs = [(0, bytes(range(32)))] * 6
    beats = []
    finished = []

    async def feed(ctx):
        await stream_put(ctx, dut.i, words_of(runs, 8, 8))
        finished.append(True)

    async def count(ctx):
        cycles = 0
        while not finished:
            await ctx.tick()
            cycles += 1
        finished.append(cycles)

    async def take(ctx):
        await collect(ctx, dut.o, beats)

    simulate(dut, feed, count, background=[take])
    assert finished[1] <= 6 * 4 + 5 * 2 + 1


def run_after_reset(dut, given, count, when):
    """Interrupt `dut` with a reset in cycle `when`; return what it makes of `given` afterwards."""
    reset, ready = Signal(), Signal()
    taken = []

    async def interrupt(ctx):
        for index in range(when):
            ctx.set(dut.i.p, given[index % len(given)])
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.o.ready, index % 3 == 0)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.o.ready, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert not ctx.get(dut.o.valid)
        ctx.set(ready, 1)

    async def feed(ctx):
        await sample_when(ctx, ready)
        await stream_put(ctx, dut.i, given)

    async def take(ctx):
        await sample_when(ctx, ready)
        taken.extend(await stream_get(ctx, dut.o, count, stall=0.3))

    simulate(ResetInserter(reset)(dut), interrupt, feed, take)
    return taken


@pytest.mark.parametrize(("bus", "word"), PAIRS)
@pytest.mark.parametrize("when", [3, 4, 7, 10])
def test_reset_in_the_middle_leaves_nothing_behind(bus, word, when):
    random = Random(when)
    unit = gcd(bus, word)
    runs = [
        (random.randrange(bus // unit) * unit, random.randbytes(word * random.randint(1, 5)))
        for _ in range(6)
    ]
    beats = [beat for offset, data in runs for beat in beats_of(data, bus, unit, offset)]
    words = [chunk for _, data in runs for chunk in chunks(data, word)]
    assert run_after_reset(Unpacker(bus, word), beats, len(words), when) == words
    expected = packed(runs, bus)
    got = run_after_reset(Packer(bus, word), words_of(runs, word, unit), len(expected), when)
    assert [strobed(beat, bus) for beat in got] == expected
