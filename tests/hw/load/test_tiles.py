"""The tile writer against a NumPy picture of the activation buffer."""

from random import Random

import numpy as np
import pytest

from systolith_hw.interface.buffers import SINK_JOB
from systolith_hw.load.tiles import TileWriter
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate, stream_put, trace

BLOCKS = [(2, 2), (3, 6), (4, 4), (12, 12)]


def tile(**fields):
    return {name: 0 for name in SINK_JOB.members} | {"planes": 1, "rows": 1, "pixels": 1} | fields


def random_tile(random, config, packed):
    return tile(
        dest=random.randrange(64),
        planes=random.randint(1, 3),
        rows=random.randint(1, 3),
        pixels=random.randint(1, 9),
        pad_top=random.randint(0, 2),
        pad_bottom=random.randint(0, 2),
        pad_left=random.randint(0, 3),
        pad_right=random.randint(0, 3),
        pad_value=random.randint(-128, 127),
        pixel_bytes=random.choice(config.pack_sizes) if packed else 0,
    )


def words_and_writes(config, job, rng):
    """Return the words that the job takes and the (address, bytes) it writes."""
    block = config.block
    size = job["pixel_bytes"]
    pixel_bytes = size or block
    row_words = -(-job["pixels"] * pixel_bytes // block)
    memory = rng.integers(-128, 128, (job["planes"], job["rows"], row_words * block))
    pixels = memory[:, :, : job["pixels"] * pixel_bytes].reshape(
        job["planes"], job["rows"], job["pixels"], pixel_bytes
    )
    around = (
        (0, 0),
        (job["pad_top"], job["pad_bottom"]),
        (job["pad_left"], job["pad_right"]),
        (0, 0),
    )
    padded = np.pad(pixels, around, constant_values=job["pad_value"])
    if size:
        # Each word holds its pixel and those to the right of it.
        per_word = block // size
        beyond = ((0, 0), (0, 0), (0, per_word - 1), (0, 0))
        wide = np.pad(padded, beyond, constant_values=job["pad_value"])
        width = padded.shape[2]
        padded = np.concatenate([wide[:, :, j : j + width] for j in range(per_word)], axis=3)
    flat = padded.reshape(-1, block)
    writes = [(job["dest"] + index, tuple(row.tolist())) for index, row in enumerate(flat)]
    words = [
        int.from_bytes(row.astype(np.int8).tobytes(), "little") for row in memory.reshape(-1, block)
    ]
    return words, writes


def run(config, jobs, words, *, stall=0.0, limit=8000):
    """Return the writes, the cycles of finish pulses, busy cycles, and what word.ready was."""
    dut = TileWriter(config)
    writes, finishes, busy = [], [], []

    async def feed_jobs(ctx):
        await stream_put(ctx, dut.job, jobs)

    async def feed_words(ctx):
        await stream_put(ctx, dut.word, words, seed=8, stall=stall)
        # A word too many must never be taken.
        ctx.set(dut.word.valid, 1)

    async def watch(ctx):
        cycle = 0
        last = None
        while last is None or cycle < last + 20:
            _, _, enable, addr, data, finish, working = await ctx.tick().sample(
                dut.write.en, dut.write.addr, dut.write.data.as_value(), dut.finish, dut.busy
            )
            if enable:
                raw = data.to_bytes(config.block, "little")
                writes.append((addr, tuple(np.frombuffer(raw, np.int8).tolist())))
            if finish:
                finishes.append(cycle)
                if len(finishes) == len(jobs):
                    last = cycle
            busy.append(working)
            cycle += 1
        assert ctx.get(dut.word.ready) == 0
        assert ctx.get(dut.job.ready) == 1

    simulate(dut, feed_jobs, feed_words, watch, limit=limit)
    return writes, finishes, busy


@pytest.mark.parametrize(("rows", "cols"), BLOCKS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_tiles_are_padded_and_unfolded(rows, cols, packed, stall):
    config = small_config(rows, cols)
    random = Random(rows + cols + packed)
    rng = np.random.default_rng(rows)
    jobs = [random_tile(random, config, packed) for _ in range(7)]
    jobs.insert(3, random_tile(random, config, not packed))
    words, expected = [], []
    for job in jobs:
        more_words, more_writes = words_and_writes(config, job, rng)
        words += more_words
        expected += more_writes
    writes, finishes, _ = run(config, jobs, words, stall=stall)
    assert writes == expected
    assert len(finishes) == len(jobs)


def test_a_word_is_written_every_cycle_and_a_tile_takes_its_preparation():
    config = small_config(4, 4)
    job = tile(planes=2, rows=3, pixels=5, pad_top=1, pad_bottom=2, pad_left=1, pad_right=1, dest=9)
    words, writes = words_and_writes(config, job, np.random.default_rng(0))
    got, finishes, busy = run(config, [job] * 3, words * 3)
    assert got == writes * 3
    prepare = TileWriter.PREPARE_CYCLES
    assert finishes == [(1 + prepare + len(writes)) * count - 1 for count in (1, 2, 3)]
    assert busy[: finishes[-1] + 2] == ([0] * (1 + prepare) + [1] * len(writes)) * 3 + [0]


def test_a_packed_row_takes_pixels_per_word_minus_one_cycles_more():
    config = small_config(4, 4)
    job = tile(rows=3, pixels=7, pixel_bytes=1, pad_left=2)
    words, _ = words_and_writes(config, job, np.random.default_rng(0))
    _, finishes, _ = run(config, [job], words)
    assert finishes == [TileWriter.PREPARE_CYCLES + 3 * (2 + 7 + 3)]


@pytest.mark.parametrize("pixel_bytes", [0, 2])
def test_it_waits_for_words_without_writing(pixel_bytes):
    config = small_config(4, 4)
    job = tile(pixels=3, pixel_bytes=pixel_bytes, pad_left=1)
    dut = TileWriter(config)

    async def bench(ctx):
        await stream_put(ctx, dut.job, [job])
        rows = await trace(ctx, 30, dut.write.en, dut.busy, dut.word.ready)
        writes = sum(enable for enable, _, _ in rows)
        assert writes == (0 if pixel_bytes else 1)  # the padding needs no word
        assert rows[-1] == (0, 0, 1)

    simulate(dut, bench)
