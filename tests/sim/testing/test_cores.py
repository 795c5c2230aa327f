"""The bench of convolution cores: it reads what is there, and notices faults and hangs."""

import numpy as np
import pytest

from systolith_hw.compute.core import DirectCore
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.cores import contents, conv, only_busy, run_core

CONFIG = small_config(2, 4)


def a_row(**fields):
    return conv((6, 1, 1, 1, 1, 1), (1, 0, 0, 0, 0, 0), bank=1, clear=1, acc_base=3, **fields)


def test_each_column_is_read_back_from_its_bank_and_address():
    act, weight = contents(CONFIG, 4)
    banks, states, dones = run_core(DirectCore(CONFIG), [a_row(act_base=9)], (act, weight))
    assert np.array_equal(banks[1, 3:9], act[9:15] @ weight[:2])
    assert not banks[0].any()
    assert only_busy(states) == ["busy"] * 6
    assert len(dones) == 1


def test_a_fault_fails_the_run():
    with pytest.raises(AssertionError):
        run_core(DirectCore(CONFIG), [a_row(act_base=252)], contents(CONFIG, 4))


def test_a_hang_fails_the_run():
    with pytest.raises(AssertionError, match="have not ended after 200 cycles"):
        run_core(DirectCore(CONFIG), [a_row(after_drained=1)], contents(CONFIG, 4), limit=200)
