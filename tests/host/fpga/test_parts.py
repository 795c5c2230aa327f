"""Parts: their resources, and their refusals."""

import pytest

from systolith_host.errors import SystolithError
from systolith_host.fpga.parts import PARTS, RESOURCES, check_fits, load_part
from systolith_host.fpga.synthesis import resources
from systolith_hw.primitives.ecp5 import SIZES, dsp_sites


def test_every_part_names_all_resources_and_a_known_size():
    for name, part in PARTS.items():
        assert part.name == name
        assert tuple(part.resources) == RESOURCES
        assert part.size in SIZES
        sites = sum(len(block) for row in dsp_sites(part.size) for block in row)
        assert sites in (0, part.resources["DSP"])


def test_an_unknown_part_is_refused_with_those_there_are():
    with pytest.raises(
        SystolithError, match=r"^part must be one of lfe5u-85f-6, .*, not 'xc7z020'$"
    ):
        load_part("xc7z020")


def test_a_design_that_fits_exactly_passes():
    part = load_part("lfe5u-85f-6")
    check_fits("full", part.resources, part)


def test_each_short_resource_is_named_with_need_and_what_there_is():
    part = load_part("lfe5u-25f-6")
    with pytest.raises(
        SystolithError,
        match=r"^big does not fit lfe5u-25f-6: 144 DSP needed, 28 there; "
        r"1,000 block RAM needed, 56 there$",
    ):
        check_fits("big", {"LUT": 24288, "FF": 1, "DSP": 144, "block RAM": 1000}, part)


def test_cells_are_counted_as_resources():
    cells = {"LUT4": 100, "CCU2C": 10, "TRELLIS_DPR16X4": 3, "TRELLIS_FF": 7, "DP16KD": 2}
    assert resources(cells) == {"LUT": 138, "FF": 7, "DSP": 0, "block RAM": 2}
