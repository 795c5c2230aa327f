"""What the replay knows of instructions, next to counting bytes one by one."""

import numpy as np
import pytest

from systolith_hw.spec.isa import INSTRUCTION_BYTES, PARAM_BYTES, Buffer
from systolith_hw.spec.presets import PRESETS
from systolith_sim.replay.table import COLUMNS, make_table

CONFIG = PRESETS["tiny"]


def row(table, index=0):
    return dict(zip(COLUMNS, map(int, table.rows[index]), strict=True))


@pytest.mark.parametrize("address", [0, 3, 8, 21])
def test_beats_are_those_that_runs_touch(made, address):
    region = {"runs": 3, "run_pitch": 50, "planes": 2, "plane_pitch": 301}
    table = make_table([made.load(Buffer.WEIGHT, address, 5, **region)], CONFIG, 0)
    beats = 0
    for plane in range(2):
        for run in range(3):
            first = address + 301 * plane + 50 * run
            beats += len({byte // 8 for byte in range(first, first + 5 * CONFIG.cols)})
    assert table.read_beats["weights"] == beats
    assert row(table)["words"] == 30 == table.buffer_words["weights"]


def test_each_buffer_and_the_instructions_have_their_own_beats(made):
    program = [
        made.load(Buffer.PARAM, 0, 4),
        made.load(Buffer.WEIGHT, 0, 8, dest=8),
        made.load(Buffer.ACT, 0, 6),
        made.conv(6, passes=2),
        made.store(0, 6),
    ]
    table = make_table(program, CONFIG, 64)
    assert table.read_beats == {
        "parameters": 4 * PARAM_BYTES // 8,
        "weights": 8 * CONFIG.cols // 8,
        "activations": 6 * CONFIG.block // 8,
        "instructions": 5 * INSTRUCTION_BYTES // 8,
    }
    assert table.write_beats == 6 * CONFIG.block // 8
    assert table.buffer_words["weights"] == 16
    assert table.buffer_words["accumulators"] == 6
    assert (row(table, 3)["pixels"], row(table, 3)["passes"]) == (6, 2)


def test_padding_is_steps_without_memory(made):
    pads = {"pad_top": 1, "pad_bottom": 2, "pad_left": 1, "pad_right": 3}
    fields = {"run_words": 5, "runs": 4, "run_pitch": 20, "rows": 4, "pixels": 5}
    table = make_table([made.load(Buffer.ACT, 0, 5, **fields, **pads)], CONFIG, 0)
    tile = row(table)
    assert (tile["tile_rows"], tile["tile_columns"]) == (1 + 4 + 2, 1 + 5 + 3)
    assert (tile["body_top"], tile["body_bottom"]) == (1, 5)
    assert (tile["body_left"], tile["body_right"]) == (1, 6)
    assert table.buffer_words["activations"] == 7 * 9
    assert tile["words"] == 20


def test_a_program_without_instructions_has_a_table_without_rows():
    table = make_table([], CONFIG, 0)
    assert table.rows.shape == (0, len(COLUMNS))
    assert table.rows.dtype == np.int64


def test_winograd_has_sums_of_36_lanes_and_strips(made):
    patches = {"x_count": 6, "y_count": 6, "n_count": 3, "s_count": 2, "winograd": 1, "patches": 6}
    windows = {"dx_count": 6, "dy_count": 6, "x_count": 3, "y_count": 2, "winograd": 1}
    sizes = {"width": 10, "height": 6, "pool": 1}
    table = make_table(
        [made.conv(6, 5, **patches), made.store(0, 15, **windows, **sizes)], CONFIG, 0
    )
    assert table.buffer_words["accumulators"] == 36 * 6
    conv, store = row(table), row(table, 1)
    assert (conv["pixels"], conv["passes"], conv["patches"], conv["chunks"]) == (108, 10, 6, 5)
    assert (store["windows"], store["across"], store["down"]) == (6, 3, 2)
    assert (store["strip_words"], store["last_strip_words"]) == (5 * 2, 5 * 1)
