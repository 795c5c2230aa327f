"""Area on AMD's FPGAs: the array's cells after synthesis, and how cells are counted."""

import json

import pytest

from systolith_host.errors import SystolithError
from systolith_host.fpga.synthesis import run_yosys
from systolith_host.fpga.xilinx import (
    FAMILIES,
    AreaReport,
    area,
    load_family,
    multiplier_use,
    synthesis_commands,
)
from systolith_hw.compute.mesh import Mesh
from systolith_hw.generate import component_rtlil
from systolith_hw.spec.presets import PRESETS
from systolith_sim.testing.configs import small_config


def synthesised(family, folder):
    """Return the cells of an array of 2x2, and how its DSPs are used."""
    text = component_rtlil(Mesh(small_config(2, 2)), "mesh")
    netlist = run_yosys(text, "mesh", folder, synthesis_commands("mesh", family))
    return netlist.cells, multiplier_use(json.loads(netlist.path.read_text()), family)


def test_a_cell_of_the_array_is_one_dsp_with_its_registers_and_its_sum(tmp_path):
    cells, use = synthesised(FAMILIES["xc7"], tmp_path)
    assert cells["DSP48E1"] == 4
    assert "CARRY4" not in cells
    assert use == {
        "all": 4,
        "input registers": 4,
        "product register": 4,
        "sum register": 4,
        "sum inside": 2,  # of the second row; the first adds to nothing
    }


def test_ultrascale_has_a_dsp_for_each_cell(tmp_path):
    cells, use = synthesised(FAMILIES["xcup"], tmp_path)
    assert cells["DSP48E2"] == use["all"] == 4


def test_cells_are_counted_by_what_they_take():
    cells = {
        "LUT6": 10,
        "LUT2": 3,
        "RAM32M": 2,
        "SRL16E": 1,
        "FDRE": 7,
        "FDSE": 1,
        "CARRY4": 9,
        "RAMB18E1": 3,
        "RAMB36E1": 2,
        "DSP48E1": 5,
    }
    assert area(cells, FAMILIES["xc7"]) == {"LUT": 22, "FF": 8, "DSP": 5, "block RAM": 3.5}
    assert area({"RAMB18E2": 1, "DSP48E2": 2}, FAMILIES["xcup"])["block RAM"] == 0.5
    assert area(cells, FAMILIES["xcup"])["DSP"] == 0


def test_registers_and_sums_inside_are_told_apart():
    def cell(register, c, pcin):
        parameters = {name: register for name in ("AREG", "BREG", "MREG", "PREG")}
        return {
            "type": "DSP48E1",
            "parameters": parameters,
            "connections": {"C": c, "PCIN": pcin},
        }

    cells = {
        "constants": cell("0" * 32, ["0", "1"], ["x"]),
        "sum": cell("0" * 31 + "1", [12, "0"], ["x"]),
        "chain": cell("0" * 30 + "10", ["0"], [7, 8]),
        "other": {"type": "LUT6", "parameters": {}, "connections": {}},
    }
    assert multiplier_use({"modules": {"top": {"cells": cells}}}, FAMILIES["xc7"]) == {
        "all": 3,
        "input registers": 2,
        "product register": 2,
        "sum register": 2,
        "sum inside": 2,
    }


def test_report_is_saved(tmp_path):
    need = {"LUT": 1.0, "FF": 2.0, "DSP": 3.0, "block RAM": 0.5}
    report = AreaReport(PRESETS["tiny"], FAMILIES["xc7"], need, {"all": 3}, {"LUT6": 1}, 1.0)
    report.save(tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert (saved["family"], saved["resources"], saved["multipliers"]) == ("xc7", need, {"all": 3})
    assert saved["config"]["name"] == "tiny"


def test_unknown_family_is_refused():
    with pytest.raises(SystolithError, match=r"^--family must be one of xc7, xcup, not 'spartan'$"):
        load_family("spartan")
