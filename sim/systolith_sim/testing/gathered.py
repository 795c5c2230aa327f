"""Fully connected layers that gather their weights, as programs, for tests."""

import random
from dataclasses import dataclass, replace

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, Buffer, Instruction, Opcode
from systolith_sim.golden.ops import conv2d

__all__ = ["GatheredLayer", "random_layer"]

INPUT = 0
"""Address of the input."""


@dataclass(frozen=True, eq=False)
class GatheredLayer:
    """A layer on one image: its numbers, and how they are cut.

    Parameters
    ----------
    config : AcceleratorConfig
    inputs : ndarray of int8, shape (bytes,)
        In the order of memory, whole blocks.
    zero : int
        The input's zero point.
    weight : ndarray of int8, shape (outputs, bytes)
        Whole blocks of columns.
    bias, multiplier, shift : ndarray of int, shape (outputs,)
    blocks : int
        Blocks of columns of a slice, but the last.
    units : int
        Of the ring.
    act_dest, weight_dest : int
        First words in the buffers.
    zero_point, low, high : int
        Of the output.
    nibbles : bool
        The weights, -8 to 7, share a byte of memory two by two.
    """

    config: AcceleratorConfig
    inputs: np.ndarray
    zero: int
    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    blocks: int
    units: int
    act_dest: int = 0
    weight_dest: int = 0
    zero_point: int = 3
    low: int = -120
    high: int = 110
    nibbles: bool = False

    @property
    def unsigned(self) -> bool:
        """Whether inputs less the zero point are 0 to 255 rather than -128 to 127."""
        return bool((self.inputs.astype(int) - self.zero).max() > 127)

    @property
    def slices(self) -> list[tuple[int, int]]:
        """First block of each slice, and its blocks."""
        whole = len(self.weight) // self.config.cols
        return [(b, min(self.blocks, whole - b)) for b in range(0, whole, self.blocks)]

    def held(self, blocks: int) -> int:
        """Return the blocks of a unit of a slice of `blocks` blocks."""
        return blocks + blocks % 2 if self.nibbles else blocks

    @property
    def active(self) -> int:
        """Inputs that are gathered."""
        return max(1, int((self.inputs != self.zero).sum()))

    @property
    def places(self) -> tuple[int, int, int, int, int]:
        """Addresses of input, weights, parameters, output, and the end."""
        weights = INPUT + -(-self.inputs.size // 64) * 64
        size = self.inputs.size * sum(self.held(blocks) for _, blocks in self.slices)
        size = size * self.config.cols >> self.nibbles
        params = weights + -(-size // 64) * 64
        output = params + -(-len(self.weight) * PARAM_BYTES // 64) * 64
        return INPUT, weights, params, output, output + -(-len(self.weight) // 64) * 64

    def memory(self) -> np.ndarray:
        """Return the memory before the program, without it."""
        at_input, at_weights, at_params, at_output, end = self.places
        memory = np.full(end, 0x55, np.uint8)
        memory[at_input:][: self.inputs.size] = self.inputs.view(np.uint8)
        position, cols = at_weights, self.config.cols
        for first, blocks in self.slices:
            part = self.weight[first * cols : (first + blocks) * cols].T  # input by input
            if self.nibbles:
                part = np.pad(part, ((0, 0), (0, (self.held(blocks) - blocks) * cols)))
                pairs = part.reshape(-1, 2, cols)
                part = pairs[:, 0] & 15 | pairs[:, 1] << 4
            memory[position:][: part.size] = np.ascontiguousarray(part).view(np.uint8).reshape(-1)
            position += part.size
        entries = np.zeros((len(self.weight), 2), "<u4")
        entries[:, 0] = self.bias & 0xFFFFFFFF
        entries[:, 1] = self.multiplier | self.shift << 24
        memory[at_params:at_output][: entries.size * 4] = entries.view(np.uint8).reshape(-1)
        return memory

    def program(self) -> list[Instruction]:
        """Return the instructions: a scan, then four for each slice."""
        config, cols = self.config, self.config.cols
        at_input, at_weights, at_params, at_output, _ = self.places
        scan = {"addr": at_input, "run_words": self.inputs.size // config.block}
        scan |= {"buffer": Buffer.ACT, "scan": 1, "pad_value": self.zero, "dest": self.act_dest}
        made = [Instruction(Opcode.LOAD, scan)]
        single = dict.fromkeys(("x_count", "y_count", "n_count", "r_count", "c_count"), 1)
        for number, (first, blocks) in enumerate(self.slices):
            ring = {"units": self.units}
            words = self.held(blocks) >> self.nibbles
            runs = {"addr": at_weights, "run_words": words, "run_pitch": words * cols}
            if self.nibbles:
                runs["nibbles"] = 1
            at_weights += self.inputs.size * words * cols
            params = {"addr": at_params + first * cols * PARAM_BYTES, "run_words": blocks * cols}
            made += [
                Instruction(
                    Opcode.LOAD,
                    {**runs, **ring, "buffer": Buffer.WEIGHT, "gather": 1}
                    | {
                        "runs": self.inputs.size,
                        "dest": self.weight_dest,
                        "after_computed": number,
                    },
                ),
                Instruction(
                    Opcode.CONV,
                    {**single, **ring, "gather": 1, "unsigned": int(self.unsigned), "c_step": 1}
                    | {
                        "s_count": self.held(blocks),
                        "act_base": self.act_dest,
                        "weight_base": self.weight_dest,
                    }
                    | {"bank": number % 2, "clear": 1, "after_drained": max(0, number - 1)}
                    | {"after_loaded_act": 1, "after_loaded_weight": 1, "acc_base": 3},
                ),
                Instruction(
                    Opcode.LOAD,
                    {**params, "buffer": Buffer.PARAM, "dest": 0, "after_drained": number},
                ),
                Instruction(
                    Opcode.STORE,
                    {"stacked": 1, "bank": number % 2, "acc_base": 3, "param_base": 0}
                    | {"addr": at_output + first * cols, "run_words": blocks * config.col_groups}
                    | {"blocks": blocks * config.col_groups, "zero_point": self.zero_point}
                    | {"low": self.low, "high": self.high}
                    | {"after_computed": number + 1, "after_loaded": 3 + 2 * number},
                ),
            ]
        return made

    def wanted(self) -> np.ndarray:
        """Return the outputs by the golden model, int8 of shape (outputs,)."""
        return conv2d(
            self.inputs.reshape(1, -1, 1, 1),
            self.weight[:, :, None, None],
            self.bias,
            self.multiplier,
            self.shift,
            stride=(1, 1),
            padding=(0, 0, 0, 0),
            dilation=(1, 1),
            input_zero_point=self.zero,
            output_zero_point=self.zero_point,
            low=self.low,
            high=self.high,
            dtype=np.int8,
        ).reshape(-1)


def random_layer(
    rng: random.Random, config: AcceleratorConfig, density: float | None = None
) -> GatheredLayer:
    """Return a random layer that the configuration can gather, if it can often with 4-bit weights.

    Parameters
    ----------
    density : float, optional
        Share of active inputs; random if None.
    """
    nibbles = bool(config.nibbles) and rng.random() < 0.8
    numbers = np.random.default_rng(rng.getrandbits(32))
    density = rng.choice([0, 0.03, 0.1, 0.3, 0.7, 1]) if density is None else density
    size = rng.randint(1, min(config.mask_words, 40)) * config.block
    words = -(-size // config.rows)
    room = config.weight_depth // config.rows
    pair = 2 if nibbles else 1  # an odd number of blocks takes room for one more
    units = rng.randint(1, min(4, room // pair))
    most = min(room // units, config.acc_depth - 3, config.param_depth // config.cols)
    most = min(most, 255 // config.col_groups) // pair * pair
    blocks = rng.randint(1, most)
    outputs = config.cols * rng.randint(1, min(2 * blocks + 1, 12))
    zero = rng.choice([-128, -128, 0, rng.randint(-127, 127)])
    low, high = (zero, min(127, zero + 255)) if rng.random() < 0.5 else (-128, 127)
    if low < zero:
        low, high = max(-128, zero - 128), min(127, zero + 127)
    inputs = np.full(size, zero, np.int8)
    active = numbers.random(size) < density
    inputs[active] = numbers.integers(low, high, int(active.sum()), np.int8, endpoint=True)
    # Requantised sums neither vanish nor saturate all.
    weights, spread = ((-8, 7), 5) if nibbles else ((-128, 127), 80)
    scale = 10 + int(spread * max(1.0, (size * max(density, 0.01)) ** 0.5) * 100).bit_length()
    layer = GatheredLayer(
        config=config,
        inputs=inputs,
        zero=zero,
        weight=numbers.integers(*weights, (outputs, size), np.int8, endpoint=True),
        bias=numbers.integers(-1000, 1000, outputs),
        multiplier=numbers.integers(1 << 14, 1 << 16, outputs),
        shift=np.full(outputs, scale),
        blocks=blocks,
        units=units,
        act_dest=rng.randint(0, config.act_depth - words),
        nibbles=nibbles,
    )
    used = units * config.rows * layer.held(blocks)
    return replace(layer, weight_dest=rng.randint(0, config.weight_depth - used))
