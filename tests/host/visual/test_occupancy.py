"""Buffers over time: never above the program's use, and empty in the end."""

from dataclasses import replace

import numpy as np

from systolith_host.compiler import compile_network
from systolith_host.cost.replay import replay_layer
from systolith_host.visual.occupancy import buffer_use
from systolith_host.visual.timeline import Timeline, modelled_timeline
from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_sim.memory.timing import MemoryTiming


def test_use_stays_below_high_water_marks_and_ends_empty(subject):
    program = compile_network(subject.qgraph, subject.config)
    config = subject.config
    word = {"activations": config.rows, "weights": config.cols, "parameters": 8}
    for layer in program.layers:
        marks = replay_layer(program, layer, MemoryTiming()).buffer_words
        timeline = modelled_timeline(program, layer, MemoryTiming())
        for one in buffer_use(timeline):
            assert 0 < one.peak <= one.capacity, (layer.name, one.name)
            assert one.used.min() >= 0
            assert one.used[-1] == 0
            assert (np.diff(one.cycles) > 0).all()
            if one.name in word:
                assert one.peak <= marks[one.name] * word[one.name]


def test_what_is_loaded_counts_until_it_has_been_read(data):
    load = {"addr": 0, "run_pitch": 0, "plane_pitch": 0}
    instructions = (
        Instruction(Opcode.LOAD, {**load, "buffer": Buffer.WEIGHT, "dest": 0, "run_words": 8}),
        Instruction(Opcode.LOAD, {**load, "buffer": Buffer.WEIGHT, "dest": 8, "run_words": 4}),
        Instruction(Opcode.CONV, {"weight_base": 0, "clear": 1, "s_count": 2}),
        Instruction(Opcode.CONV, {"weight_base": 8}),
        Instruction(Opcode.STORE, {**load}),
    )
    times = np.array(
        [[1, 2, 9, -1], [3, 10, 13, -1], [5, 10, 20, -1], [6, 21, 30, -1], [7, 40, 41, 60]]
    )
    timeline: Timeline = replace(data.timeline, instructions=instructions, times=times)
    cols, rows = timeline.config.cols, timeline.config.rows
    assert rows == 4  # so the first CONV reads 8 words, the second 4
    found = {one.name: one for one in buffer_use(timeline)}
    weights = dict(zip(found["weights"].cycles, found["weights"].used, strict=True))
    assert weights == {2: 8 * cols, 10: 12 * cols, 20: 4 * cols, 30: 0}
    sums = found["accumulators"]
    assert list(sums.cycles) == [10, 41]
    assert sums.used[0] == cols * timeline.config.acc_width // 8
