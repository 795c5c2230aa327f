"""The rough model: its passes and its traffic are those of the work."""

import random

from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.tables import BYTES, CYCLES, SIZE
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.compiler.schedule.work import TooManyStepsError, make_work
from systolith_host.cost.evaluate import places_of
from systolith_host.lab.fuzz.networks import random_config, random_qgraph
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.memory import Memory

TILED = (Buffer.ACT, Buffer.WEIGHT, Buffer.PARAM)
"""The buffers that hold parts of an operation; a function's table is loaded once."""


def rated(seed, count):
    """Yield operations, candidates, and the tables of their work."""
    rng = random.Random(seed)
    for _ in range(count):
        config, qgraph, batch = random_config(rng), random_qgraph(rng), rng.choice([1, 2, 3])
        for operation in lower(qgraph, config):
            addresses = places_of(qgraph, operation, config, batch)
            found = schedule_candidates(operation, config, batch, Memory(bytes_per_cycle=4.0))
            for schedule in rng.sample(found, min(len(found), 10)):
                try:
                    tables = make_work(operation, schedule, config, addresses).tables
                except TooManyStepsError:
                    continue
                yield operation, schedule, tables


def test_the_cycles_of_the_array_are_those_of_the_convs():
    checked = 0
    for operation, schedule, tables in rated(1, 40):
        cycles = tables.steps[:, CYCLES].sum()
        # Blocks at the end may reach fewer blocks of input channels than the others.
        assert schedule.compute_cycles >= cycles
        if not operation.reach and len(operation.inputs) == 1:
            assert schedule.compute_cycles == cycles
            checked += 1
    assert checked > 200


def test_traffic_is_that_of_the_loads_and_stores():
    exact = checked = 0
    for _, schedule, tables in rated(2, 40):
        assert schedule.write_bytes == tables.stores[:, BYTES].sum()
        read = sum(tables.items_of(buffer)[:, SIZE].sum() for buffer in TILED)
        assert schedule.read_bytes > 0.7 * read
        checked += 1
        exact += schedule.read_bytes == read
    assert checked > 400
    assert exact > 0.85 * checked
