"""Mosaics: images made where they stand in a larger one, or stored several times."""

import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.cost.replay import replay_program
from systolith_host.errors import SystolithError
from systolith_host.lab.drawn_networks import Net
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.networks import random_input
from systolith_host.network.golden import run_golden
from systolith_host.network.mosaic import Grid, put_together, repeats
from systolith_host.network.qgraph import QMosaic
from systolith_host.program import inside
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]
BLOCK = TINY.block
CONFIGS = {
    "tiny": TINY,
    "wide": replace(TINY, cols=8),
    "tall": replace(TINY, rows=8),
    "default": PRESETS["default"],
}


def check(qgraph, config=TINY, batch=2):
    """Run a network on the emulator; return its program."""
    program = compile_network(qgraph, config, batch)
    images = random_input(random.Random(1), qgraph, batch)
    run_exactly(program, qgraph, images)
    golden = run_golden(qgraph, images)
    for name, parts in program.parts.items():
        np.testing.assert_array_equal(
            inside.put_together(parts, golden), golden[name], err_msg=name
        )
    return program


def upsampled(net, source, channels, factors=(2, 2), size=1):
    count = factors[0] * factors[1]
    return net.phases([net.conv(source, channels, size) for _ in range(count)], *factors)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("factors", [(2, 2), (1, 3), (3, 1), (2, 4)])
def test_phases_are_written_where_they_stand(name, factors):
    config = CONFIGS[name]
    net = Net()
    whole = upsampled(net, "x", 2 * config.block + 1, factors)
    program = check(net.build(net.conv(whole, 4, 3)), config)
    assert len(program.layers) == factors[0] * factors[1] + 1
    assert {layer.kind for layer in program.layers} == {"conv"}


@pytest.mark.parametrize("name", CONFIGS)
def test_images_stand_below_and_beside_each_other(name):
    net = Net()
    first, second = net.conv("x", 9, 3), net.conv("x", 9)
    third = net.beside(net.conv(first, 9), net.conv(second, 9))
    fourth = net.beside(first, second)
    whole = net.below(third, fourth)
    program = check(net.build(net.conv(whole, 4, 3)), CONFIGS[name])
    assert {layer.kind for layer in program.layers} == {"conv"}
    assert (
        program.places[first].row_pitch
        == 2 * program.places["x"].width * program.places[first].block
    )


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("factors", [(2, 2), (1, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_repeated_tensor_is_read_once_and_stored_several_times(name, factors, batch):
    config = CONFIGS[name]
    net = Net()
    source = net.conv("x", 2 * config.block + 1, 3)
    whole = net.phases([source] * (factors[0] * factors[1]), *factors)
    output = net.join(whole, net.conv(whole, 4))
    program = check(net.build(net.conv(output, 4, 3)), config, batch)
    assert sum(layer.kind == "copy" for layer in program.layers) <= 2
    assert len(program.layers) <= 5


def test_a_mosaic_stands_in_a_concatenation():
    net = Net()
    up = upsampled(net, "x", BLOCK)
    skip = net.conv(net.phases(["x"] * 4, 2, 2), BLOCK)
    both = net.join(skip, up)
    program = check(net.build(net.conv(both, 3, 3)))
    assert program.places[up].parent == both
    assert [layer.kind for layer in program.layers] == ["conv"] * 4 + ["copy"] + ["conv"] * 2


def test_joins_and_slices_are_copied_to_where_they_stand():
    net = Net()
    wide = net.conv("x", 2 * BLOCK)
    halves = [net.take(wide, range(i * BLOCK, (i + 1) * BLOCK)) for i in range(2)]
    single = net.join(net.conv("x", BLOCK - 1), net.conv("x", 1))
    whole = net.phases([*halves, single, net.conv("x", BLOCK)], 2, 2)
    check(net.build(net.conv(whole, 3)))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("step", [1, 4])
def test_parts_of_a_convolution_are_made_where_they_stand(name, step):
    """Blocks of channels, or every fourth, as the two modes of DepthToSpace take them."""
    config = CONFIGS[name]
    count = config.cols
    net = Net()
    whole = net.conv(net.conv("x", 3), 4 * count, 3)
    starts = range(4) if step == 4 else range(0, 4 * count, count)
    parts = [net.take(whole, range(first, first + step * count, step)) for first in starts]
    program = check(net.build(net.conv(net.phases(parts, 2, 2), 4, 3)), config)
    assert [layer.kind for layer in program.layers] == ["conv"] * 6
    assert program.layers[1].covers == (whole, parts[0])
    assert program.layers[2].covers == (parts[1],)
    assert whole not in program.places


def test_parts_of_a_convolution_are_copied_where_columns_would_idle_or_others_read_it():
    for count, also in ((TINY.cols - 1, False), (TINY.cols, True)):
        net = Net()
        whole = net.conv("x", 4 * count, 3)
        parts = [net.take(whole, range(i * count, (i + 1) * count)) for i in range(4)]
        up = net.conv(net.phases(parts, 2, 2), 4, 3)
        if also:
            up = net.join(up, net.phases([net.conv(whole, 4)] * 4, 2, 2))
        kinds = [layer.kind for layer in check(net.build(up)).layers]
        assert kinds[:5] == ["conv", *["copy"] * 4]


def test_a_mosaic_may_be_the_output():
    net = Net()
    check(net.build(upsampled(net, "x", 3)))


@pytest.mark.parametrize("writes", [2, 4, 16])
def test_runs_of_one_pixel_take_about_the_cycles_that_are_expected(writes):
    config = replace(CONFIGS["default"], outstanding_writes=writes)
    net = Net(32, 24, 24)
    program = compile_network(net.build(upsampled(net, "x", 32)), config)
    for layer, found in zip(program.layers, replay_program(program), strict=True):
        assert layer.predicted_cycles == pytest.approx(found.counters.cycles, rel=0.25)


def test_pieces_that_need_copies_are_refused_without():
    net = Net()
    piece = net.conv("x", 3)
    net.conv(piece, 3)
    pieces = [piece, *(net.conv("x", 3) for _ in range(3))]
    with pytest.raises(SystolithError, match="conv0 cannot stand in it without a copy"):
        lower(net.build(net.phases(pieces, 2, 2)), TINY)


def test_pieces_that_overlap_are_refused():
    net = Net()
    pieces = [net.conv("x", 3) for _ in range(4)]
    whole = net.phases(pieces, 2, 2)
    layer = net.layers[-1]
    assert isinstance(layer, QMosaic)
    net.layers[-1] = QMosaic(whole, layer.inputs, whole, (*layer.grids[:3], Grid(0, 2, 1, 2)))
    with pytest.raises(SystolithError, match="pieces do not give every pixel once"):
        lower(net.build(whole), TINY)


def test_repetition_is_recognised():
    grids = [Grid(r, 2, c, 3) for r in range(2) for c in range(3)]
    assert repeats(["a"] * 6, grids) == (2, 3)
    assert repeats(["a"] * 5 + ["b"], grids) is None
    assert repeats(["a"] * 2, [Grid(0, 1, 0, 1), Grid(2, 1, 0, 1)]) is None
    values = np.arange(6).reshape(1, 1, 2, 3)
    whole = put_together([values] * 6, grids)
    np.testing.assert_array_equal(whole, values.repeat(2, axis=2).repeat(3, axis=3))
