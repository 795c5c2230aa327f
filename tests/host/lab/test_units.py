"""Units of Winograd's convolution alone: their table, and one of them through the real tools."""

import pytest
from rich.console import Console

from systolith_host.cli.views.fpga import unit_table
from systolith_host.errors import SystolithError
from systolith_host.fpga.parts import load_part
from systolith_host.fpga.tools import find_tool
from systolith_host.lab.units import Unit, measure_units, unit_names
from systolith_sim.testing.configs import small_config

PART = load_part("lfe5u-85f-6")


def measure(config, folder, names):
    return measure_units(
        config, PART, folder, mhz=50, seed=1, limit=600, names=names, stage=lambda text: None
    )


def test_the_table_has_a_row_for_each_unit():
    used = {"LUT": 1234, "FF": 99, "DSP": 0, "block RAM": 2}
    found = [Unit(name, used, 123.45, ("a.b", "c")) for name in unit_names()]
    console = Console(width=120)
    with console.capture() as capture:
        console.print(unit_table(found))
    lines = capture.get().splitlines()
    assert lines[0].split() == "unit LUT FF DSP block RAM MHz critical path".split()
    assert [line.split()[0] for line in lines[1:]] == unit_names()
    assert lines[1].split()[1:] == "1,234 99 0 2 123.5 a.b > c".split()


def test_a_configuration_without_these_units_is_refused(tmp_path):
    config = small_config()
    with pytest.raises(SystolithError, match=r"has no Winograd units: take one with winograd"):
        list(measure(config, tmp_path, unit_names()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fpga
def test_a_unit_is_synthesised_placed_and_routed_alone(tmp_path):
    try:
        find_tool(PART.placer.tool)
    except SystolithError as error:
        pytest.skip(str(error))
    config = small_config(4, 4, post_lanes=2, winograd=4, acc_depth=144)
    (unit,) = measure(config, tmp_path, ["PatchPool"])
    # Eight bits of six values, the place in the patch three times, and what goes with it.
    assert 90 <= unit.used["FF"] <= 110
    assert (unit.used["DSP"], unit.used["block RAM"]) == (0, 0)
    assert 0 < unit.used["LUT"] < 300
    assert unit.mhz > 50
    assert unit.path
