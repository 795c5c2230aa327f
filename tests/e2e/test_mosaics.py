"""Images made where they stand in larger ones, and stored several times, in the RTL."""

import random

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.cost.replay import replay_program
from systolith_host.lab.random_networks import random_input
from systolith_host.network.golden import run_golden
from systolith_host.network.mosaic import Grid
from systolith_host.network.qgraph import (
    QConcat,
    QConv,
    QGraph,
    QLayer,
    QMaxPool,
    QMosaic,
    QTake,
    QTensor,
)
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]
BLOCK = TINY.block


class Net:
    """An integer network under construction."""

    def __init__(self):
        self.tensors = {"x": QTensor("x", (5, 6, 7), False, 1.0, 3)}
        self.layers: list[QLayer] = []

    def add(self, layer: QLayer, channels: int, height: int, width: int) -> str:
        name = layer.output
        self.layers.append(layer)
        self.tensors[name] = QTensor(name, (channels, height, width), False, 1.0, 3)
        return name

    def conv(self, source: str, outputs: int, size: int = 1) -> str:
        inputs, *sides = self.tensors[source].shape
        rng = np.random.default_rng(len(self.layers))
        name = f"conv{len(self.layers)}"
        numbers = (np.zeros(outputs, np.int32), np.full(outputs, 3000), np.full(outputs, 18))
        weight = rng.integers(-127, 128, (outputs, inputs, size, size)).astype(np.int8)
        pad = size // 2
        around = (pad, pad, pad, pad)
        layer = QConv(name, source, name, "conv", weight, *numbers, -128, 127, padding=around)
        return self.add(layer, outputs, *sides)

    def mosaic(self, parts: list[str], grids: list[Grid], height: int, width: int) -> str:
        name = f"mosaic{len(self.layers)}"
        channels = self.tensors[parts[0]].shape[0]
        return self.add(QMosaic(name, tuple(parts), name, tuple(grids)), channels, height, width)

    def spread(self, parts: list[str]) -> str:
        """Let four tensors be the phases of an image of twice the rows and columns."""
        _, height, width = self.tensors[parts[0]].shape
        grids = [Grid(row, 2, column, 2) for row in range(2) for column in range(2)]
        return self.mosaic(parts, grids, 2 * height, 2 * width)


def spread() -> QGraph:
    """Return a network down to half the size and up again in each way, and images side by side."""
    net = Net()
    first = net.conv("x", BLOCK + 2, 3)
    _, height, width = net.tensors[first].shape
    up = net.spread([net.conv(first, 2 * BLOCK) for _ in range(4)])
    repeated = net.spread([first] * 4)
    join = QConcat("join", (up, repeated), "join")
    both = net.add(join, 3 * BLOCK + 2, 2 * height, 2 * width)
    wide = net.conv(both, 4 * BLOCK, 3)
    pool = net.add(QMaxPool("pool", wide, "pool", (2, 2), (2, 2)), 4 * BLOCK, height, width)
    channels = [range(start, start + BLOCK) for start in range(0, 4 * BLOCK, BLOCK)]
    takes = [
        QTake(f"take{n}", pool, f"take{n}", tuple(each), (0, height, 1), (0, width, 1))
        for n, each in enumerate(channels)
    ]
    deep = net.spread([net.add(take, BLOCK, height, width) for take in takes])
    top, left = net.conv(deep, 3), net.conv(deep, 3, 3)
    sides = [Grid(0, 1, 0, 1), Grid(0, 1, 2 * width, 1)]
    row = net.mosaic([top, left], sides, 2 * height, 4 * width)
    again = net.conv(row, 3)
    ends = [Grid(0, 1, 0, 1), Grid(2 * height, 1, 0, 1)]
    whole = net.mosaic([net.conv(again, 3), net.conv(again, 3, 3)], ends, 4 * height, 4 * width)
    output = net.conv(whole, 3, 3)
    return QGraph("spread", net.tensors, tuple(net.layers), "x", output)


@pytest.mark.rtl
@pytest.mark.parametrize("memory", [Memory(), Memory(latency=7, bytes_per_cycle=3.0)], ids=str)
def test_mosaics_in_the_rtl_take_the_cycles_of_the_replay(memory, tmp_path):
    qgraph = spread()
    images = random_input(random.Random(4), qgraph, 2)
    golden = run_golden(qgraph, images)
    program = compile_network(qgraph, TINY, 2, memory=memory)
    copies = [layer.name for layer in program.layers if layer.kind == "copy"]
    assert copies == ["mosaic6", "take0", "take1", "take2", "take3"]
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
    left = np.fromfile(image, np.uint8)
    for name, place in program.places.items():
        values = place.unpack(left[place.address : place.address + place.size])
        np.testing.assert_array_equal(values, golden[name], err_msg=name)
