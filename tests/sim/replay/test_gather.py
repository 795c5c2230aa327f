"""The replay of layers that gather their weights: what must be there, and the order of it."""

import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.registers import ENGINE_STATES
from systolith_sim.replay.facts import make_facts
from systolith_sim.replay.kernel import COUNTS, replay
from systolith_sim.replay.table import COLUMNS, make_table
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.gathered import random_layer

CONFIG = small_config(4, 8, gather=256, act_depth=128, weight_depth=256, param_depth=64)


def run(layer, differs=None, **memory):
    """Return the table, the counts by name, and the times of a layer."""
    differs = layer.inputs != layer.zero if differs is None else differs
    table = make_table(layer.program(), layer.config, 4096, [differs])
    facts = make_facts(layer.config, Memory(**memory), 4096, len(table.rows), 1_000_000)
    done = replay(table, facts)
    counts = dict(zip(COUNTS, map(int, done.counts), strict=True))
    assert counts["cycles"] < 1_000_000
    for engine, states in ENGINE_STATES.items():
        assert sum(counts[f"{engine.name} {state}"] for state in states) == counts["cycles"]
    return table, counts, done.times


def layers(count, density=None, config=CONFIG):
    for seed in range(count):
        yield random_layer(random.Random(f"{seed} {density}"), config, density)


@pytest.mark.parametrize(("rows", "cols"), [(4, 8), (6, 3)])
def test_all_active_weights_are_read_and_used_once(rows, cols):
    config = small_config(rows, cols, gather=40 * min(rows, cols), act_depth=256, bus_bytes=4)
    for layer in layers(12, config=config):
        table, counts, times = run(layer, latency=7, bytes_per_cycle=3)
        assert counts["read_beats"] == sum(table.read_beats.values())
        assert counts["write_beats"] == table.write_beats
        words = -(-layer.active // rows)
        assert counts["COMPUTE busy"] == words * len(layer.weight) // cols
        active = layer.active * sum(blocks for _, blocks in layer.slices) * cols
        assert table.read_beats["weights"] * config.bus_bytes >= active
        assert (times[:, :3] >= 0).all()
        assert (np.diff(times[:, :3], axis=1) >= 0).all()


def test_fewer_active_inputs_never_take_longer():
    for layer in layers(4, 1):
        order = np.random.default_rng(1).permutation(layer.inputs.size)
        cycles = []
        for share in (1, 0.7, 0.4, 0.1):
            differs = np.zeros(layer.inputs.size, bool)
            differs[order[: round(share * len(order))]] = True
            cycles.append(run(layer, differs)[1]["cycles"])
        assert cycles == sorted(cycles, reverse=True)


def test_a_scan_without_active_bytes_takes_a_word_and_a_run_for_each_slice():
    (layer,) = layers(1, 0)
    table, counts, _ = run(layer)
    row = dict(zip(COLUMNS, table.rows[1], strict=True))
    assert row["words"] == row["unit_blocks"] == layer.slices[0][1]
    assert table.mask[:-1].tolist() == [0] * (layer.inputs.size - 1) + [2]
    assert counts["COMPUTE busy"] == len(layer.weight) // CONFIG.cols


def test_a_mask_is_looked_at_bit_by_bit_every_two_cycles():
    (layer,) = layers(1, 0)
    _, _, times = run(layer)
    gathers = [n for n, one in enumerate(layer.program()) if one.fields.get("gather")]
    for number in (n for n in gathers if layer.program()[n].opcode is Opcode.LOAD):
        assert times[number, 2] - times[number, 0] > 2 * layer.inputs.size


def test_the_load_waits_for_free_units_and_more_of_them_take_less_time():
    (layer,) = layers(1, 1)
    layer = replace(layer, blocks=2, units=1, weight_dest=0, act_dest=0)
    found = [run(replace(layer, units=units))[1] for units in (1, 2, 4)]
    waits = [counts["LOAD wait_compute"] for counts in found]
    assert waits[0] > waits[1]
    assert found[0]["cycles"] > found[1]["cycles"] >= found[2]["cycles"]


def test_masks_and_runs_that_do_not_fit_are_refused():
    (layer,) = layers(1)
    with pytest.raises(ValueError, match=r"^the mask of a scan of \d+ bytes has the shape \(3,\)$"):
        run(layer, np.ones(3, bool))
    program = layer.program()[1:]
    with pytest.raises(ValueError, match=r"^a scan of 0 bytes has \d+ runs of weights$"):
        make_table(program, CONFIG, 0)


def test_each_scan_has_its_own_part_of_the_mask():
    layer = next(layers(1))
    differs = layer.inputs != layer.zero
    both = [differs, ~differs]
    table = make_table([*layer.program(), *layer.program()], layer.config, 4096, both)
    first_bits = table.rows[:, COLUMNS.index("first_bit")].reshape(2, -1)
    gathers = first_bits[1] != first_bits[0]
    assert set(first_bits[0]) == {0}
    assert set(first_bits[1][gathers]) == {len(differs)}
    assert gathers.sum() == sum(
        bool(one.fields.get("scan") or (one.opcode is Opcode.LOAD and one.fields.get("gather")))
        for one in layer.program()
    )
    for part, first in zip(both, (0, len(differs)), strict=True):
        assert table.mask[first : first + len(differs)].astype(bool).tolist() == part.tolist()
