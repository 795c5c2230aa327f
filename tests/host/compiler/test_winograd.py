"""Winograd's convolutions in compiled networks: the golden model's tensors, in every cut."""

import dataclasses
import random

import numpy as np
import pytest

from systolith_host.compiler import compile as compiler
from systolith_host.compiler import compile_network
from systolith_host.compiler.compile import explain_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.compiler.shortage import ShortageError
from systolith_host.cost.evaluate import evaluate
from systolith_host.flow.load import shape_network
from systolith_host.lab.random_networks import (
    random_input,
    random_qgraph,
    random_winograd_config,
    run_program,
)
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QConv, QGraph, QLayer, QMaxPool, QTensor
from systolith_host.program.instructions import layer_instructions
from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_sim.emulator.device import Emulator

DEFAULT = dataclasses.replace(PRESETS["default"], name="default-winograd", winograd=28)


def random_layer(rng):
    """Return a network of one 3x3 layer, with a pool behind it now and then."""
    channels, outputs = rng.choice([1, 3, 4, 7, 16, 20]), rng.choice([1, 4, 13, 20])
    groups = 1
    if rng.random() < 0.25:
        groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
        outputs = groups * rng.choice([1, 2])
    height, width = rng.randint(1, 24), rng.randint(1, 24)
    padding = rng.choice([(1, 1, 1, 1), (0, 0, 0, 0), tuple(rng.randint(0, 3) for _ in range(4))])
    padding = (max(padding[0], 3 - height), padding[1], max(padding[2], 3 - width), padding[3])
    shape = (height + sum(padding[:2]) - 2, width + sum(padding[2:]) - 2)
    numbers = np.random.default_rng(rng.getrandbits(64))
    unsigned = rng.random() < 0.5
    zero_point = rng.randint(0, 255) if unsigned else rng.randint(-128, 127)
    extreme = rng.random() < 0.5
    size = (outputs, channels // groups, 3, 3)
    draw = numbers.choice([-127, 127], size) if extreme else numbers.integers(-127, 128, size)
    tensors = {
        "x": QTensor("x", (channels, height, width), unsigned, 1.0, zero_point),
        "y": QTensor("y", (outputs, *shape), False, 1.0, -5),
    }
    conv = QConv(
        name="c",
        input="x",
        output="y",
        kind="conv",
        weight=draw.astype(np.int8),
        bias=numbers.integers(-200_000, 200_000, outputs).astype(np.int32),
        multiplier=numbers.integers(1024, 4096, outputs),
        shift=np.full(outputs, 18 + size[1].bit_length()),
        low=rng.choice([-5, -128]),
        high=127,
        padding=padding,
        groups=groups,
    )
    layers: tuple[QLayer, ...] = (conv,)
    if min(shape) > 1 and rng.random() < 0.5:
        tensors["z"] = QTensor("z", (outputs, shape[0] // 2, shape[1] // 2), False, 1.0, -5)
        layers = (conv, QMaxPool("p", "y", "z", (2, 2), (2, 2)))
    return QGraph("net", tensors, layers, "x", layers[-1].output)


def check(qgraph, config, rng, batch):
    images = random_input(rng, qgraph, batch)
    program = compile_network(qgraph, config, batch)
    memory = np.full(program.memory_size, 0x5A, np.uint8)
    tensors = run_program(program, Emulator(config, memory, strict=True), images)
    golden = run_golden(qgraph, images)
    for name, values in tensors.items():
        np.testing.assert_array_equal(values, golden[name], err_msg=name)
    return program


def kinds(program):
    """Return of each layer whether its CONVs are Winograd's."""
    return [
        any(
            one["winograd"]
            for one in layer_instructions(program, layer)
            if one.opcode == Opcode.CONV
        )
        for layer in program.layers
    ]


@pytest.mark.parametrize("seed", range(2))
def test_networks_give_the_golden_models_tensors(seed):
    rng = random.Random(seed)
    used = ran = 0
    for _ in range(20):
        # Few of the small networks have a layer that is worth the transforms.
        config = random_winograd_config(rng)
        qgraph = rng.choice([random_qgraph, random_layer, random_layer])(rng)
        try:
            program = check(qgraph, config, rng, rng.randint(1, 3))
        except ShortageError:
            continue  # the buffers are too small for it
        used += sum(kinds(program))
        ran += 1
    assert ran > 10
    assert used > 0


@pytest.mark.parametrize("seed", range(4))
def test_every_cut_gives_the_golden_models_tensors(seed, monkeypatch):
    rng = random.Random(100 + seed)

    def shuffled(operation, config, batch, memory):
        found = schedule_candidates(operation, config, batch, memory)
        found = [one for one in found if one.winograd] or found
        return rng.sample(found, len(found))

    monkeypatch.setattr(compiler, "schedule_candidates", shuffled)
    monkeypatch.setattr(compiler, "TRIALS", 1)
    used = ran = 0
    for _ in range(30):
        config = random_winograd_config(rng)
        try:
            program = check(random_layer(rng), config, rng, rng.choice([1, 1, 2, 3, 5]))
        except ShortageError:
            continue
        used += sum(kinds(program))
        ran += 1
    assert used > 15
    assert ran > 20


def test_both_kinds_compete_and_only_where_the_units_are():
    qgraph = shape_network("vgg16")
    schedules = {one.name: one for one in explain_network(qgraph, DEFAULT)}
    # The first layer has three channels: packed, it takes three passes instead of 36.
    direct = [name for name, one in schedules.items() if not one.winograd]
    assert direct == ["conv1_1", "fc6", "fc7", "fc8"]
    total = sum(one.estimate for name, one in schedules.items() if name.startswith("conv"))
    assert total < 16_300_000
    for operation in lower(qgraph, PRESETS["default"]):
        found = schedule_candidates(operation, PRESETS["default"], 1, Memory())
        assert not any(one.winograd for one in found)


def test_tiles_of_patches_keep_the_limits_of_the_instructions():
    rng = random.Random(3)
    seen = 0
    for _ in range(60):
        config, batch = random_winograd_config(rng), rng.choice([1, 3, 40])
        for operation in lower(random_layer(rng), config):
            for one in schedule_candidates(operation, config, batch, Memory()):
                if not one.winograd:
                    continue
                seen += 1
                assert one.pixels <= 36 * config.winograd <= config.acc_depth
                assert operation.sums(1, one.columns) <= 64
                # Only the last tile may end within a patch.
                assert one.rows == operation.out_height or operation.sums(0, one.rows) % 4 == 0
                assert one.columns == operation.out_width or operation.sums(1, one.columns) % 4 == 0
    assert seen > 1000


def test_the_bound_is_that_of_the_algorithm_that_a_layer_may_use():
    config = DEFAULT
    layers = {layer.name: layer for layer in compile_network(shape_network("vgg16"), config).layers}
    # Packed, the first layer has no 3x3 taps that Winograd could take.
    assert layers["conv1_1"].products == layers["conv1_1"].macs
    for name, layer in layers.items():
        if name.startswith("conv") and name != "conv1_1":
            assert 4 * layer.products == layer.macs
            assert layer.bound_cycles == layer.macs // 4 // config.multipliers
            assert layer.bound_cycles <= layer.predicted_cycles < 1.35 * layer.bound_cycles
    assert layers["fc7"].products == layers["fc7"].macs


def test_estimates_of_configurations_with_and_without_do_not_mix():
    plain = PRESETS["default"]
    found = [
        {cost.name: cost for cost in evaluate("vgg11", config, Memory())}
        for config in (plain, DEFAULT, plain)
    ]
    assert found[0] == found[2]
    for name in ("conv2_1", "conv4_2"):
        assert found[1][name].estimated_cycles < found[0][name].estimated_cycles / 3
        assert 4 * found[1][name].bound_cycles == found[0][name].bound_cycles
