"""Cuts: every output belongs to one tile, and its pixels are where the tile looks for them."""

import dataclasses
import itertools
import random

from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.cuts import make_cuts
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.lab.fuzz.networks import random_config, random_qgraph
from systolith_hw.spec.memory import Memory


def cases(seed, count):
    """Yield operations, configurations, batches, and schedules of each."""
    rng = random.Random(seed)
    for _ in range(count):
        config, batch = random_config(rng), rng.choice([1, 2, 3])
        for operation in lower(random_qgraph(rng), config):
            found = schedule_candidates(operation, config, batch, Memory(bytes_per_cycle=4))
            for schedule in rng.sample(found, min(len(found), 10)):
                yield operation, config, batch, schedule


def test_every_output_belongs_to_one_tile():
    for operation, config, batch, schedule in cases(3, 10):
        cuts = make_cuts(operation, schedule, config, batch)
        assert covered(cuts.images) == list(range(batch))
        assert covered((part.first, part.count) for part in cuts.columns) == list(
            range(operation.out_width)
        )
        assert covered((part.first, part.count) for part in cuts.rows) == list(
            range(operation.out_height)
        )
        assert (cuts.regions[0], cuts.regions[-1]) == (0, len(cuts.rows))
        assert cuts.tiles == len(cuts.images) * len(cuts.columns) * len(cuts.rows)


def covered(parts):
    return [first + number for first, count in parts for number in range(count)]


def test_a_tile_finds_its_first_pixel_in_its_span():
    checked = 0
    for operation, config, batch, schedule in cases(4, 10):
        if schedule.linear:
            continue
        cuts = make_cuts(operation, schedule, config, batch)
        for axis, parts in enumerate((cuts.rows, cuts.columns)):
            step = operation.window_stride[axis] * operation.stride[axis]
            for part in parts:
                first = part.first * step - operation.padding[axis]
                assert part.span.start - part.span.before + part.skip == first
                reached = (part.sums - 1) * operation.stride[axis] + operation.extent[axis]
                assert part.skip + reached <= part.span.size
                checked += 1
    assert checked > 300


def test_tiles_of_an_input_tile_that_stays_share_its_rows():
    stacked = [case for case in cases(5, 20) if case[3].stack > 1 and not case[3].linear]
    assert stacked
    for operation, config, batch, schedule in stacked:
        cuts = make_cuts(operation, schedule, config, batch)
        for first, end in itertools.pairwise(cuts.regions):
            assert len({part.span for part in cuts.rows[first:end]}) == 1
        alone = dataclasses.replace(schedule, stack=1, resident=False)
        parts = make_cuts(operation, alone, config, batch).rows
        assert [(part.first, part.count) for part in parts] == [
            (part.first, part.count) for part in cuts.rows
        ]
