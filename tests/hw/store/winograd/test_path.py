"""The path of patches: its latency is what its blocks take, and what the specification says."""

import pytest

from systolith_hw.spec import timing
from systolith_hw.spec.presets import PRESETS
from systolith_hw.store.winograd.path import PatchPath


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_latency_of_a_strip_is_that_of_the_blocks(preset):
    config = PRESETS[preset]
    assert timing.strip_latency(config) == PatchPath.latency(config)
