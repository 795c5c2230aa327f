"""The timing that the specification states is the sum of what the gateware's blocks take."""

from dataclasses import replace

import pytest

from systolith_hw.compute.accumulator import AccumulatorColumn
from systolith_hw.compute.mesh import Mesh
from systolith_hw.compute.winograd.kernels import KernelSource
from systolith_hw.compute.winograd.patches import PatchSource
from systolith_hw.interface.core import DrainRead
from systolith_hw.load.tiles import TileWriter
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.spec import timing
from systolith_hw.spec.presets import PRESETS
from systolith_hw.store.lanes import PostLanes
from systolith_hw.store.lookup import Lookup
from systolith_hw.store.requantize import Requantizer
from systolith_sim.testing.configs import small_config


@pytest.mark.parametrize("preset", list(PRESETS))
def test_latency_of_the_core_is_that_of_its_blocks(preset):
    config = PRESETS[preset]
    sequencer = 2
    edge = SkewedMemory.LATENCY + Mesh.latency(config) - AccumulatorColumn.READ_LATENCY
    core = sequencer + edge + config.cols + AccumulatorColumn.UPDATE_LATENCY - 1
    assert timing.compute_latency(config) == core


@pytest.mark.parametrize("preset", list(PRESETS))
def test_latency_of_the_drain_is_that_of_its_blocks(preset):
    config = PRESETS[preset]
    assert timing.drain_latency(config) == PostLanes.latency(config) + 1
    assert timing.POST == DrainRead.LATENCY + Requantizer.LATENCY + 2
    with_tables = replace(config, functions=1)
    assert timing.drain_latency(with_tables) == PostLanes.latency(with_tables) + 1
    assert Lookup.LATENCY == timing.TABLE


def test_blocks_take_their_constants_from_the_specification():
    assert TileWriter.PREPARE_CYCLES == timing.TILE_PREPARE
    assert AccumulatorColumn.UPDATE_LATENCY == timing.ACCUMULATOR_UPDATE


def test_latencies_to_the_rings_are_those_of_their_blocks():
    assert PatchSource.LATENCY == timing.WINOGRAD_PATCH
    assert KernelSource.LATENCY == timing.WINOGRAD_KERNEL


@pytest.mark.parametrize("rows", [2, 5, 12, 32, 128])
@pytest.mark.parametrize("patches", [4, 14, 28, 57, 128])
def test_a_half_is_released_when_no_word_is_overwritten_before_it_is_read(rows, patches):
    config = small_config(rows, rows, winograd=patches, acc_depth=36 * patches)
    longest = max(patches, config.least_pass)
    for lag, released in (
        (timing.WINOGRAD_PATCH, timing.patch_release(config)),
        (timing.WINOGRAD_KERNEL + 2, timing.kernel_release(config)),
    ):

        def safe(release, lag=lag):
            return all(lag + k > (k - release) * longest for k in range(release, 36))

        assert 1 <= released < 36
        assert safe(released)
        assert released == 1 or not safe(released - 1)


@pytest.mark.parametrize(
    ("rows", "pixels", "passes", "cycles"),
    [(4, 9, 3, 27), (4, 2, 3, 15), (8, 2, 3, 24), (8, 8, 1, 8)],
)
def test_a_conv_takes_its_pixels_or_the_shortest_pass(rows, pixels, passes, cycles):
    assert timing.conv_cycles(pixels, passes, timing.least_pass(rows)) == cycles
