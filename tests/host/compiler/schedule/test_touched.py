"""Pixels of a tensor that a layer touches, and the traffic that follows."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.touched import touched
from systolith_host.cost.explain import explain_layer
from systolith_host.cost.replay import replay_layer
from systolith_host.errors import SystolithError
from systolith_host.lab.fuzz.networks import random_config, random_small_config
from systolith_host.network.qgraph import QAdd, QConcat, QConv, QGraph, QMaxPool, QTensor
from systolith_hw.spec.presets import PRESETS
from systolith_sim.memory.timing import MemoryTiming

TINY = PRESETS["tiny"]


def seen(length, count, kernel, stride, padding, dilation):
    """Return the rows under any tap, by NumPy's own windows over the numbered, padded rows."""
    need = (count - 1) * stride + (kernel - 1) * dilation + 1
    rows = np.full(max(padding + length, need), -1)
    rows[padding : padding + length] = np.arange(length)
    windows = np.lib.stride_tricks.sliding_window_view(rows, (kernel - 1) * dilation + 1)
    found = set(windows[::stride, ::dilation][:count].ravel().tolist())
    return found - {-1}


@pytest.mark.parametrize("seed", range(4))
def test_rows_under_any_tap_are_counted(seed):
    rng = random.Random(seed)
    for _ in range(500):
        length, kernel, stride = rng.randint(1, 30), rng.randint(1, 6), rng.randint(1, 9)
        padding, after, dilation = rng.randint(0, 7), rng.randint(0, 7), rng.randint(1, 4)
        room = length + padding + after - dilation * (kernel - 1) - 1
        if room < 0:
            continue
        count = rng.randint(1, room // stride + 1)
        found = touched(
            length, count, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        )
        assert found == len(seen(length, count, kernel, stride, padding, dilation))


@pytest.mark.parametrize(
    ("length", "count", "numbers", "wanted"),
    [
        (32, 8, {"kernel": 1, "stride": 4, "padding": 0}, 8),
        (224, 224, {"kernel": 3, "stride": 1, "padding": 1}, 224),
        (224, 111, {"kernel": 3, "stride": 2, "padding": 0}, 223),  # SqueezeNet: the last is left
        (7, 3, {"kernel": 2, "stride": 2, "padding": 0}, 6),
        (9, 2, {"kernel": 2, "stride": 4, "padding": 1}, 3),
        (9, 3, {"kernel": 3, "stride": 1, "padding": 0, "dilation": 3}, 9),
        (9, 2, {"kernel": 3, "stride": 2, "padding": 0, "dilation": 2}, 4),
        (1, 1, {"kernel": 1, "stride": 5, "padding": 3}, 0),  # nothing but padding
    ],
)
def test_touched_rows_of_known_layers(length, count, numbers, wanted):
    assert touched(length, count, **numbers) == wanted


def _conv(name, source, target, weight, **numbers):
    outputs = len(weight)
    return QConv(
        name=name,
        input=source.name,
        output=target.name,
        kind=numbers.pop("kind", "conv"),
        weight=weight,
        bias=np.zeros(outputs, np.int32),
        multiplier=np.full(outputs, 2048),
        shift=np.full(outputs, 20),
        low=-128,
        high=127,
        **numbers,
    )


def _outputs(shape, kernel, numbers):
    sides: list[int] = []
    for axis in (0, 1):
        room = shape[1 + axis] + sum(numbers.get("padding", (0,) * 4)[2 * axis : 2 * axis + 2])
        room -= numbers.get("dilation", (1, 1))[axis] * (kernel[axis] - 1) + 1
        sides.append(room // numbers["stride"][axis] + 1)
    return sides[0], sides[1]


def _graph(tensors, layers):
    tensors = {tensor.name: tensor for tensor in tensors}
    return QGraph("strided", tensors, tuple(layers), "x", layers[-1].output)


def _strided(rng):
    """Return a network of a layer whose strides are above its kernel, or two with one input."""
    channels = rng.choice([1, 3, 4, 5, 16, 33])
    shape = (channels, rng.randint(1, 24), rng.randint(1, 24))
    source = QTensor("x", shape, False, 1.0, rng.choice([0, 5]))
    tensors, layers = [source], []
    for number in range(rng.choice([1, 1, 2])):
        kernel = (rng.randint(1, 3), rng.randint(1, 3))
        dilation = (rng.choice([1, 1, 2]), rng.choice([1, 1, 3]))
        numbers: dict[str, Any] = {
            "stride": (kernel[0] + rng.randint(0, 4), kernel[1] + rng.randint(0, 4))
        }
        if rng.random() < 0.4:
            numbers["padding"] = tuple(rng.randint(0, 3) for _ in range(4))
        kind = rng.choice(["conv", "conv", "packed", "depthwise", "even", "mean", "pool"])
        if kind == "pool":
            pads = numbers.get("padding", (0,) * 4)
            limits = (kernel[0], kernel[0], kernel[1], kernel[1])
            padding = tuple(min(p, k - 1) for p, k in zip(pads, limits, strict=True))
            numbers["padding"] = padding
        else:
            numbers["dilation"] = dilation
        sides = _outputs(shape, kernel, numbers)
        if min(sides) < 1:
            continue
        name = f"{kind}{number}"
        if kind == "pool":
            target = replace(source, name=f"{name}_out", shape=(channels, *sides))
            layers.append(QMaxPool(name, "x", target.name, kernel, **numbers))
        else:
            outputs = channels if kind in ("depthwise", "even", "mean") else rng.randint(1, 20)
            inputs = 1 if kind in ("depthwise", "even", "mean") else channels
            weight = np.random.default_rng(rng.getrandbits(32)).integers(
                -127, 128, (outputs, inputs, *kernel)
            )
            if kind in ("even", "mean"):
                weight[:] = 3
            if inputs != channels:
                numbers["groups"] = channels
            numbers["kind"] = "pool" if kind == "mean" else "conv"
            target = QTensor(f"{name}_out", (outputs, *sides), False, 1.0, 0)
            layers.append(_conv(name, source, target, weight.astype(np.int8), **numbers))
            window = rng.choice([1, 2, 3])
            if window > 1 and min(sides) >= window and rng.random() < 0.5:
                tensors.append(target)
                pooled = (outputs, sides[0] // window, sides[1] // window)
                target = replace(target, name=f"{name}_pooled", shape=pooled)
                pool = QMaxPool(
                    f"{name}p", layers[-1].output, target.name, (window,) * 2, (window,) * 2
                )
                layers.append(pool)
        tensors.append(target)
    return _graph(tensors, layers) if layers else None


@pytest.mark.parametrize("seed", range(12))
def test_no_program_moves_less_than_is_compulsory_or_is_faster_than_its_bound(seed):
    rng = random.Random(seed)
    checked = 0
    while checked < 25:
        qgraph = _strided(rng)
        config = rng.choice([random_config, random_small_config])(rng)
        config = rng.choice([config, config, TINY, PRESETS["default"]])
        batch = rng.choice([1, 1, 3])
        share = rng.choice([None, 2, 0.7, 0.2])
        rate = None if share is None else share * config.bus_bytes
        if qgraph is None:
            continue
        try:
            program = compile_network(qgraph, config, batch, fuse_pool=rng.random() < 0.7)
        except SystolithError:
            continue  # the buffers are too small for it
        memory = MemoryTiming(latency=2, bytes_per_cycle=rate, reads=64, writes=64)
        for layer in program.layers:
            found = replay_layer(program, layer, memory)
            data = found.read_bytes["activations"] + found.read_bytes["weights"]
            assert data + found.write_bytes >= layer.compulsory_bytes, (seed, layer)
            assert 0 < found.of_bound <= 1, (seed, layer)
            assert layer.bound_cycles <= replay_layer(program, layer).cycles
            checked += 1


def test_strides_above_the_kernel_need_only_the_pixels_under_them():
    source = QTensor("x", (16, 32, 32), False, 1.0, 0)
    target = QTensor("y", (16, 8, 8), False, 1.0, 0)
    weight = np.random.default_rng(0).integers(-127, 128, (16, 16, 1, 1)).astype(np.int8)
    qgraph = _graph([source, target], [_conv("conv", source, target, weight, stride=(4, 4))])
    for batch in (1, 3):
        (layer,) = compile_network(qgraph, TINY, batch).layers
        assert layer.compulsory_bytes == batch * (16 * 64 + 16 * 64) + 256
        shown = explain_layer(qgraph, TINY, "conv", batch)
        assert shown.compulsory_bytes == layer.compulsory_bytes
        assert shown.bound_cycles == layer.bound_cycles


def test_a_fused_pool_that_leaves_rows_over_leaves_the_pixels_below_them_too():
    source = QTensor("x", (8, 14, 14), False, 1.0, 0)
    middle = QTensor("m", (8, 7, 7), False, 1.0, 0)
    target = QTensor("y", (8, 3, 3), False, 1.0, 0)
    weight = np.random.default_rng(0).integers(-127, 128, (8, 8, 1, 1)).astype(np.int8)
    layers = [
        _conv("conv", source, middle, weight, stride=(2, 2)),
        QMaxPool("pool", "m", "y", (2, 2), (2, 2)),
    ]
    qgraph = _graph([source, middle, target], layers)
    (fused,) = lower(qgraph, TINY)
    assert fused.compulsory_bytes() == 8 * 36 + 8 * 9 + 64
    alone = lower(qgraph, TINY, fuse_pool=False)
    assert [one.compulsory_bytes() for one in alone] == [8 * 49 + 8 * 49 + 64, 8 * 36 + 8 * 9]


def test_a_tensor_that_comes_twice_is_needed_once():
    source = QTensor("x", (6, 5, 5), False, 1.0, 0)
    doubled = QTensor("y", (6, 5, 5), False, 1.0, 0)
    joined = QTensor("z", (18, 5, 5), False, 1.0, 0)
    layers = [
        QAdd("add", ("x", "x"), "y", (100, 100), 2048, 18, -128, 127),
        QConcat("join", ("x", "y", "x"), "z"),
    ]
    add, join = lower(_graph([source, doubled, joined], layers), TINY)
    assert add.compulsory_bytes() == 2 * 150
    assert join.compulsory_bytes() == 2 * 150 + 3 * 150


def test_equal_weights_that_stand_as_one_diagonal_are_needed_as_that():
    source = QTensor("x", (64, 4, 4), False, 1.0, 0)
    target = QTensor("y", (64, 4, 4), False, 1.0, 0)
    weight = np.full((64, 1, 1, 1), 3, np.int8)
    config = replace(TINY, rows=4, cols=4, bus_bytes=4, post_lanes=4)
    layer = _conv("scale", source, target, weight, groups=64)
    (operation,) = lower(_graph([source, target], [layer]), config)
    assert operation.weight_elements == operation.weights.size == 16
