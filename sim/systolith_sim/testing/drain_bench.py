"""A drain with its surroundings for tests, and the words that its jobs give."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect

from systolith_hw.interface.buffers import buffer_shape
from systolith_hw.interface.core import DrainRead
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, walk_steps
from systolith_hw.spec.numerics import requantize
from systolith_hw.spec.winograd import LANES, OUTPUTS, PATCH
from systolith_hw.store.drain import Drain
from systolith_sim.testing.patches import direct_sums, lane_sums, random_patches

__all__ = ["DrainBench", "DrainJob", "patches_job", "stacked_job", "windows_job"]

LEVELS = ("dx", "dy", "x", "y", "n")


@dataclass(frozen=True)
class DrainJob:
    """A job: counts and strides of dx, dy, x, y, n, and its other fields."""

    counts: Sequence[int]
    strides: Sequence[int]
    fields: dict[str, int]

    def payload(self, config: AcceleratorConfig) -> dict[str, int]:
        """Return the fields of the job's stream."""
        steps = walk_steps(self.counts, self.strides)
        # x, y and n advance from the window's start.
        steps[2:] = walk_steps(self.counts[2:], self.strides[2:])
        values = dict(self.fields)
        for level, count, step in zip(LEVELS, self.counts, steps, strict=True):
            values |= {f"{level}_count": count, f"{level}_step": step % (1 << 16)}
        if config.winograd:
            values = {"winograd": 0, "pool": 0, "width": 0, "height": 0, **values}
        if config.gather:
            values = {"stacked": 0, **values}
        return values


def windows_job(counts: Sequence[int], strides: Sequence[int], **fields: int) -> DrainJob:
    """Return a job of windows; fields that are not given change nothing."""
    return DrainJob(counts, strides, {**_DEFAULTS, **fields})


def stacked_job(blocks: int, **fields: int) -> DrainJob:
    """Return a job of `blocks` stacked blocks."""
    return windows_job((1,) * 5, (0,) * 5, blocks=blocks, stacked=1, **fields)


def patches_job(width: int, height: int, images: int = 1, **fields: int) -> DrainJob:
    """Return a job of patches, whose lanes lie one after the other from ``acc_base`` on."""
    across, down = -(-width // OUTPUTS), -(-height // OUTPUTS)
    count = across * down * images
    return DrainJob(
        (PATCH, PATCH, across, down, images),
        (PATCH * count, count, 1, across, across * down),
        {**_DEFAULTS, "winograd": 1, "width": width, "height": height, **fields},
    )


_DEFAULTS = {
    "blocks": 1,
    "bank": 0,
    "acc_base": 0,
    "param_base": 0,
    "zero_point": 0,
    "low": -128,
    "high": 127,
}


class DrainBench(wiring.Component):
    """A drain with a parameter buffer; the accumulators are arrays.

    Parameters
    ----------
    config : AcceleratorConfig
    seed : int
        Of the sums and parameters.
    """

    def __init__(self, config: AcceleratorConfig, seed: int) -> None:
        self.config = config
        self.rng = rng = np.random.default_rng(seed)
        self.drain = Drain(config)
        lanes = config.post_lanes
        self.params = SkewedMemory(buffer_shape(Buffer.PARAM, config))
        self.banks = rng.integers(-20000, 20000, (2, config.acc_depth, config.cols))
        self.bias = rng.integers(-5000, 5000, config.param_depth)
        self.multiplier = rng.integers(1 << 14, 1 << 16, config.param_depth)
        self.shift = rng.integers(20, 24, config.param_depth)
        for lane, bank in enumerate(self.params.banks):
            entries: Any = [
                {
                    "bias": int(self.bias[index]),
                    "multiplier": int(self.multiplier[index]),
                    "shift": int(self.shift[index]),
                }
                for index in range(lane, config.param_depth, lanes)
            ]
            bank.init = entries
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.drain = drain = self.drain
        m.submodules.params = params = self.params
        connect(m, drain.param, params.read)
        return m

    async def accumulators(self, ctx: Any) -> None:
        """Give each lane its sum: lane l DrainRead.LATENCY + l cycles after the read."""
        drain, lanes = self.drain, self.config.post_lanes
        reads = [(0, 0, 0)] * (DrainRead.LATENCY + lanes)
        while True:
            _, _, read, group = await ctx.tick().sample(drain.drain.place, drain.drain.group)
            reads = [(read.bank, read.addr, group), *reads[:-1]]
            for lane in range(lanes):
                bank, addr, group = reads[DrainRead.LATENCY + lane - 1]
                column = group * lanes + lane
                # Between jobs the drain reads anywhere.
                inside = column < self.config.cols and addr < self.config.acc_depth
                ctx.set(drain.drain.sum[lane], int(self.banks[bank, addr, column]) if inside else 0)

    def words(self, job: DrainJob) -> list[tuple[int, ...]]:
        """Return the words of a job of windows or of stacked blocks, as tuples of channels."""
        fields, config = job.fields, self.config
        if fields.get("stacked"):
            sums = self.banks[fields["bank"], fields["acc_base"] :].reshape(-1)
            channels = fields["blocks"] * config.block
            values = [self._requantized(sums[i], i, job) for i in range(channels)]
            return [
                tuple(values[first : first + config.block])
                for first in range(0, channels, config.block)
            ]
        words = []
        for b in range(fields["blocks"]):
            for n, y, x in product(*(range(count) for count in job.counts[:1:-1])):
                places = [
                    fields["acc_base"] + int(np.dot((dx, dy, x, y, n), job.strides))
                    for dx, dy in product(*(range(count) for count in job.counts[:2]))
                ]
                columns = range(b * self.config.block, (b + 1) * self.config.block)
                words.append(
                    tuple(
                        max(
                            self._requantized(
                                self.banks[fields["bank"], place, column], column, job
                            )
                            for place in places
                        )
                        for column in columns
                    )
                )
        return words

    def fill(self, job: DrainJob) -> list[tuple[int, ...]]:
        """Put the lanes of random patches where a job of patches takes them; return its words.

        The words are those of the direct convolution's sums, requantised.
        """
        config, fields = self.config, job.fields
        across, down, images = job.counts[2:]
        count = across * down * images
        columns = fields["blocks"] * config.block
        shape = (images, down, across, columns)
        # Most sums are small enough that their results are not clamped; bias must not wrap.
        width = 16 if self.rng.random() < 0.7 else config.acc_width - 1
        patches, kernels = random_patches(self.rng, count * columns, width)
        lanes = lane_sums(patches, kernels).reshape(count, columns, LANES)
        most = 1 << (config.sum_width - 1)
        lanes = (lanes + most) % (2 * most) - most
        bank, first = self.banks[fields["bank"]], fields["acc_base"]
        bank[first : first + LANES * count, :columns] = lanes.transpose(2, 0, 1).reshape(
            LANES * count, columns
        )
        sums = direct_sums(patches, kernels).reshape(*shape, OUTPUTS, OUTPUTS)
        maps = sums.transpose(3, 0, 1, 4, 2, 5).reshape(
            columns, images, down * OUTPUTS, across * OUTPUTS
        )
        maps = maps[:, :, : fields["height"], : fields["width"]]
        results = np.array(
            [
                [self._requantized(value, column, job) for value in plane.ravel()]
                for column, plane in enumerate(maps)
            ]
        ).reshape(maps.shape)
        if fields.get("pool"):
            tall, wide = fields["height"] // 2, fields["width"] // 2
            windows = results.reshape(columns, images, tall, 2, wide, 2)
            results = windows.max(axis=(3, 5))
        blocks = results.reshape(fields["blocks"], config.block, -1).transpose(0, 2, 1)
        return [tuple(word) for word in blocks.reshape(-1, config.block).tolist()]

    def _requantized(self, total: Any, column: int, job: DrainJob) -> int:
        fields = job.fields
        entry = fields["param_base"] + column
        return requantize(
            int(total),
            int(self.bias[entry]),
            int(self.multiplier[entry]),
            int(self.shift[entry]),
            fields["zero_point"],
            fields["low"],
            fields["high"],
        )

    def unpack(self, word: Any) -> tuple[int, ...]:
        """Return the channels of a word of the drain's stream."""
        raw = int(word.data).to_bytes(self.config.block, "little")
        return tuple(np.frombuffer(raw, np.int8).tolist())
