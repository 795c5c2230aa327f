"""Tensors that share memory, and copies of parts of tensors, in the RTL: bits and cycles."""

import random

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.cost.replay import replay_program
from systolith_host.lab.drawn_networks import Net
from systolith_host.lab.fuzz.networks import random_input
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QGraph, QTake
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]
BLOCK = TINY.block


def moves() -> QGraph:
    """Return a dense block, halves of a tensor that are joined again, and parts of tensors."""
    net = Net(height=7, width=6)
    made = [net.conv("x", 2 * BLOCK, 3)]
    for _ in range(3):
        made.append(net.conv(net.join(*made) if len(made) > 1 else made[0], BLOCK, 3))
    dense = net.join(*made)
    whole = net.conv(dense, 2 * BLOCK)
    first, second = net.take(whole, range(BLOCK)), net.take(whole, range(BLOCK, 2 * BLOCK))
    joined = net.join(first, second, net.conv(second, BLOCK, 3))
    shuffled = net.take(joined, [channel % 3 * 4 + channel // 3 for channel in range(12)])
    part = QTake("take13", shuffled, "take13", tuple(range(1, 8)), (1, 7, 2), (2, 6, 1))
    return net.build(net.conv(net.add(part, 7, 3, 4), 3, 3))


@pytest.mark.requirement("CNT-3")
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
    program.write_image(image, {"x": images})
    measured = simulate(program, None, image, memory=memory)
    for layer, counted, predicted in zip(
        program.layers, measured, replay_program(program, memory), strict=True
    ):
        assert predicted.counters == counted, layer.name
    left, golden = np.fromfile(image, np.uint8), run_golden(qgraph, images)
    for name, place in program.places.items():
        values = place.unpack(left[place.address : place.address + place.size])
        np.testing.assert_array_equal(values, golden[name], err_msg=name)
