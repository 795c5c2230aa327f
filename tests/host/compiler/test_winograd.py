"""Winograd's convolutions in schedules: where they win, their tiles, bounds and estimates."""

import random

from systolith_host.compiler import compile_network
from systolith_host.compiler.compile import explain_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.cost.evaluate import evaluate
from systolith_host.flow.load import shape_network
from systolith_host.lab.fuzz.winograd import random_winograd_case, random_winograd_config
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

DEFAULT, DIRECT = PRESETS["default"], PRESETS["default-direct"]


def test_both_kinds_compete_and_only_where_the_units_are():
    qgraph = shape_network("vgg16")
    schedules = {one.name: one for one in explain_network(qgraph, DEFAULT)}
    # The first layer has three channels: packed, it takes three passes instead of 36.
    direct = [name for name, one in schedules.items() if not one.winograd]
    assert direct == ["conv1_1", "fc6", "fc7", "fc8"]
    total = sum(one.estimate for name, one in schedules.items() if name.startswith("conv"))
    assert total < 16_300_000
    for operation in lower(qgraph, DIRECT):
        found = schedule_candidates(operation, DIRECT, 1, Memory())
        assert not any(one.winograd for one in found)


def test_tiles_of_patches_keep_the_limits_of_the_instructions():
    rng = random.Random(3)
    seen = 0
    for _ in range(60):
        config, batch = random_winograd_config(rng), rng.choice([1, 3, 40])
        for operation in lower(random_winograd_case(rng, config)[0], config):
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
    found = [
        {cost.name: cost for cost in evaluate("vgg11", config, Memory())}
        for config in (DIRECT, DEFAULT, DIRECT)
    ]
    assert found[0] == found[2]
    for name in ("conv2_1", "conv4_2"):
        assert found[1][name].estimated_cycles < found[0][name].estimated_cycles / 3
        assert 4 * found[1][name].bound_cycles == found[0][name].bound_cycles
