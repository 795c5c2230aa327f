"""Accesses to the memories on the chip: counted by hand, and as the emulator makes them."""

from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.flow.load import shape_network
from systolith_host.program.instructions import layer_instructions
from systolith_hw.spec.isa import Buffer, Opcode
from systolith_hw.spec.presets import PRESETS
from systolith_sim.emulator.engines import Engines
from systolith_sim.replay.accesses import count_accesses, memories_of
from systolith_sim.replay.table import make_table

TINY = PRESETS["tiny"]
WINOGRAD = replace(TINY, name="tiny-winograd", acc_depth=256, acc_width=30, winograd=6)


def test_a_few_instructions_by_hand(made):
    program = [
        made.load(Buffer.PARAM, 0, 8),
        made.load(Buffer.WEIGHT, 0, 3 * TINY.rows),
        made.load(Buffer.ACT, 0, 6, pad_left=1, pad_right=1),
        made.conv(6, passes=3),
        made.store(0, 6),
    ]
    counts = count_accesses(make_table(program, TINY, 64), TINY)
    assert counts.products == 3 * 6 * TINY.rows * TINY.cols
    assert counts.lane_products == 0
    # Words of banks: an activation word has one in each row's bank.
    assert counts.writes == {
        "activations": (6 + 2) * TINY.block,
        "weights": 3 * TINY.rows * TINY.cols,
        "parameters": 8,
        "accumulators": 3 * 6 * TINY.cols,
        "outputs": 6,
    }
    assert counts.reads == {
        "activations": 3 * 6 * TINY.rows,
        "weights": 3 * TINY.rows * TINY.cols,
        "parameters": 6 * TINY.block,
        "accumulators": 3 * 6 * TINY.cols + 6 * TINY.block,
        "outputs": 6,
    }


def test_patches_take_36_products_and_a_scan_writes_active_bytes_only(made):
    patches = {"x_count": 6, "y_count": 6, "n_count": 2, "s_count": 1, "c_count": 2}
    conv = made.conv(0, **patches, winograd=1, patches=2)
    counts = count_accesses(make_table([conv], WINOGRAD, 0), WINOGRAD)
    each = 36 * 2 * 2
    assert counts.lane_products == each * WINOGRAD.rows * WINOGRAD.cols
    assert counts.reads["activations"] == each * WINOGRAD.rows == counts.reads["patches"]
    assert counts.reads["weights"] == 2 * 9 * WINOGRAD.rows * WINOGRAD.cols
    assert counts.writes["kernels"] == 2 * 36 * WINOGRAD.rows * WINOGRAD.cols
    assert counts.writes["accumulators"] == each * WINOGRAD.cols

    config = replace(TINY, name="tiny-gather", gather=1024)
    scan = made.load(Buffer.ACT, 0, 5, scan=1)
    mask = np.zeros(5 * config.block, bool)
    mask[::3] = True
    counts = count_accesses(make_table([scan], config, 0, [mask]), config)
    assert counts.writes["activations"] == -(-mask.sum() // config.rows) * config.rows


@pytest.mark.parametrize("config", [TINY, WINOGRAD], ids=lambda config: config.name)
def test_a_networks_accesses_are_those_that_the_emulator_makes(config):
    program = compile_network(shape_network("mini"), config, 2)
    memory = np.zeros(program.memory_size, np.uint8)
    for address, data in program.segments:
        memory[address : address + data.size] = data
    engines = Engines(config, memory)
    engines.window = (0, memory.size)
    for layer in program.layers:
        instructions = layer_instructions(program, layer)
        reads = dict.fromkeys(["activations", "weights"], 0)
        writes = dict.fromkeys(["activations", "weights", "parameters"], 0)
        engines.start()
        for one in instructions:
            run = {Opcode.LOAD: engines.load, Opcode.CONV: engines.conv}.get(one.opcode)
            access = (run or engines.store)(one)
            for name, words in access.writes.items():
                width = {"act": config.block, "weight": config.cols, "param": 1}[name]
                full = {"act": "activations", "weight": "weights", "param": "parameters"}[name]
                writes[full] += len(words) * width
            if one.opcode == Opcode.CONV:
                reads["activations"] += len(access.reads["act"]) * config.rows
                reads["weights"] += len(access.reads["weight"]) * config.cols
        counts = count_accesses(make_table(instructions, config, 0), config)
        assert {name: counts.reads[name] for name in reads} == reads, layer.name
        assert {name: counts.writes[name] for name in writes} == writes, layer.name
        used = counts.products + counts.lane_products
        assert used == (counts.writes["accumulators"] * config.rows), layer.name


def test_memories_are_those_of_the_configuration():
    small = memories_of(TINY)
    assert small["activations"].bytes == TINY.act_depth * TINY.rows
    assert small["weights"].bank_bytes == TINY.weight_depth
    assert small["parameters"].bytes == 8 * TINY.param_depth
    assert small["accumulators"].bytes == 2 * TINY.cols * TINY.acc_depth * TINY.acc_width / 8
    assert set(memories_of(WINOGRAD)) - set(small) == {"patches", "kernels"}
    rings = sum(memories_of(WINOGRAD)[name].bytes for name in ("patches", "kernels"))
    staged = WINOGRAD.strip_words * WINOGRAD.block
    assert WINOGRAD.transformed_bytes - staged == pytest.approx(rings, abs=1)
