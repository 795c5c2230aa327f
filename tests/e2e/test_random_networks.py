"""Random networks on random configurations: the emulator's tensors are the golden model's."""

import random

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.networks import (
    random_config,
    random_input,
    random_qgraph,
)


@pytest.mark.requirement("NUM-2")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 3),
    fuse_pool=st.booleans(),
)
def test_emulator_equals_golden_model_and_misses_no_dependency(seed, batch, fuse_pool):
    rng = random.Random(seed)
    config = random_config(rng)
    qgraph = random_qgraph(rng, functions=bool(config.functions), mosaics=True)
    note(f"{config}")
    note(f"{[(type(layer).__name__, layer.name, layer.inputs) for layer in qgraph.layers]}")
    images = random_input(rng, qgraph, batch)
    try:
        program = compile_network(qgraph, config, batch, fuse_pool=fuse_pool)
    except ShortageError:
        # A tile of one output can be too much for the smallest buffers; nothing else may be.
        event("refused")
        return
    event("ran")
    run_exactly(program, qgraph, images)
