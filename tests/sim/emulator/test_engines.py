"""Single instructions of the emulator against loops written from the instruction set's text."""

import itertools
import math
import random

import numpy as np
import pytest

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Instruction, Opcode, walk_steps
from systolith_hw.spec.numerics import requantize
from systolith_hw.spec.registers import Engine, ErrorCode
from systolith_sim.emulator.access import Fault, walk
from systolith_sim.emulator.engines import Engines
from systolith_sim.testing.configs import small_config

CONFIG = AcceleratorConfig(
    name="test",
    rows=8,
    cols=4,
    act_depth=200,
    weight_depth=64,
    param_depth=16,
    acc_depth=64,
    acc_width=24,
    post_lanes=2,
    out_depth=32,
    bus_bytes=8,
    burst_beats=4,
)


def engines(seed=0):
    rng = np.random.default_rng(seed)
    made = Engines(CONFIG, rng.integers(0, 256, 4096).astype(np.uint8))
    made.window = (0, 4096)
    made.act[:] = rng.integers(-128, 128, made.act.shape)
    made.weight[:] = rng.integers(-128, 128, made.weight.shape)
    made.acc[:] = rng.integers(-5000, 5000, made.acc.shape)
    return made


def literal_walk(base, levels, width):
    """Visit the addresses one by one; levels innermost first."""
    address = base
    counters = [0] * len(levels)
    for _ in range(math.prod(count for count, _ in levels)):
        yield address % (1 << width)
        for level, (count, step) in enumerate(levels):
            counters[level] += 1
            if counters[level] < count:
                address += step
                break
            counters[level] = 0


@pytest.mark.parametrize("seed", range(20))
def test_walk_visits_what_the_counters_would(seed):
    rng = random.Random(seed)
    levels = [(rng.randint(1, 4), rng.randint(0, 1 << 16)) for _ in range(rng.randint(1, 6))]
    base = rng.randint(0, 60_000)
    assert walk(base, levels, 16).reshape(-1).tolist() == list(literal_walk(base, levels, 16))


def test_walk_steps_give_the_strides_back():
    counts, strides = [3, 2, 4], [1, 10, -100]
    steps = walk_steps(counts, strides)
    levels = [(count, step % (1 << 24)) for count, step in zip(counts, steps, strict=True)]
    expected = [
        500 + z * -100 + y * 10 + x for z, y, x in itertools.product(range(4), range(2), range(3))
    ]
    assert walk(500, levels, 24).reshape(-1).tolist() == expected


def load(**fields):
    return Instruction(Opcode.LOAD, {"planes": 1, "runs": 1, **fields})


def test_load_of_weights_gathers_runs_of_planes():
    machine = engines()
    fields = {"buffer": Buffer.WEIGHT, "addr": 100, "run_words": 2, "runs": 3, "run_pitch": 40}
    access = machine.load(load(**fields, planes=2, plane_pitch=500, dest=7))
    words = [
        machine.memory[100 + p * 500 + i * 40 + w * 4 :][:4].view(np.int8)
        for p, i, w in itertools.product(range(2), range(3), range(2))
    ]
    np.testing.assert_array_equal(machine.weight[7:19], words)
    assert access.writes["weight"].tolist() == list(range(7, 19))
    # Two words of 4 bytes: from the middle of a beat in plane 0, from its start in plane 1.
    assert machine.bytes_read == 3 * 16 + 3 * 8


def test_a_scan_writes_each_of_its_words_into_all_groups_of_rows():
    config = small_config(8, 2, gather=64)
    memory = np.arange(1024, dtype=np.uint8) % 3
    machine = Engines(config, memory)
    machine.window = (0, memory.size)
    access = machine.load(load(buffer=Buffer.ACT, scan=1, addr=64, run_words=20, dest=9))
    active = np.count_nonzero(memory[64:104])
    words = -(-active // 8)
    assert config.row_groups == 4
    assert access.wrote.writes == 4 * words
    assert access.wrote.places.tolist() == list(range(9, 9 + words))
    np.testing.assert_array_equal(
        machine.act[9 : 9 + words].reshape(-1)[:active], memory[64:104][memory[64:104] != 0]
    )


def test_a_conv_that_gathers_may_read_all_units_of_its_ring():
    config = small_config(4, 4, gather=64)
    machine = Engines(config, np.ones(4096, np.uint8))
    machine.window = (0, 4096)
    machine.load(load(buffer=Buffer.ACT, scan=1, run_words=5))
    gathers = {"gather": 1, "units": 2}
    runs = {"run_words": 3, "runs": 20, "run_pitch": 64}
    machine.load(Instruction(Opcode.LOAD, {"buffer": Buffer.WEIGHT, "dest": 7, **gathers, **runs}))
    conv = Instruction(Opcode.CONV, {"s_count": 3, "weight_base": 7, **gathers})
    access = machine.conv(conv)
    assert access.reads["weight"].tolist() == list(range(7, 7 + 2 * 3 * 4))


def test_load_of_activations_pads_every_plane_in_its_lane():
    machine = engines()
    before = machine.act.copy()
    fields = {"rows": 2, "pixels": 3, "run_words": 3, "runs": 2, "run_pitch": 20}
    padding = {"pad_top": 1, "pad_left": 2, "pad_right": 1, "pad_bottom": 1, "pad_value": -7}
    instruction = load(
        buffer=Buffer.ACT, addr=64, planes=2, plane_pitch=200, dest=5, lane=1, **fields, **padding
    )
    machine.load(instruction)
    expected = np.full((2, 4, 6, 4), -7)
    for plane, row, pixel in itertools.product(range(2), range(2), range(3)):
        word = machine.memory[64 + plane * 200 + row * 20 + pixel * 4 :][:4].view(np.int8)
        expected[plane, row + 1, pixel + 2] = word
    np.testing.assert_array_equal(machine.act[5:53, 4:], expected.reshape(-1, 4))
    np.testing.assert_array_equal(machine.act[:, :4], before[:, :4])
    np.testing.assert_array_equal(machine.act[53:], before[53:])


def test_packed_words_hold_a_pixel_and_its_right_neighbours():
    machine = engines()
    instruction = load(
        buffer=Buffer.ACT,
        addr=0,
        run_words=2,
        runs=2,
        run_pitch=8,
        rows=2,
        pixels=3,
        pad_left=1,
        pad_value=9,
        pixel_bytes=2,
    )
    machine.load(instruction)
    rows = machine.memory[:16].view(np.int8).reshape(2, 4, 2)[:, :3].tolist()
    expected = []
    for row in rows:
        padded = [[9, 9], *row, [9, 9]]
        expected += [padded[x] + padded[x + 1] for x in range(4)]
    np.testing.assert_array_equal(machine.act[:8, :4], expected)


@pytest.mark.parametrize(("clear", "shift"), [(0, 0), (1, 0), (0, 1)])
def test_conv_adds_the_passes_pixel_by_pixel(clear, shift):
    machine = engines()
    counts = {"x": 3, "y": 2, "n": 2, "s": 2, "r": 1, "c": 2}
    steps = walk_steps(list(counts.values()), [2, 12, 30, 1, 12, 60])
    fields = {f"{name}_count": count for name, count in counts.items()}
    fields |= {f"{name}_step": step for name, step in zip(counts, steps, strict=True)}
    instruction = Instruction(
        Opcode.CONV,
        {
            **fields,
            **{"act_base": 3, "weight_base": 5, "acc_base": 11, "bank": 1},
            **{"clear": clear, "shift": shift},
        },
    )
    machine.acc[1, 11:23] = np.arange(12)[:, None]
    expected = machine.acc.copy()
    if clear:
        expected[1, 11:23] = 0
    if shift:
        expected[1, 11:23] *= 256
    levels = [(fields[f"{name}_count"], instruction[f"{name}_step"]) for name in counts]
    for number, address in enumerate(literal_walk(3, levels, 24)):
        weight_pass, pixel = divmod(number, 12)
        block = machine.weight[5 + weight_pass * 8 :][:8].astype(np.int64)
        expected[1, 11 + pixel] += machine.act[address].astype(np.int64) @ block
    machine.conv(instruction)
    np.testing.assert_array_equal(machine.acc, expected)


def test_sums_wrap_at_the_accumulators_width():
    machine = engines()
    machine.act[0], machine.weight[:8] = -128, -128
    machine.acc[0, 0] = (1 << 23) - 1
    counts = dict.fromkeys([f"{level}_count" for level in "xynsrc"], 1)
    machine.conv(Instruction(Opcode.CONV, counts))
    assert machine.acc[0, 0].tolist() == [(1 << 23) - 1 + 8 * 128 * 128 - (1 << 24)] * 4


def store(**fields):
    counts = {f"{level}_count": 1 for level in ("dx", "dy", "x", "y", "n")}
    return Instruction(
        Opcode.STORE,
        {**counts, "planes": 1, "runs": 1, "run_words": 1, "blocks": 1, "high": 127, **fields},
    )


def test_store_takes_the_maximum_of_requantised_sums():
    machine = engines()
    rng = random.Random(2)
    entries = []
    for entry in range(16):
        bias, multiplier, shift = rng.randint(-3000, 3000), rng.randint(0, 65535), 20
        entries.append((bias, multiplier, shift))
        raw = bias.to_bytes(4, "little", signed=True) + (multiplier | shift << 24).to_bytes(
            4, "little"
        )
        machine.param[entry] = np.frombuffer(raw, np.uint8)
    instruction = store(
        addr=1000,
        run_words=3,
        runs=2,
        run_pitch=32,
        bank=1,
        acc_base=4,
        dx_count=3,
        dx_step=1,
        dy_count=2,
        dy_step=5,
        x_count=3,
        x_step=2,
        y_count=2,
        y_step=10,
        param_base=8,
        zero_point=-3,
        low=-100,
        high=90,
    )
    sums = machine.acc[1].copy()
    machine.store(instruction)
    for y, x in itertools.product(range(2), range(3)):
        # The step of y comes on top of where the last x has gone.
        base = 4 + x * 2 + y * (10 + 2 * 2)
        window = [base + dx + dy * (5 + 2) for dy in range(2) for dx in range(3)]
        for column in range(4):
            bias, multiplier, shift = entries[8 + column]
            best = max(
                requantize(int(sums[q, column]), bias, multiplier, shift, -3, -100, 90)
                for q in window
            )
            byte = machine.memory[1000 + y * 32 + x * 4 + column]
            assert int(byte.view(np.int8)) == best
    # Three words of 4 bytes need two beats, in each of two runs.
    assert machine.bytes_written == 32


@pytest.mark.parametrize(
    ("kind", "fields", "info"),
    [
        ("load", {"buffer": Buffer.WEIGHT, "dest": 60, "run_words": 5}, 64),
        ("load", {"buffer": Buffer.PARAM, "dest": 20, "run_words": 1}, 20),
        ("conv", {"act_base": 199, "x_count": 2, "x_step": 1}, 200),
        ("conv", {"weight_base": 57}, 64),
        ("conv", {"acc_base": 70}, 70),
        ("store", {"acc_base": 63, "x_count": 2, "x_step": 1, "run_words": 2}, 64),
        ("store", {"param_base": 14}, 16),
    ],
)
def test_words_beyond_a_buffer_are_faults(kind, fields, info):
    machine = engines()
    if kind == "conv":
        counts = dict.fromkeys([f"{level}_count" for level in "xynsrc"], 1)
        instruction = Instruction(Opcode.CONV, {**counts, **fields})
    else:
        instruction = {"load": load, "store": store}[kind](**fields)
    with pytest.raises(Fault) as caught:
        getattr(machine, kind)(instruction)
    assert caught.value.code == ErrorCode.BUFFER
    assert caught.value.info == info


def test_addresses_outside_the_window_are_faults():
    machine = engines()
    machine.window = (64, 128)
    fields = {"buffer": Buffer.WEIGHT, "run_words": 4}
    machine.load(load(addr=112, **fields))
    for address, info in ((60, 60), (116, 128), (128, 128)):
        with pytest.raises(Fault) as caught:
            machine.load(load(addr=address, **fields))
        assert (caught.value.code, caught.value.engine) == (ErrorCode.ADDRESS, Engine.LOAD)
        assert caught.value.info == info


def test_a_region_of_another_size_than_the_tile_is_refused():
    machine = engines()
    with pytest.raises(Fault, match=r"^LOAD moves 4 words, but its 1 planes of 2x3 pixels"):
        machine.load(load(buffer=Buffer.ACT, run_words=4, rows=2, pixels=3))
    with pytest.raises(Fault, match=r"^STORE makes 1 words, but its region has 2$"):
        machine.store(store(run_words=2))
