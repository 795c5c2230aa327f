"""Technologies: a platform's hooks are asked; what they do not answer is built for any tool."""

import pytest
from amaranth.hdl import MemoryData, Module, signed, unsigned

from systolith_hw.compute.mesh import Mesh
from systolith_hw.generate import Flavour, component_verilog
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.primitives.multiplier import Multiplier
from systolith_hw.primitives.technology import ask
from systolith_sim.testing.configs import small_config


class Nothing:
    """A platform that has every hook, and leaves everything to the tools."""

    def get_multiplier(self, multiplier):
        return None

    def get_registered_memory(self, memory):
        return None

    def get_multiplier_site(self, row, col, rows, cols):
        return None


class Wires:
    """A platform whose multipliers are told apart from all others."""

    def get_multiplier(self, multiplier):
        m = Module()
        m.d.comb += multiplier.product.eq(0x155)
        return m

    def get_multiplier_site(self, row, col, rows, cols):
        return f"{row} of {rows}, {col} of {cols}"


def test_a_hook_gets_its_arguments():
    assert ask(Wires(), "get_multiplier_site", 1, 2, 3, 4) == "1 of 3, 2 of 4"


@pytest.mark.parametrize("platform", [None, object(), "formal"])
def test_a_platform_without_the_hook_answers_nothing(platform):
    assert ask(platform, "get_multiplier", None) is None


@pytest.mark.parametrize(
    "build",
    [
        lambda: Multiplier(signed(8), signed(8)),
        lambda: RegisteredMemory(MemoryData(shape=unsigned(8), depth=8, init=[])),
        lambda: Mesh(small_config(rows=2, cols=2)),
    ],
)
def test_what_a_technology_leaves_is_built_for_any_tool(build):
    plain, asked = (
        component_verilog(build(), "top", Flavour.PLAIN, platform=platform)
        for platform in (object(), Nothing())
    )
    assert asked == plain


def test_a_hook_takes_the_place_of_the_component():
    text = component_verilog(
        Multiplier(signed(8), signed(8)), "top", Flavour.PLAIN, platform=Wires()
    )
    assert "product = 16'h0155" in text
    assert "*" not in text.split("module top", 1)[1].replace("(*", "").replace("*)", "")
