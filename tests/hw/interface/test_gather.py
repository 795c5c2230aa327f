"""Interfaces of gathering: both engines offer them, and only where the configuration gathers."""

from amaranth.lib.wiring import In, Out

from systolith_hw.compute.core import DirectCore
from systolith_hw.interface.gather import ACTIVE_LAYOUT, Gathering, MaskWrite
from systolith_hw.load.engine import LoadEngine
from systolith_hw.load.scan import ScanWriter
from systolith_hw.spec.check import MOST_INPUTS
from systolith_sim.testing.configs import small_config


def test_only_engines_of_configurations_that_gather_have_the_credits():
    config = small_config(gather=64)
    assert LoadEngine(config).signature.members["gathering"] == Out(Gathering())
    assert DirectCore(config).signature.members["gathering"] == In(Gathering())
    for engine in (LoadEngine(small_config()), DirectCore(small_config())):
        assert "gathering" not in engine.signature.members


def test_counts_hold_all_inputs_of_the_largest_configuration():
    assert all(
        ACTIVE_LAYOUT[name].width == MOST_INPUTS.bit_length() for name in ("inputs", "words")
    )


def test_a_mask_has_a_bit_for_each_byte_of_a_memory_word():
    config = small_config(8, 4, gather=40)
    mask = ScanWriter(config).mask
    assert MaskWrite(config).is_compliant(mask)
    assert (len(mask.data), len(mask.addr)) == (4, (config.mask_words - 1).bit_length())
