"""Waveforms as FST, read by another reader, and the view of them."""

from importlib import import_module
from typing import Any

import pytest

from systolith_host.errors import SystolithError
from systolith_host.runtime.rtl.waves import Signal, convert, write_view

VCD = """\
$timescale 1ps $end
$scope module tb_top $end
$var wire 1 # clk $end
$var wire 4 $ m_axi_araddr [3:0] $end
$scope module dut $end
$var wire 4 $ alias [3:0] $end
$upscope $end
$upscope $end
$enddefinitions $end
#5000
0#
b1x $
#10000
1#
b1010 $
"""


def test_values_times_and_aliases_are_kept(tmp_path):
    vcd, fst = tmp_path / "a.vcd", tmp_path / "a.fst"
    vcd.write_text(VCD)
    signals = convert(vcd, fst)
    assert signals == [
        Signal("tb_top.clk", 1),
        Signal("tb_top.m_axi_araddr", 4),
        Signal("tb_top.dut.alias", 4),
    ]
    pywellen: Any = import_module("pywellen")  # it has no types
    found = {each.full_name: list(each.tv) for each in pywellen.Waveform(str(fst)).all_vars()}
    assert found["tb_top.clk"] == [(5000, 0), (10000, 1)]
    assert found["tb_top.m_axi_araddr"] == [(5000, "001x"), (10000, 10)]
    assert found["tb_top.dut.alias"] == found["tb_top.m_axi_araddr"]
    write_view(tmp_path / "a.gtkw", fst, signals)
    lines = (tmp_path / "a.gtkw").read_text().splitlines()
    assert lines[0] == '[dumpfile] "a.fst"'
    assert "tb_top.clk" in lines
    assert lines[lines.index("-reads") + 1 :][:2] == ["@22", "tb_top.m_axi_araddr[3:0]"]


def test_what_cannot_be_read_or_written_is_named(tmp_path):
    vcd = tmp_path / "a.vcd"
    with pytest.raises(SystolithError, match=r"a\.vcd: No such file"):
        convert(vcd, tmp_path / "a.fst")
    vcd.write_text(VCD[:60])
    with pytest.raises(SystolithError, match=r"a\.vcd: is no VCD file, or ends within its header"):
        convert(vcd, tmp_path / "a.fst")
    with pytest.raises(SystolithError, match=r"none/a\.fst: No such file"):
        convert(vcd, tmp_path / "none" / "a.fst")
