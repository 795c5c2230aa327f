"""The signature of convolution cores: what any of them has, and what the direct one keeps."""

import pytest

from systolith_hw.compute.accumulator import AccumulatorColumn
from systolith_hw.compute.core import DirectCore
from systolith_hw.interface.core import (
    ConvCoreSignature,
    DrainRead,
    accumulate_layout,
    drain_layout,
)
from systolith_hw.interface.layouts import PARAM_LAYOUT
from systolith_hw.spec.isa import PARAM_BYTES
from systolith_sim.testing.configs import small_config


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_the_direct_core_complies(lanes):
    config = small_config(rows=4, cols=4, post_lanes=lanes)
    core = DirectCore(config)
    signature = ConvCoreSignature(config)
    assert core.signature.members == signature.members
    assert signature.is_compliant(core)


def test_sums_come_as_late_as_promised():
    # The choice among groups of lanes takes a cycle behind the columns.
    assert DrainRead.LATENCY == AccumulatorColumn.READ_LATENCY + 1


def test_addresses_reach_all_of_a_bank():
    config = small_config(acc_depth=24)
    for layout in (accumulate_layout(config), drain_layout(config)):
        assert 1 << layout["addr"].width == 32
        assert layout["bank"].width == 1


def test_a_parameter_entry_is_as_long_as_in_memory():
    assert PARAM_LAYOUT.size == PARAM_BYTES * 8
