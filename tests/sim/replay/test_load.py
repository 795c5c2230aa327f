"""LOADs in the replay: words a cycle, padding, and what they wait for."""

import pytest

from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.presets import PRESETS

CONFIG = PRESETS["tiny"]


@pytest.mark.parametrize(("buffer", "words"), [(Buffer.WEIGHT, 37), (Buffer.PARAM, 12)])
def test_each_word_of_weights_and_parameters_is_a_busy_cycle(run, made, buffer, words):
    done = run(made.load(buffer, 0, words))
    assert done.counts["LOAD busy"] == words
    gate, begin, end, acknowledged = done.times[0]
    assert 0 < gate < begin < end
    assert acknowledged == -1


def test_each_word_of_a_tile_is_a_busy_cycle_with_its_padding(run, made):
    pads = {"pad_top": 1, "pad_bottom": 2, "pad_left": 1, "pad_right": 3}
    fields = {"runs": 4, "run_pitch": 20, "planes": 3, "plane_pitch": 80, "rows": 4, "pixels": 5}
    done = run(made.load(Buffer.ACT, 0, 5, **fields, **pads))
    assert done.counts["LOAD busy"] == 3 * (1 + 4 + 2) * (1 + 5 + 3)


def test_a_slow_memory_leaves_time_between_words(run, made):
    words = 64
    beats = words * CONFIG.cols // CONFIG.bus_bytes
    done = run(made.load(Buffer.WEIGHT, 0, words), bytes_per_cycle=CONFIG.bus_bytes / 8)
    _, begin, end, _ = done.times[0]
    # Two words a beat: the last one follows the one before, the others wait for theirs.
    assert end - begin >= 8 * (beats - 1)
    assert done.counts["LOAD busy"] == words
    assert done.counts["LOAD wait_memory"] >= 8 * (beats - 1) - words


def test_a_tile_waits_for_the_conv_that_reads_what_it_overwrites(run, made):
    program = [
        made.load(Buffer.WEIGHT, 0, 8),
        made.load(Buffer.ACT, 0, 20),
        made.conv(20, 2, after_loaded_act=2, after_loaded_weight=1),
        made.load(Buffer.ACT, 0, 20, after_computed=1),
    ]
    done = run(*program)
    assert done.times[3, 0] > done.times[2, 2]
    assert done.counts["LOAD wait_compute"] > 0
