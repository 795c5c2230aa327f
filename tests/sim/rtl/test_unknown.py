"""The Verilog without initial values, and the watch for unknown values."""

import re

import pytest

from systolith_hw.generate import Flavour
from systolith_hw.spec.presets import PRESETS
from systolith_sim.rtl.simulator import simulation_verilog
from systolith_sim.rtl.unknown import (
    random_start,
    with_products_of_zero,
    with_watch,
    without_initial_values,
)

TINY = PRESETS["tiny"]


@pytest.mark.parametrize("flavour", [Flavour.PLAIN, Flavour.SIMULATION])
def test_no_register_and_no_memory_has_an_initial_value(flavour):
    verilog = simulation_verilog(TINY, flavour)
    bare = without_initial_values(verilog)
    registers = re.compile(r"^\s*(?:output )?reg\b.*$", re.MULTILINE)
    assert len(registers.findall(bare)) == len(registers.findall(verilog))
    assert any("=" in line for line in registers.findall(verilog))
    assert not any("=" in line for line in registers.findall(bare))
    assert "initial" not in bare
    # Nothing else changes.
    rest = registers.sub("", re.sub(r"^\s*initial for.*\n", "", verilog, flags=re.MULTILINE))
    assert registers.sub("", bare) == rest


def test_text_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="written in another way"):
        without_initial_values("module accelerator;\nendmodule\n")
    with pytest.raises(ValueError, match="written in another way"):
        without_initial_values("reg a = 1'h0;\n initial begin a = 0; end\n")
    with pytest.raises(ValueError, match="no module other"):
        with_watch("module accelerator;\nendmodule\n", TINY, "other")


@pytest.mark.parametrize("name", ["tiny", "default"])  # the second one gathers
def test_products_alone_are_changed(name):
    verilog = simulation_verilog(PRESETS[name], Flavour.PLAIN)
    changed = with_products_of_zero(verilog).splitlines()
    assert len(changed) == len(verilog.splitlines())
    pairs = [pair for pair in zip(verilog.splitlines(), changed, strict=True) if len(set(pair)) > 1]
    assert len(pairs) > PRESETS[name].rows * PRESETS[name].cols
    for line, product in pairs:
        target, text = line.rstrip(";").split(" = ")
        first, second = text.split(" * ")
        assert product == f"{target} = {first} === 0 || {second} === 0 ? 0 : {text};"


def test_a_product_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="products are written in another way"):
        with_products_of_zero("  assign a = b * c + d * e;\n")


def test_the_watch_knows_every_output_of_the_accelerator():
    verilog = simulation_verilog(TINY, Flavour.PLAIN)
    top = verilog[verilog.rindex("module accelerator(") :]
    outputs = re.findall(r"^  output (?:reg )?(?:\[\d+:0\] )?(\w+);", top, re.MULTILINE)
    watched = with_watch(verilog, TINY)
    watch = watched[watched.rindex("always @(posedge clk) if (rst === 1'b0)") :]
    assert len(outputs) > 20
    assert [name for name in outputs if name not in watch] == []


def test_seeds_of_a_random_start_are_those_that_verilator_takes():
    for seed in (0, 1, (1 << 31) - 2, (1 << 31) - 1, 1 << 40):
        number = int(random_start(seed)[1].rsplit("+", 1)[1])
        assert 1 <= number < 1 << 31
