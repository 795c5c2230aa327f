"""Schedules that would be too long to compile and to run are refused before the work starts."""

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.quantize.qgraph import QConv, QGraph, QTensor
from systolith_host.schedule import compile_network
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
    message = r"^wide: takes [\d,]+ CONVs on this accelerator, the limit is 200,000; build with a"
    with pytest.raises(SystolithError, match=message):
        compile_network(qgraph, SMALL, progress=lambda *what: told.append(what))
    assert told == [("wide", 0, 1)]
