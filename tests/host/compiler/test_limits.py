"""Schedules that would be too long to compile and to run are refused before the work starts."""

from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.errors import SystolithError
from systolith_host.network.qgraph import QConv, QGraph, QMaxPool, QTensor
from systolith_hw.spec.config import AcceleratorConfig

SMALL = AcceleratorConfig(
    name="small",
    rows=2,
    cols=2,
    act_depth=16,
    weight_depth=8,
    param_depth=8,
    acc_depth=4,
    post_lanes=1,
    out_depth=32,
    bus_bytes=8,
    burst_beats=4,
)


def test_a_layer_of_too_many_convs_is_refused_with_their_number():
    tensors = {
        "in": QTensor("in", (32, 64, 64), False, 1.0, 0),
        "out": QTensor("out", (32, 64, 64), False, 1.0, 0),
    }
    ones = np.ones(32, np.int64)
    layer = QConv(
        name="wide",
        input="in",
        output="out",
        kind="conv",
        weight=np.ones((32, 32, 3, 3), np.int8),
        bias=np.zeros(32, np.int32),
        multiplier=ones,
        shift=ones,
        low=-128,
        high=127,
        padding=(1, 1, 1, 1),
    )
    qgraph = QGraph("one", tensors, (layer,), "in", "out")
    told = []
    message = (
        r"^wide: takes [\d,]+ CONVs on this accelerator, the limit is 200,000; .*; "
        r"build with acc_depth (\d+) and .*act_depth (\d+)$"
    )
    with pytest.raises(ShortageError, match=message):
        compile_network(qgraph, SMALL, progress=lambda *what: told.append(what))
    assert told == [("wide", 0, 1)]


def test_what_is_told_of_several_buffers_does_together_and_none_may_be_less(monkeypatch):
    for module in ("compile", "schedule.work"):
        monkeypatch.setattr(f"systolith_host.compiler.{module}.MOST_STEPS", 300)
    tensors = {
        "in": QTensor("in", (8, 12, 12), False, 1.0, 0),
        "out": QTensor("out", (8, 12, 12), False, 1.0, 0),
    }
    ones = np.ones(8, np.int64)
    weight = np.ones((8, 8, 3, 3), np.int8)
    layer = QConv("wide", "in", "out", "conv", weight, 0 * ones, ones, ones, -128, 127)
    qgraph = QGraph("one", tensors, (replace(layer, padding=(1, 1, 1, 1)),), "in", "out")
    with pytest.raises(ShortageError, match=r"; build with \w+ \d+ and ") as refused:
        compile_network(qgraph, SMALL)
    fields = {change.field: change.value for change in refused.value.changes}
    compile_network(qgraph, replace(SMALL, **fields))
    for field, value in fields.items():
        with pytest.raises(ShortageError):
            compile_network(qgraph, replace(SMALL, **{**fields, field: value - 1}))


def test_what_is_missing_is_said_in_bytes_of_the_buffer():
    tensors = {
        "in": QTensor("in", (2, 9, 9), False, 1.0, 0),
        "out": QTensor("out", (1, 3, 3), False, 1.0, 0),
    }
    one = np.ones(1, np.int64)
    weight = np.ones((1, 2, 7, 7), np.int8)
    layer = QConv("big", "in", "out", "conv", weight, 0 * one, one, one, -128, 127)
    qgraph = QGraph("one", tensors, (layer,), "in", "out")
    config = replace(SMALL, act_depth=40)
    message = (
        "^big: no tile of its 2 channels and 7x7 kernel fits; the activation buffer has 80 bytes "
        "and needs 18 more; build with act_depth 49$"
    )
    with pytest.raises(ShortageError, match=message):
        compile_network(qgraph, config)
    compile_network(qgraph, replace(config, act_depth=49))


def test_a_pool_says_how_many_accumulators_its_window_needs():
    tensors = {
        "in": QTensor("in", (1, 9, 9), False, 1.0, 0),
        "out": QTensor("out", (1, 3, 3), False, 1.0, 0),
    }
    qgraph = QGraph("one", tensors, (QMaxPool("p", "in", "out", (3, 3), (3, 3)),), "in", "out")
    message = (
        r"^p: a window of 3x3 exceeds the accumulators \(4 pixels\); the accumulator memory has "
        r"64 bytes and needs 80 more; build with acc_depth 9$"
    )
    with pytest.raises(ShortageError, match=message):
        compile_network(qgraph, SMALL)


def test_sums_that_are_too_wide_say_the_width_that_they_need():
    tensors = {
        "in": QTensor("in", (64, 1, 1), False, 1.0, 0),
        "out": QTensor("out", (1, 1, 1), False, 1.0, 0),
    }
    one = np.ones(1, np.int64)
    weight = np.full((1, 64, 1, 1), 127, np.int8)
    layer = QConv("sum", "in", "out", "conv", weight, 0 * one, one, one, -128, 127)
    qgraph = QGraph("one", tensors, (layer,), "in", "out")
    message = r"^sum: .* reach 1,040,384 and could overflow 20 bits; build with acc_width 21$"
    with pytest.raises(SystolithError, match=message):
        compile_network(qgraph, replace(SMALL, acc_width=20))
    compile_network(qgraph, replace(SMALL, acc_width=21))
