"""ECP5's forms of the primitives against their plain twins, in Icarus, cycle by cycle."""

import pytest
from amaranth.hdl import MemoryData, signed, unsigned

from systolith_hw.compute.mesh import Mesh
from systolith_hw.generate import Flavour, component_verilog
from systolith_hw.interface.layouts import PARAM_LAYOUT
from systolith_hw.primitives.ecp5 import Ecp5, dsp_sites
from systolith_hw.primitives.ecp5_blocks import block_rams
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.primitives.multiplier import Multiplier
from systolith_hw.spec.presets import PRESETS
from systolith_hw.store.requantize import Requantizer
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.equivalence import compare_forms


def compare(component, folder, drive, cycles, settle=4):
    """Return how many cycles differ between the plain and ECP5's form, and that form's text."""
    hard = component_verilog(component, "other", Flavour.PLAIN, platform=Ecp5())
    plain = component_verilog(component, "plain", Flavour.PLAIN)
    return compare_forms(component, plain, hard, folder, drive, cycles=cycles, settle=settle), hard


def test_every_product_of_two_int8_is_that_of_the_plain_multiplier(tmp_path):
    shapes = signed(8), signed(8)
    drive = "{a, b} = n[15:0];"
    wrong, text = compare(Multiplier(*shapes), tmp_path, drive, (1 << 16) + 4)
    assert wrong == 0
    assert text.count("MULT18X18D") == 1


@pytest.mark.parametrize(
    "shapes",
    [
        (unsigned(17), unsigned(16)),
        (signed(15), unsigned(16)),
        (signed(15), unsigned(18)),
        (unsigned(17), unsigned(18)),
        (signed(18), signed(18)),
        (unsigned(18), unsigned(18)),
        (signed(3), unsigned(1)),
    ],
)
def test_random_and_extreme_factors_of_other_shapes(tmp_path, shapes):
    drive = """
      case ($random(seed) & 3)
        0: a = {$random(seed)};
        1: a = {18{1'b1}};
        2: a = 1 << ($random(seed) & 31);
        3: a = ~(1 << ($random(seed) & 31));
      endcase
      case ($random(seed) & 3)
        0: b = {$random(seed)};
        1: b = {18{1'b1}};
        2: b = 1 << ($random(seed) & 31);
        3: b = ~(1 << ($random(seed) & 31));
      endcase"""
    wrong, text = compare(Multiplier(*shapes), tmp_path, drive, 8000)
    assert wrong == 0
    assert text.count("MULT18X18D") == 1


def test_factors_too_wide_for_the_part_are_left_to_the_tools():
    text = component_verilog(
        Multiplier(signed(19), signed(8)), "wide", Flavour.PLAIN, platform=Ecp5()
    )
    assert "MULT18X18D" not in text


@pytest.mark.parametrize(
    ("depth", "width", "blocks"),
    [
        (512, 32, 1),
        (96, 64, 2),
        (5, 36, 1),
        (1024, 18, 1),
        (1024, 32, 2),
        (2048, 8, 1),
        (4096, 8, 2),
        (8192, 3, 2),
        (16384, 8, 8),
    ],
)
def test_memory_gives_in_two_cycles_what_was_written(tmp_path, depth, width, blocks):
    memory = RegisteredMemory(MemoryData(shape=unsigned(width), depth=depth, init=[]))

    # Half of the accesses stay within a few words, so that much of what is read was written.
    drive = f"""
      w_addr = ($random(seed) & 1) ? ({{$random(seed)}} % 4) : {{$random(seed)}} % {depth};
      r_addr = ($random(seed) & 1) ? ({{$random(seed)}} % 4) : {{$random(seed)}} % {depth};
      w_data = {{$random(seed), $random(seed)}};
      w_en = $random(seed);
      if (w_addr == r_addr) w_en = 0;"""
    assert block_rams(depth, width) == blocks
    wrong, text = compare(memory, tmp_path, drive, 8000)
    assert wrong == 0
    assert text.count("DP16KD") == blocks


def test_a_memory_of_entries_is_one_of_their_bits(tmp_path):
    memory = RegisteredMemory(MemoryData(shape=PARAM_LAYOUT, depth=24, init=[]))
    drive = """
      w_addr = {$random(seed)} % 24;
      r_addr = {$random(seed)} % 24;
      w_data = {$random(seed), $random(seed)};
      w_en = $random(seed);
      if (w_addr == r_addr) w_en = 0;"""
    wrong, text = compare(memory, tmp_path, drive, 2000)
    assert wrong == 0
    assert text.count("DP16KD") == 2


def test_a_memory_deeper_than_a_block_is_left_to_the_tools():
    memory = RegisteredMemory(MemoryData(shape=unsigned(2), depth=16385, init=[]))
    assert "DP16KD" not in component_verilog(memory, "deep", Flavour.PLAIN, platform=Ecp5())


@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (3, 6)])
def test_a_mesh_gives_the_same_sums(tmp_path, rows, cols):
    config = small_config(rows=rows, cols=cols)
    drive = """
      act = {$random(seed), $random(seed), $random(seed)};
      weight = {$random(seed), $random(seed), $random(seed)};
      swap = n % 16 == 0;
      capture = n % 16 == 3;"""
    wrong, text = compare(Mesh(config), tmp_path, drive, 2000, settle=80)
    assert wrong == 0
    assert text.count(r"BEL = ") == rows * cols


def test_a_requantiser_gives_the_same_values(tmp_path):
    config = small_config(acc_width=32, multiplier_width=16)
    drive = r"""
      sum = $random(seed) >>> ($random(seed) & 31);
      param[31:0] = $random(seed) >>> ($random(seed) & 31);
      param[55:32] = {$random(seed)} & 24'hffff;
      param[63:56] = ({$random(seed)} % 50) + 1;
      \output = 24'h7f8003;"""
    wrong, text = compare(Requantizer(config), tmp_path, drive, 8000, settle=16)
    assert wrong == 0
    assert text.count("MULT18X18D") == 2


@pytest.mark.parametrize("width", [16, 18, 19, 20, 24])
def test_a_requantiser_takes_the_multipliers_that_are_counted(width, ecp5_netlist):
    config = small_config(rows=2, cols=2, post_lanes=1, multiplier_width=width)
    _, cells = ecp5_netlist(Requantizer(config))
    assert cells["MULT18X18D"] == config.dsps() - config.multipliers


def test_sites_of_an_array_are_different_and_exist():
    config = PRESETS["ecp5-85f"]
    platform = Ecp5("85F")
    sites = {
        platform.get_multiplier_site(row, col, config.rows, config.cols)
        for row in range(config.rows)
        for col in range(config.cols)
    }
    assert len(sites) == config.multipliers
    assert sites <= {site for row in dsp_sites("85F") for block in row for site in block}
    # Ten blocks' worth remain: the requantiser's multipliers stand there.
    assert sum(len(block) for row in dsp_sites("85F") for block in row) == 156


def test_an_array_too_large_for_the_floorplan_is_left_to_the_tools():
    assert Ecp5("85F").get_multiplier_site(0, 0, 16, 4) is None
    assert Ecp5("25F").get_multiplier_site(0, 0, 8, 8) is None
    assert Ecp5("85F", floorplan=False).get_multiplier_site(0, 0, 4, 4) is None


def test_unknown_sizes_are_refused():
    with pytest.raises(ValueError, match=r"^Ecp5 size must be one of 25F, 45F, 85F, not '12F'$"):
        Ecp5("12F")


def test_a_difference_is_found(tmp_path):
    component = Multiplier(signed(8), signed(8))
    plain = component_verilog(component, "plain", Flavour.PLAIN)
    other = component_verilog(
        Multiplier(signed(8), unsigned(8)), "other", Flavour.PLAIN, platform=Ecp5()
    )
    drive = "{a, b} = $random(seed);"
    wrong = compare_forms(component, plain, other, tmp_path, drive, cycles=100, settle=4)
    assert 20 < wrong < 80
