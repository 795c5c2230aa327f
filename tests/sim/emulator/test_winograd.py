"""Winograd's CONVs and STOREs, tile by tile, against the direct convolution of the golden model."""

import random
from dataclasses import dataclass

import numpy as np
import pytest

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Instruction, Opcode, walk_steps
from systolith_hw.spec.legal import broken_rule
from systolith_hw.spec.registers import ErrorCode
from systolith_hw.spec.winograd import A_T, B_T, LANES, OUTPUTS, PATCH, G
from systolith_sim.emulator.access import Fault
from systolith_sim.emulator.engines import Engines
from systolith_sim.emulator.winograd import patch_sums
from systolith_sim.golden.ops import conv2d, max_pool


def configuration(rows, cols, patches, acc_width=32):
    block = min(rows, cols)
    return AcceleratorConfig(
        rows=rows,
        cols=cols,
        act_depth=1 << 17,
        weight_depth=1 << 15,
        param_depth=8 * cols,
        acc_depth=max(LANES * patches + 5, 256),
        acc_width=acc_width,
        post_lanes=block & -block,
        out_depth=256,
        bus_bytes=4,
        burst_beats=4,
        winograd=patches,
    )


def walk(names, counts, strides):
    fields = {f"{name}_count": count for name, count in zip(names, counts, strict=True)}
    steps = walk_steps(counts, strides)
    return fields | {f"{name}_step": step for name, step in zip(names, steps, strict=True)}


@dataclass
class Tile:
    """A tile of a layer: its numbers, and where they stand.

    `x` has the shape (images, channels, 4 down + 2, 4 across + 2), `weight` (cols, channels, 3, 3).
    """

    config: AcceleratorConfig
    x: np.ndarray
    weight: np.ndarray
    height: int
    width: int
    pool: bool
    zero_point: int
    seed: int

    @property
    def patches(self):
        images, _, tall, wide = self.x.shape
        return images, tall // OUTPUTS, wide // OUTPUTS

    def parameters(self):
        rng = np.random.default_rng(self.seed)
        cols = self.config.cols
        bias = rng.integers(-1000, 1000, cols)
        multiplier = rng.integers(1, 1 << 16, cols)
        # Requantised sums neither vanish nor saturate all.
        shift = np.full(cols, 12 + int(self.weight[0].size * 5000).bit_length())
        return bias, multiplier, shift

    def wanted(self):
        """Return the outputs by the direct convolution, int64 of shape (images, cols, P, Q)."""
        bias, multiplier, shift = self.parameters()
        result = conv2d(
            self.x,
            self.weight,
            bias,
            multiplier,
            shift,
            stride=(1, 1),
            padding=(0, 0, 0, 0),
            dilation=(1, 1),
            input_zero_point=0,
            output_zero_point=self.zero_point,
            low=-110,
            high=120,
        )[:, :, : self.height, : self.width]
        return max_pool(result, (2, 2), (2, 2), (0, 0, 0, 0)) if self.pool else result

    def made(self, chunks):
        """Return the outputs of the emulator, a CONV for each part of the input blocks."""
        config, rng = self.config, np.random.default_rng(self.seed + 1)
        rows, cols = config.rows, config.cols
        images, down, across = self.patches
        blocks = self.x.shape[1] // rows
        engines = Engines(config, np.zeros(1 << 20, np.uint8))
        engines.window = (0, 1 << 20)
        engines.act[:] = rng.integers(-128, 128, engines.act.shape)
        engines.acc[:] = rng.integers(-(1 << 30), 1 << 30, engines.acc.shape)
        tall, wide = self.x.shape[2:]
        plane = tall * wide
        base = int(rng.integers(0, 100))
        words = self.x.reshape(images, blocks, rows, plane).transpose(0, 1, 3, 2)
        engines.act[base : base + words.size // rows] = words.reshape(-1, rows)
        packed = self.weight.reshape(cols, blocks, rows, 9).transpose(1, 3, 2, 0)
        weight_base = int(rng.integers(0, 50))
        engines.weight[weight_base : weight_base + packed.size // cols] = packed.reshape(-1, cols)
        bias, multiplier, shift = self.parameters()
        entries = np.zeros((cols, 2), "<u4")
        entries[:, 0] = bias & 0xFFFFFFFF
        entries[:, 1] = multiplier | shift << 24
        engines.param[cols : 2 * cols] = entries.view(np.uint8)
        patches = images * down * across
        acc_base, bank = int(rng.integers(0, 6)), int(rng.integers(0, 2))
        first = 0
        for count in chunks:
            strides = (wide, 1, OUTPUTS, OUTPUTS * wide, blocks * plane, plane)
            conv = Instruction(
                Opcode.CONV,
                {
                    **walk("xynsrc", (PATCH, PATCH, across, down, images, count), strides),
                    "act_base": base + first * plane,
                    "weight_base": weight_base + first * 9 * rows,
                    "acc_base": acc_base,
                    "bank": bank,
                    "clear": int(first == 0),
                    "winograd": 1,
                    "patches": patches,
                },
            )
            assert broken_rule(conv, config) is None
            engines.conv(conv)
            first += count
        assert first == blocks
        side = 2 if self.pool else 1
        shape = (images, self.height // side, self.width // side)
        groups = config.col_groups
        store = Instruction(
            Opcode.STORE,
            {
                **walk(("dx", "dy"), (PATCH, PATCH), (PATCH * patches, patches)),
                **walk("xyn", (across, down, images), (1, across, across * down)),
                "acc_base": acc_base,
                "bank": bank,
                "winograd": 1,
                "pool": int(self.pool),
                "width": self.width,
                "height": self.height,
                "addr": 4096,
                "run_words": shape[0] * shape[1] * shape[2],
                "runs": 1,
                "planes": groups,
                "plane_pitch": 0x8000,
                "blocks": groups,
                "param_base": cols,
                "zero_point": self.zero_point,
                "low": -110,
                "high": 120,
            },
        )
        assert broken_rule(store, config) is None
        engines.store(store)
        found = [
            engines.memory[4096 + group * 0x8000 :][: shape[0] * shape[1] * shape[2] * config.block]
            for group in range(groups)
        ]
        planes = np.stack(found).view(np.int8).reshape(groups, *shape, config.block)
        return planes.transpose(1, 0, 4, 2, 3).reshape(images, cols, *shape[1:])


def parts(rng, blocks):
    """Cut input blocks into CONVs at random."""
    while blocks:
        count = rng.randint(1, blocks)
        yield count
        blocks -= count


def random_tile(seed):
    rng = random.Random(seed)
    numbers = np.random.default_rng(seed)
    rows, cols = rng.choice([(2, 2), (4, 4), (8, 2), (3, 6), (4, 16), (12, 12)])
    images, down, across = rng.choice([1, 1, 1, 2, 3]), rng.randint(1, 4), rng.randint(1, 4)
    blocks = rng.randint(1, 5)
    pool = rng.random() < 0.4
    height = OUTPUTS * (down - 1) + (rng.choice([2, 4]) if pool else rng.randint(1, 4))
    width = OUTPUTS * (across - 1) + (rng.choice([2, 4]) if pool else rng.randint(1, 4))
    shape = (images, blocks * rows, OUTPUTS * down + 2, OUTPUTS * across + 2)
    kernel = (cols, blocks * rows, 3, 3)
    draw = (
        (lambda size: numbers.choice([-128, 127], size))
        if rng.random() < 0.5
        else (lambda size: numbers.integers(-128, 128, size))
    )
    return Tile(
        configuration(rows, cols, max(4, images * down * across), rng.choice([26, 30, 32])),
        draw(shape).astype(np.int8),
        draw(kernel).astype(np.int8),
        height,
        width,
        pool,
        rng.randint(-100, 100),
        seed,
    ), list(parts(rng, blocks))


@pytest.mark.parametrize("seed", range(60))
def test_random_tiles_give_what_the_direct_convolution_gives(seed):
    tile, chunks = random_tile(seed)
    wanted = tile.wanted()
    np.testing.assert_array_equal(tile.made(chunks), wanted)
    assert len(np.unique(wanted)) > 1


def extremes(matrix, lane, sign):
    """Return the int8 numbers that take a lane of a transform to one of its ends."""
    factors = sign * np.outer(matrix[lane // PATCH], matrix[lane % PATCH])
    return np.where(factors > 0, 127, -128)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("rows", "blocks"), [(8, 2), (8, 64), (32, 64)])
def test_the_worst_patterns_of_all_lanes_are_exact(rows, blocks, sign):
    # An image for each lane's worst patch, and a column for each lane's worst kernel.
    data, kernels = np.array(B_T), np.array(G)
    cols = min(8 * rows, 128)
    config = configuration(rows, cols, LANES)
    patch = np.array([extremes(data, lane, sign) for lane in range(LANES)])
    signs = [1 if column < LANES else -1 for column in range(cols)]
    kernel = np.array([extremes(kernels, i % LANES, end) for i, end in enumerate(signs)])
    tile = Tile(
        config,
        np.repeat(patch[:, None], rows * blocks, axis=1).astype(np.int8),
        np.repeat(kernel[:, None], rows * blocks, axis=1).astype(np.int8),
        height=4,
        width=4,
        pool=False,
        zero_point=3,
        seed=blocks,
    )
    np.testing.assert_array_equal(tile.made([blocks]), tile.wanted())


def test_sums_fill_the_accumulators_to_the_last_bit():
    # 140 channels of the same sign reach 20,643,840: 26 bits, and no fewer.
    rows, blocks = 4, 35
    tile = Tile(
        configuration(rows, 4, 4, acc_width=26),
        np.full((1, rows * blocks, 6, 6), -128, np.int8),
        np.repeat([[-128], [127], [-128], [127]], rows * blocks * 9, axis=1)
        .reshape(4, rows * blocks, 3, 3)
        .astype(np.int8),
        height=4,
        width=4,
        pool=False,
        zero_point=0,
        seed=0,
    )
    np.testing.assert_array_equal(tile.made([30, 5]), tile.wanted())


def test_sums_of_any_lanes_follow_the_widths_of_the_folds():
    # Also of lanes that no convolution gives: three bits are dropped after each dimension.
    lanes = np.random.default_rng(4).integers(-(1 << 35), 1 << 35, (PATCH, PATCH, 3))
    found = patch_sums(lanes, 30)
    for channel in range(3):
        first = [
            [
                sum(A_T[y][k1] * int(lanes[k1, k2, channel]) for k1 in range(PATCH))
                % (1 << 36)
                // 8
                for k2 in range(PATCH)
            ]
            for y in range(OUTPUTS)
        ]
        for y in range(OUTPUTS):
            for x in range(OUTPUTS):
                second = sum(A_T[x][k2] * first[y][k2] for k2 in range(PATCH)) % (1 << 33) // 8
                # Not of signed numbers, which differ by multiples of the modulus alone.
                assert (second - 9 * int(found[y, x, channel])) % (1 << 30) == 0


def test_patches_beyond_the_accumulators_and_regions_of_another_size_are_refused():
    config = configuration(4, 4, 4)
    engines = Engines(config, np.zeros(4096, np.uint8))
    engines.window = (0, 4096)
    strides = (10, 1, 4, 0, 0, 60)
    fields = walk("xynsrc", (PATCH, PATCH, 2, 1, 1, 1), strides) | {"winograd": 1, "patches": 2}
    engines.conv(Instruction(Opcode.CONV, fields))
    last = config.acc_depth - 2 * LANES
    engines.conv(Instruction(Opcode.CONV, {**fields, "acc_base": last}))
    for wrong in ({"acc_base": last + 1}, {"weight_base": config.weight_depth - 35}):
        with pytest.raises(Fault) as caught:
            engines.conv(Instruction(Opcode.CONV, {**fields, **wrong}))
        assert caught.value.code == ErrorCode.BUFFER
    drained = {
        **walk(("dx", "dy"), (PATCH, PATCH), (PATCH * 2, 2)),
        **walk("xyn", (2, 1, 1), (1, 2, 0)),
        **{"winograd": 1, "pool": 1, "width": 6, "height": 2},
        **{"runs": 1, "planes": 1, "blocks": 1, "high": 127},
    }
    engines.store(Instruction(Opcode.STORE, {**drained, "run_words": 3}))
    with pytest.raises(Fault, match=r"^STORE makes 3 words, but its region has 12$"):
        engines.store(Instruction(Opcode.STORE, {**drained, "run_words": 12}))
