"""Tensors that share memory, and copies of parts of tensors, in the RTL: bits and cycles."""

import random

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.cost.replay import replay_program
from systolith_host.lab.random_networks import random_input
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QConcat, QConv, QGraph, QLayer, QTake, QTensor
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]
BLOCK = TINY.block


class Net:
    """An integer network under construction, of images of 7x6."""

    def __init__(self):
        self.tensors = {"x": QTensor("x", (5, 7, 6), False, 1.0, 3)}
        self.layers: list[QLayer] = []

    def add(self, layer: QLayer, *shape: int) -> str:
        name = layer.output
        self.layers.append(layer)
        channels, height, width = shape
        self.tensors[name] = QTensor(name, (channels, height, width), False, 1.0, 3)
        return name

    def conv(self, source: str, outputs: int, size: int = 3) -> str:
        inputs, *sides = self.tensors[source].shape
        rng = np.random.default_rng(len(self.layers))
        name = f"conv{len(self.layers)}"
        numbers = (np.zeros(outputs, np.int32), np.full(outputs, 3000), np.full(outputs, 18))
        weight = rng.integers(-127, 128, (outputs, inputs, size, size)).astype(np.int8)
        pad = size // 2
        layer = QConv(
            name, source, name, "conv", weight, *numbers, -128, 127, padding=(pad, pad, pad, pad)
        )
        return self.add(layer, outputs, *sides)

    def join(self, *parts: str) -> str:
        name = f"join{len(self.layers)}"
        channels = sum(self.tensors[part].shape[0] for part in parts)
        return self.add(QConcat(name, parts, name), channels, *self.tensors[parts[0]].shape[1:])

    def take(self, source: str, channels, rows=(0, 7, 1), columns=(0, 6, 1)) -> str:
        name = f"take{len(self.layers)}"
        layer = QTake(name, source, name, tuple(channels), rows, columns)
        return self.add(layer, len(channels), len(range(*rows)), len(range(*columns)))

    def build(self, output: str) -> QGraph:
        return QGraph("moves", self.tensors, tuple(self.layers), "x", output)


def moves() -> QGraph:
    """Return a dense block, halves of a tensor that are joined again, and parts of tensors."""
    net = Net()
    made = [net.conv("x", 2 * BLOCK)]
    for _ in range(3):
        made.append(net.conv(net.join(*made) if len(made) > 1 else made[0], BLOCK))
    dense = net.join(*made)
    whole = net.conv(dense, 2 * BLOCK, 1)
    first, second = net.take(whole, range(BLOCK)), net.take(whole, range(BLOCK, 2 * BLOCK))
    joined = net.join(first, second, net.conv(second, BLOCK))
    shuffled = net.take(joined, [channel % 3 * 4 + channel // 3 for channel in range(12)])
    grid = net.take(shuffled, range(1, 8), (1, 7, 2), (2, 6, 1))
    return net.build(net.conv(grid, 3))


@pytest.mark.rtl
@pytest.mark.parametrize("memory", [Memory(), Memory(latency=7, bytes_per_cycle=3.0)], ids=str)
def test_moves_in_the_rtl_take_the_cycles_of_the_replay(memory, tmp_path):
    qgraph = moves()
    images = random_input(random.Random(4), qgraph, 2)
    program = compile_network(qgraph, TINY, 2, memory=memory)
    copies = [layer.name for layer in program.layers if layer.kind == "copy"]
    assert copies == ["take12", "take13"]
    assert sum(layer.kind == "conv" for layer in program.layers) == 7
    image = tmp_path / "image"
    program.write_image(image)
    place = program.places["x"]
    with image.open("r+b") as file:
        file.seek(place.address)
        file.write(place.pack(images).tobytes())
    measured = simulate(program, None, image, memory=memory)
    for layer, counted, predicted in zip(
        program.layers, measured, replay_program(program, memory), strict=True
    ):
        assert predicted.counters == counted, layer.name
    left, golden = np.fromfile(image, np.uint8), run_golden(qgraph, images)
    for name, place in program.places.items():
        values = place.unpack(left[place.address : place.address + place.size])
        np.testing.assert_array_equal(values, golden[name], err_msg=name)
