"""Spans of input pixels, and tiles of nothing but padding."""

import dataclasses
import random

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.geometry import Shape, input_span, split
from systolith_host.errors import SystolithError
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.networks import random_input
from systolith_host.network.qgraph import QConv, QGraph, QMaxPool, QTensor
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]


def network(height, width, kernel, padding, channels=4, stride=(1, 1), dilation=(1, 1)):
    sides = [
        (side + sum(pads) - d * (k - 1) - 1) // s + 1
        for side, pads, d, k, s in zip(
            (height, width), (padding[:2], padding[2:]), dilation, kernel, stride, strict=True
        )
    ]
    tensors = {
        "x": QTensor("x", (channels, height, width), True, 1.0, 77),
        "y": QTensor("y", (6, *sides), False, 1.0, -5),
    }
    weight = np.random.default_rng(4).integers(-127, 128, (6, channels, *kernel)).astype(np.int8)
    layer = QConv(
        name="c",
        input="x",
        output="y",
        kind="conv",
        weight=weight,
        bias=np.arange(6, dtype=np.int32),
        multiplier=np.full(6, 3000),
        shift=np.full(6, 21),
        low=-128,
        high=127,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    return QGraph("net", tensors, (layer,), "x", "y")


def check(graph, config, batch=1):
    images = random_input(random.Random(1), graph, batch)
    program = compile_network(graph, config, batch)
    run_exactly(program, graph, images)


@pytest.mark.parametrize(
    ("first", "count", "expected"),
    [
        (0, 4, (0, 5, 1, 0, 0)),  # rows -1 to 4
        (1, 2, (0, 4, 0, 0, 0)),  # rows 0 to 3
        (5, 3, (4, 4, 0, 1, 0)),  # rows 4 to 8, of which 8 is padding
        (0, 8, (0, 8, 1, 1, 0)),
    ],
)
def test_a_span_has_its_halo_and_padding(first, count, expected):
    operation = lower(network(8, 8, (3, 3), (1, 1, 1, 1)), TINY)[0]
    span = input_span(operation, 0, first, count, TINY)
    assert dataclasses.astuple(span) == expected
    assert span.size == count + 2


def test_a_packed_span_starts_at_a_word():
    operation = lower(network(8, 12, (3, 3), (1, 1, 1, 1), channels=2), TINY)[0]
    assert operation.pixel_bytes == 2
    span = input_span(operation, 1, 4, 4, TINY)
    assert (span.start, span.skip) == (2, 1)
    assert input_span(operation, 0, 4, 4, TINY).start == 3


@pytest.mark.parametrize("first", [0, 1, 8, 9])
def test_a_span_of_padding_alone_still_reads_a_pixel(first):
    operation = lower(network(4, 4, (1, 1), (4, 4, 4, 4)), TINY)[0]
    span = input_span(operation, 0, first, 2, TINY)
    assert span.length == 1
    assert span.start - span.before + span.skip == first - 4


def test_blocks_are_counted_in_rows_columns_and_memory_words():
    config = dataclasses.replace(
        TINY, rows=8, cols=4, act_depth=1024, weight_depth=512, param_depth=64
    )
    operation = lower(network(8, 8, (3, 3), (1, 1, 1, 1), channels=13), config)[0]
    assert Shape.of(operation, config) == Shape(2, 2, 4, 2)


def test_split_leaves_the_rest_to_the_last():
    assert split(7, 3) == [(0, 3), (3, 3), (6, 1)]


@pytest.mark.parametrize("acc_depth", [4, 10, 64])
def test_padding_wider_than_the_kernel_is_computed_exactly(acc_depth):
    config = dataclasses.replace(TINY, acc_depth=acc_depth)
    check(network(4, 4, (1, 1), (5, 3, 4, 6)), config)
    check(network(4, 3, (3, 2), (5, 3, 4, 6), channels=2), config, 2)


def test_wide_images_are_cut_into_columns():
    config = dataclasses.replace(TINY, act_depth=128, acc_depth=16)
    check(network(3, 90, (3, 3), (1, 1, 1, 1)), config)
    check(network(3, 90, (3, 5), (1, 1, 2, 2), channels=1, dilation=(1, 2)), config)


def test_kernels_beyond_the_weight_buffer_are_cut():
    config = dataclasses.replace(TINY, weight_depth=20)
    check(network(9, 9, (7, 7), (3, 3, 3, 3), channels=9), config)


def test_padding_beyond_an_instruction_is_refused():
    graph = network(4, 4, (1, 1), (300, 0, 0, 0))
    with pytest.raises(SystolithError, match=r"^c: padding of 300 exceeds the 255"):
        compile_network(graph, PRESETS["large"])


def test_a_pool_over_all_of_the_image_is_computed_exactly():
    tensors = {
        "x": QTensor("x", (9, 7, 7), False, 1.0, 3),
        "y": QTensor("y", (9, 1, 1), False, 1.0, 3),
    }
    graph = QGraph("net", tensors, (QMaxPool("p", "x", "y", (7, 7), (7, 7)),), "x", "y")
    check(graph, TINY, 2)
