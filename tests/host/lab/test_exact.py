"""The comparison that tests of programs share: it notices what differs."""

import random
import re
from dataclasses import replace

import pytest

from systolith_host.compiler import compile_network
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.gather import dense_qgraph
from systolith_host.lab.fuzz.networks import random_input
from systolith_host.network.qgraph import QConv
from systolith_hw.spec.presets import PRESETS


def test_a_tensor_that_differs_is_named():
    rng = random.Random(1)
    qgraph = dense_qgraph(rng, outputs=9)
    images = random_input(rng, qgraph, 2)
    program = compile_network(qgraph, PRESETS["tiny"], 2)
    assert run_exactly(program, qgraph, images)[qgraph.output].shape == (2, 9, 1, 1)
    *others, last = qgraph.layers
    assert isinstance(last, QConv)
    other = replace(qgraph, layers=(*others, replace(last, bias=last.bias + 5000)))
    with pytest.raises(AssertionError, match=f"case 3: {re.escape(qgraph.output)}"):
        run_exactly(program, other, images, "case 3:")
