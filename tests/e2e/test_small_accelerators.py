"""Any network on any accelerator, down to 2x2 and some hundred bytes: it runs, or says why not.

SYSTOLITH_FUZZ says how many cases there are (`make fuzz` has thousands), SYSTOLITH_FUZZ_FIRST the
seed of the first one.
"""

import os
import random
from dataclasses import replace

import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.networks import (
    random_config,
    random_input,
    random_qgraph,
    random_small_config,
)

CASES = int(os.environ.get("SYSTOLITH_FUZZ", "40"))
FIRST = int(os.environ.get("SYSTOLITH_FUZZ_FIRST", "0"))


def compiled(qgraph, config, batch, fuse_pool):
    """Return the program, or what stands in its way."""
    try:
        return compile_network(qgraph, config, batch, fuse_pool=fuse_pool), None
    except ShortageError as error:
        return None, error


@pytest.mark.parametrize("seed", range(FIRST, FIRST + CASES))
def test_it_runs_exactly_or_says_the_smallest_change_with_which_it_does(seed):
    rng = random.Random(seed)
    config = random_small_config(rng) if rng.random() < 0.8 else random_config(rng)
    qgraph = random_qgraph(rng, functions=bool(config.functions), mosaics=True)
    batch, fuse_pool = rng.choice([1, 1, 2, 3]), rng.random() < 0.7
    images = random_input(rng, qgraph, batch)
    program = None
    while program is None:
        program, shortage = compiled(qgraph, config, batch, fuse_pool)
        if shortage is None:
            continue
        assert shortage.changes, shortage
        fields = {change.field: change.value for change in shortage.changes}
        for field, value in fields.items():
            assert value > getattr(config, field)
            assert f"{field} {value}" in str(shortage)
            # Without this change, or with a word less, it is not enough for that layer.
            almost = replace(config, **{**fields, field: value - 1})
            if almost != config:
                _, still = compiled(qgraph, almost, batch, fuse_pool)
                assert still is not None
                assert still.layer == shortage.layer
        config = replace(config, **fields)
    run_exactly(program, qgraph, images)
