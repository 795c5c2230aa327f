"""Directed tests of much work: all registers, full buffers, thousands of instructions."""

from collections.abc import Callable

import numpy as np

from systolith_host.lab.coverage.draft import DATA, OUT, Draft
from systolith_host.lab.coverage.stand import LONG_WAIT, Director, with_params
from systolith_host.lab.faults.judge import FaultError
from systolith_host.lab.faults.stand import random_timing
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.registers import REGISTERS

__all__ = ["busy", "fills", "loose", "many", "numbers", "registers"]

_MANY = 12_000
"""Instructions of the longest program."""


def _constant(value: int) -> Callable[[int], np.ndarray]:
    return lambda size: np.full(size, value, np.uint8)


def registers(director: Director) -> None:
    """Write all registers that can be written, and read all of them and a place without one."""
    bench = director.stand.bench
    width = director.stand.config.addr_width
    for register in REGISTERS.values():
        if register.access == "rw":
            for value in (0, (1 << register.width) - 1, 0):
                bench.write(register.name, value)
                found, wanted = bench.read(register.name), register.held(value, width)
                if found != wanted:
                    text = f"{register.name} is {found:#x} after {value:#x} was written"
                    raise FaultError("report", text)
        bench.read(register.name)
    for offset in (0x3FC, 0x7FC, 0xFFC):
        bench.write_word(offset, 0xFFFFFFFF)
        bench.read_word(offset)
    director.stand.set_up()


def fills(director: Director) -> None:
    """Fill all buffers and both banks with zeros, with ones, and with zeros again."""
    config = director.stand.config
    for byte in (0, 255, 0, 255, 0):
        draft = Draft(config, director.rng)
        for buffer in Buffer:
            draft.fill(buffer)
        # A single active row, and weights of -1 or 0: every bit of a sum is that of the weight.
        draft.load(Buffer.ACT, 1, addr=OUT - 512)
        draft.load(Buffer.PARAM, config.param_depth, addr=OUT - 1024 - 8 * config.param_depth)
        for bank in range(2):
            draft.conv(config.acc_depth, x_step=0, bank=bank)
        for bank in range(2):
            draft.store(config.acc_depth, bank=bank)
        memory = draft.memory(_constant(byte))
        memory[OUT - 512 : OUT] = 0
        memory[OUT - 512] = 1
        end = OUT - 1024
        params = memory[end - 8 * config.param_depth : end].view("<u4")
        params[0::2], params[1::2] = 0, 1 << 7 | 8 << 24
        director.run(draft, memory, f"buffers filled with {byte}")


def loose(director: Director) -> None:
    """Let all fields that change nothing be random."""
    config, rng = director.stand.config, director.rng
    for _ in range(4):
        draft = Draft(config, rng)
        draft.fill(Buffer.WEIGHT)
        for _ in range(80):
            words = rng.randint(1, 9)
            draft.load(Buffer.WEIGHT, words, rng.randrange(config.weight_depth - words))
            draft.load(Buffer.PARAM, config.cols)
            draft.load(Buffer.ACT, words, rng.randrange(config.act_depth - words))
            draft.load(Buffer.ACT, config.acc_depth)
            bank = rng.randrange(2)
            draft.conv(config.acc_depth, bank=bank)
            draft.conv(config.acc_depth, shift=1, clear=0, bank=bank)
            low, high = sorted(rng.randint(-128, 127) for _ in range(2))
            fields = {"low": low, "high": high, "zero_point": rng.randint(-128, 127)}
            draft.store(rng.randint(1, 9), **fields, bank=bank)
        memory = draft.memory()
        params = memory[DATA : DATA + 8 * config.cols].view("<u4")
        params[1::2] = params[1::2] & 0xFFFF | 20 << 24
        director.run(draft, memory, "fields that change nothing", random_timing(rng))


def many(director: Director) -> None:
    """Run thousands of instructions of a program."""
    config = director.stand.config
    draft = Draft(config, director.rng)
    draft.fill(Buffer.WEIGHT)
    draft.load(Buffer.ACT, 16)
    while draft.count + 3 <= _MANY:
        draft.load(Buffer.PARAM, config.cols)
        draft.conv(16)
        draft.store(16)
    memory = with_params(draft, DATA)
    director.run(draft, memory, "thousands of instructions")
    for what in ("CONVs", "STOREs"):
        draft = Draft(config)
        draft.fill(Buffer.WEIGHT)
        draft.load(Buffer.ACT, 32)
        draft.load(Buffer.PARAM, config.cols)
        draft.conv(min(32, config.acc_depth))
        while draft.count < _MANY:
            if what == "CONVs":
                draft.conv()
            else:
                draft.store(min(32, config.acc_depth))
        director.run(draft, with_params(draft, DATA), f"thousands of {what}")


def busy(director: Director) -> None:
    """Let each engine be busy for a long time without a pause."""
    config = director.stand.config
    draft = Draft(config)
    for _ in range(1 + LONG_WAIT // config.act_depth):
        draft.fill(Buffer.ACT)
    draft.fill(Buffer.WEIGHT)
    draft.load(Buffer.PARAM, config.cols)
    memory = with_params(draft, DATA)
    director.run(draft, memory, "a long time of loading")
    draft = Draft(config)
    draft.fill(Buffer.WEIGHT)
    draft.fill(Buffer.ACT)
    draft.load(Buffer.PARAM, config.cols)
    passes = min(config.weight_depth // config.rows, 255)
    pixels = config.acc_depth
    for _ in range(1 + LONG_WAIT // (passes * pixels)):
        draft.conv(pixels, x_step=1, s_count=passes, s_step=-(pixels - 1) % (1 << 24))
    draft.store(2, dx_count=255, dy_count=LONG_WAIT // 256 % 256 or 255)
    director.run(draft, draft.memory(), "a long time of computing")


def numbers(director: Director) -> None:
    """Let the last of thousands of instructions be illegal, and a program have no end."""
    config = director.stand.config
    for number in (0x1555, 0x2AAA):
        draft = Draft(config)
        while draft.count < number:
            draft.load(Buffer.PARAM, 1)
        draft.code.append(bytes(64))
        director.run(draft, draft.memory(), f"instruction {number} is illegal")
    draft = Draft(config)
    draft.load(Buffer.PARAM, 1)
    memory = draft.memory()
    for count in (0x55555555, 0xAAAAAAAA, 0xFFFFFFFF, 2):
        director.run(draft, memory, f"{count} instructions", count=count)
