"""Traffic versus size of the memory, and the lower bound."""

import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.cost.bound import least_traffic, window_reuse
from systolith_host.cost.evaluate import evaluate, operations_of
from systolith_host.cost.replay import replay_program
from systolith_host.errors import SystolithError
from systolith_host.flow.load import shape_network
from systolith_host.lab.traffic import AIMS, GROUPS, splits, traffic_at
from systolith_host.network.graph import GraphBuilder
from systolith_host.network.qgraph import QConv
from systolith_host.network.shapes import timing_network
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

DEFAULT, TINY = PRESETS["default-direct"], PRESETS["tiny"]


def one_layer(size, inputs, outputs, kernel, **numbers):
    builder = GraphBuilder("one", (inputs, size, size))
    builder.conv("conv", outputs, (kernel, kernel), **numbers)
    qgraph = timing_network(builder.build())
    return qgraph, lower(qgraph, DEFAULT)[0]


def divided(split):
    """Return tiny, a 4x4 array with sums of 32 bits, with this split."""
    return replace(
        TINY,
        act_depth=split.activations // 4,
        weight_depth=split.weights // 4,
        acc_depth=split.sums // 32,
    )


def test_the_bound_of_a_matrix_product_in_numbers():
    # 64 x 64 matrix times 256 pixels: 2**20 MACs. With S = 1024 bytes and sums of 4,
    # 2 * 2**20 * sqrt(4 / 1024) = 131,072, less 3 bytes for each of 16,384 sums, less 2 S.
    qgraph, operation = one_layer(16, 64, 64, 1)
    bound = least_traffic(qgraph, operation, 1024)
    assert bound.memory == 131_072 - 3 * 16_384 - 2 * 1024 == bound.bytes
    assert bound.compulsory == 2 * 64 * 256 + 64 * 64
    # Sums of one byte: 2 * 2**20 / 32 - 2 S.
    assert least_traffic(qgraph, operation, 1024, 1.0).memory == 65_536 - 2048


def test_with_memory_for_everything_only_what_is_compulsory_remains():
    qgraph, operation = one_layer(16, 64, 64, 1)
    bound = least_traffic(qgraph, operation, 1 << 20)
    assert (bound.memory, bound.bytes) == (0, 2 * 64 * 256 + 64 * 64)


@pytest.mark.parametrize(
    ("kernel", "numbers", "reuse"),
    [
        (1, {}, 1),
        (3, {"padding": (1, 1, 1, 1)}, 9),
        (3, {"stride": (2, 2)}, 4),
        (3, {"stride": (2, 2), "dilation": (2, 2)}, 9),
        (2, {"stride": (2, 2)}, 1),
    ],
)
def test_reuse_by_windows_is_what_counting_finds_at_most(kernel, numbers, reuse):
    qgraph, _ = one_layer(12, 4, 4, kernel, **numbers)
    (layer,) = qgraph.layers
    assert isinstance(layer, QConv)
    _, height, width = qgraph.tensors["conv"].shape
    seen = np.zeros((64, 64), int)
    for row in range(height):
        for column in range(width):
            for r in range(kernel):
                for s in range(kernel):
                    down = row * layer.stride[0] + r * layer.dilation[0]
                    across = column * layer.stride[1] + s * layer.dilation[1]
                    seen[down, across] += 1
    assert seen.max() <= window_reuse(layer) == reuse


@pytest.mark.parametrize("seed", range(12))
def test_no_schedule_is_below_the_bound(seed):
    rng = random.Random(seed)
    for _ in range(20):
        kernel = rng.choice((1, 3))
        size, inputs, outputs = (rng.choice((4, 8, 16, 32, 64)) for _ in range(3))
        qgraph, operation = one_layer(size, inputs, outputs, min(kernel, size))
        memory = 2 ** rng.randrange(6, 14)
        # Sums stay until they are whole, a column of pixels a time: inputs once for every block.
        pixels = size * size
        sums = max(1, memory // 8)
        across = min(outputs, max(1, int(sums**0.5)))
        down = min(pixels, max(1, sums // across))
        blocks = -(-outputs // across) * -(-pixels // down)
        taps = inputs * kernel * kernel
        moved = blocks * taps * (across + down) + outputs * pixels
        assert moved >= least_traffic(qgraph, operation, memory).memory


def test_splits_are_all_that_there_are():
    found = list(splits(1024, 8))
    assert len(found) == len(set(found)) == 21
    assert all(one.activations + one.weights + one.sums == 1024 for one in found)


@pytest.mark.parametrize("aim", AIMS)
def test_a_small_network_in_numbers(aim):
    size = 8192
    found = traffic_at("mini", TINY, size, aim, parts=8)
    assert found.split.activations + found.split.weights + found.split.sums == size
    # Tensors and weights of the layers, pools fused: 3 x 1024 in, 8 x 256 out, 216 weights, ...
    convolutions = (3072 + 2048 + 216) + (2048 + 3072 + 864) + (3072 + 768 + 1296)
    convolutions += 768 + 256 + 1728
    linear = (256 + 24 + 6144) + (24 + 24 + 576) + (24 + 10 + 240)
    wanted = dict(zip(GROUPS, (convolutions, linear, convolutions + linear), strict=True))
    assert found.compulsory == found.bound == wanted
    assert sum(layer.traffic for layer in found.layers) == found.traffic["all"]
    assert all(layer.traffic >= layer.bound for layer in found.layers)
    # The program itself moves as much, and what is left over of the bus's beats.
    program = compile_network(shape_network("mini"), divided(found.split))
    moved = sum(
        sum(layer.read_bytes.values()) + layer.write_bytes for layer in replay_program(program)
    )
    if aim == "cycles":
        assert found.traffic["all"] <= moved < 1.05 * found.traffic["all"]
    else:  # for the aim of fewest cycles, not this one
        assert found.traffic["all"] <= moved


def test_the_split_has_the_least_traffic_of_all():
    found = traffic_at("mini", TINY, 4096, parts=6)
    totals = []
    for split in splits(4096, 6):
        try:
            costs = evaluate("mini", divided(split), Memory(bytes_per_cycle=8))
        except SystolithError:
            continue
        totals.append(sum(cost.estimated_read_bytes + cost.estimated_write_bytes for cost in costs))
    assert (found.traffic["all"], found.tried) == (min(totals), len(totals))


def test_the_aim_of_least_traffic_moves_no_more_than_the_aim_of_least_cycles():
    for size in (4096, 8192):
        cycles, traffic = (traffic_at("mini", TINY, size, aim, parts=6) for aim in AIMS)
        assert traffic.traffic["all"] <= cycles.traffic["all"]
        assert (traffic.cycles, cycles.cycles > 0) == (0, True)


def test_more_memory_never_raises_the_bound():
    qgraph = shape_network("vgg16")
    for operation in operations_of("vgg16", DEFAULT):
        bounds = [least_traffic(qgraph, operation, 1 << bits).bytes for bits in range(10, 24)]
        assert bounds == sorted(bounds, reverse=True)
        assert bounds[-1] == operation.compulsory_bytes()
