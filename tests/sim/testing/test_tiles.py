"""The two references of a Winograd CONV agree: lanes with the output transform, and plain sums."""

import numpy as np
import pytest

from systolith_hw.spec.isa import Instruction, Opcode
from systolith_hw.spec.legal import broken_rule
from systolith_sim.testing.cores import contents
from systolith_sim.testing.tiles import direct_sums, from_lanes, lane_sums, tile, winograd_config


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (1, 3, 2)])
def test_lanes_give_the_plain_convolution_and_the_instruction_is_legal(shape):
    config = winograd_config(4, 2, 6)
    job = tile(shape, 3, act_base=5, weight_base=2, acc_base=1, bank=0, clear=1)
    assert broken_rule(Instruction(Opcode.CONV, job["fields"]), config) is None
    act, weight = contents(config, 1)
    plain = direct_sums(job, act, weight)
    assert np.array_equal(from_lanes(job, lane_sums(job, act, weight)), plain)
    # One sum by hand: image, row and column of the last pixel.
    images, down, across = shape
    tall, wide = 4 * down + 2, 4 * across + 2
    total = 0
    for chunk in range(3):
        for tap in range(9):
            y, x = 4 * down - 1 + tap // 3, 4 * across - 1 + tap % 3
            word = 5 + ((chunk * images + images - 1) * tall + y) * wide + x
            block = weight[2 + (chunk * 9 + tap) * 4 :][:4]
            total += int(act[word] @ block[:, 1])
    assert plain[-1, -1, -1, 1] == total
