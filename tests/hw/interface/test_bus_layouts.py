"""Layouts on the way to the bus: what is longest fits, to the bit."""

import pytest

from systolith_hw.interface.bus_layouts import (
    beat_bits,
    burst_layout,
    region_layout,
    run_layout,
    write_beat_layout,
)
from systolith_hw.interface.layouts import address_bits
from systolith_hw.spec.isa import REGION_FIELDS
from systolith_sim.testing.configs import small_config


@pytest.mark.parametrize("bus_bytes", [4, 8, 32])
@pytest.mark.parametrize("addr_width", [16, 48])
def test_a_run_can_be_all_of_the_addresses(bus_bytes, addr_width):
    config = small_config(bus_bytes=bus_bytes, addr_width=addr_width, out_depth=256)
    layout = run_layout(config)
    # One byte into a beat, and as long as there are addresses: a beat more than bytes alone need.
    longest = (((1 << address_bits(config)) - 1) + (bus_bytes - 1) + (bus_bytes - 1)) // bus_bytes
    assert longest.bit_length() <= beat_bits(config) == layout["beats"].width
    assert layout["addr"].width == address_bits(config)
    assert 1 << layout["skip"].width == bus_bytes
    assert layout["end"].width == bus_bytes.bit_length()


def test_a_region_is_that_of_an_instruction_with_its_kind_of_words():
    config = small_config()
    assert list(region_layout(config, 3).members) == [*REGION_FIELDS, "kind"]
    assert [region_layout(config, kinds)["kind"].width for kinds in (1, 2, 3)] == [1, 1, 2]


def test_a_burst_has_axis_length_and_a_beat_a_strobe_a_byte():
    config = small_config(bus_bytes=8)
    assert burst_layout(config)["length"].width == 8
    assert burst_layout(config)["addr"].width == address_bits(config)
    layout = write_beat_layout(config)
    assert (layout["data"].width, layout["strb"].width) == (64, 8)
