"""Images made where they stand in larger ones, and stored several times, in the RTL."""

import random
import re

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.cost.replay import replay_program
from systolith_host.lab.drawn_networks import Net
from systolith_host.lab.fuzz.networks import random_input
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QGraph, QMaxPool
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]
BLOCK = TINY.block


def spread() -> QGraph:
    """Return a network down to half the size and up again in each way, and images side by side."""
    net = Net(5, 6, 7)
    first = net.conv("x", BLOCK + 2, 3)
    up = net.phases([net.conv(first, 2 * BLOCK) for _ in range(4)], 2, 2)
    both = net.join(up, net.phases([first] * 4, 2, 2))
    wide = net.conv(both, 4 * BLOCK, 3)
    pool = net.add(QMaxPool("pool", wide, "pool", (2, 2), (2, 2)), 4 * BLOCK, 6, 7)
    channels = [range(start, start + BLOCK) for start in range(0, 4 * BLOCK, BLOCK)]
    deep = net.phases([net.take(pool, each) for each in channels], 2, 2)
    again = net.conv(net.beside(net.conv(deep, 3), net.conv(deep, 3, 3)), 3)
    whole = net.below(net.conv(again, 3), net.conv(again, 3, 3))
    fine = net.conv(whole, 4 * TINY.cols, 3)
    parts = [net.take(fine, range(start, 4 * TINY.cols, 4)) for start in range(4)]
    return net.build(net.conv(net.phases(parts, 2, 2), 3, 3))


@pytest.mark.requirement("CNT-3")
@pytest.mark.rtl
@pytest.mark.parametrize("memory", [Memory(), Memory(latency=7, bytes_per_cycle=3.0)], ids=str)
def test_mosaics_in_the_rtl_take_the_cycles_of_the_replay(memory, tmp_path):
    qgraph = spread()
    images = random_input(random.Random(4), qgraph, 2)
    golden = run_golden(qgraph, images)
    program = compile_network(qgraph, TINY, 2, memory=memory)
    copies = [layer.name for layer in program.layers if layer.kind == "copy"]
    assert [re.sub(r"\d+", "", name) for name in copies] == ["mosaic", *["take"] * 4]
    image = tmp_path / "image"
    program.write_image(image, {"x": images})
    measured = simulate(program, None, image, memory=memory)
    for layer, counted, predicted in zip(
        program.layers, measured, replay_program(program, memory), strict=True
    ):
        assert predicted.counters == counted, layer.name
    left = np.fromfile(image, np.uint8)
    for name, place in program.places.items():
        values = place.unpack(left[place.address : place.address + place.size])
        np.testing.assert_array_equal(values, golden[name], err_msg=name)
