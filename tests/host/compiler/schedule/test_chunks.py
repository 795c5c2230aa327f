"""Chunks: together they take every pass of a block of output channels once, in order."""

import random

from systolith_host.compiler.allocate import MemoryMap, place_of
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.chunks import find_chunks
from systolith_host.compiler.schedule.geometry import Shape
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.lab.fuzz.networks import random_config, random_qgraph
from systolith_hw.spec.memory import Memory


def found_chunks(seed, count):
    """Yield operations and configurations, and the chunks of some of their schedules."""
    rng = random.Random(seed)
    for _ in range(count):
        config, qgraph = random_config(rng), random_qgraph(rng)
        for operation in lower(qgraph, config):
            sources = tuple(
                place_of(qgraph.tensors[name], MemoryMap(), config, 1, operation.pixel_bytes)
                for name in operation.inputs
            )
            schedules = schedule_candidates(operation, config, 1, Memory(bytes_per_cycle=4))
            for schedule in rng.sample(schedules, min(len(schedules), 5)):
                yield operation, config, find_chunks(operation, schedule, config, sources)


def test_the_chunks_of_a_block_take_every_pass_once_in_order():
    for operation, config, chunks in found_chunks(1, 20):
        taps = operation.taps[0] * operation.taps[1]
        for first, end, _, _ in chunks.blocks:
            passes = [
                chunk.weight_pass + number
                for chunk in chunks.chunks[first:end]
                for number in range(chunk.passes)
            ]
            assert passes == sorted(set(passes))
            # Inputs with fewer channels than the largest have no passes for those they lack.
            assert passes[-1] < operation.weights.shape[1] * taps
            if len(operation.inputs) == 1 and not operation.reach:
                assert len(passes) == operation.weights.shape[1] * taps
        drained = chunks.blocks[:, 2]
        assert drained.sum() == Shape.of(operation, config).target_blocks
        assert (drained >= 1).all()


def test_equal_numbers_mean_equal_activations_and_weights():
    for _, _, chunks in found_chunks(2, 10):
        acts, weights = {}, {}
        for chunk, row in zip(chunks.chunks, chunks.table.tolist(), strict=True):
            assert acts.setdefault(row[0], (chunk.source, chunk.group)) == (
                chunk.source,
                chunk.group,
            )
            passes = (chunk.weight_pass, chunk.passes)
            assert weights.setdefault(row[1], passes) == passes
            assert row[2:] == [chunk.passes, *chunk.group, chunk.source]
        assert len(set(acts.values())) == len(acts) == chunks.act_keys
        assert len(set(weights.values())) == len(weights) == chunks.weight_keys
