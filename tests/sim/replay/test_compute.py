"""CONVs in the replay: passes without a pause, and what they wait for."""

import pytest

from systolith_hw.spec import timing
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.presets import PRESETS

CONFIG = PRESETS["tiny"]


@pytest.mark.parametrize("pixels", [1, 4, 5, 6, 20])
@pytest.mark.parametrize("passes", [1, 2, 7])
def test_a_pass_takes_its_pixels_or_the_least_of_a_pass(run, made, pixels, passes):
    program = [
        made.load(Buffer.WEIGHT, 0, CONFIG.rows * passes),
        made.load(Buffer.ACT, 0, pixels),
        made.conv(pixels, passes, after_loaded_act=2, after_loaded_weight=1),
    ]
    done = run(*program)
    assert done.counts["COMPUTE busy"] == passes * pixels
    _, begin, end, _ = done.times[2]
    assert end - begin + 1 == (passes - 1) * max(pixels, CONFIG.least_pass) + pixels


def test_convs_follow_each_other_without_a_pause(run, made):
    loads = [made.load(Buffer.WEIGHT, 0, 8), made.load(Buffer.ACT, 0, 20)]
    convs = [made.conv(20, 2, after_loaded_act=2, after_loaded_weight=1) for _ in range(4)]
    done = run(*loads, *convs)
    ends, begins = done.times[2:5, 2], done.times[3:6, 1]
    assert (begins - ends == 1).all()


def test_the_last_sum_is_there_a_latency_after_the_last_pixel(run, made):
    program = [
        made.load(Buffer.WEIGHT, 0, 4),
        made.load(Buffer.ACT, 0, 9),
        made.conv(9, after_loaded_act=2, after_loaded_weight=1),
        made.conv(9, after_loaded_act=2, after_loaded_weight=1, after_drained=1),
        made.store(0, 9, after_computed=1),
    ]
    done = run(*program)
    # Seen by the gate in that cycle, and let through behind it.
    assert done.times[4, 0] - done.times[2, 2] == timing.compute_latency(CONFIG) + 2
    assert done.counts["COMPUTE wait_output"] > 0
    assert done.times[3, 0] > done.times[4, 2]
