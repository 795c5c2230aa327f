"""Generated Verilog: what stays, what is removed, and what the facts say."""

import dataclasses
import json
import re
import subprocess

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.generate import (
    Flavour,
    GenerateError,
    accelerator_facts,
    accelerator_verilog,
    component_verilog,
    write_accelerator,
)
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import REGISTERS
from systolith_hw.store.drain import Drain


class Table(wiring.Component):
    """A memory with initial values in a module of its own, and a register."""

    i_address: Signal
    i_write: Signal
    o_data: Signal

    def __init__(self, init: list[int]) -> None:
        self.init = init
        super().__init__({"i_address": In(4), "i_write": In(1), "o_data": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = Module()
        inner.submodules.words = table = memory.Memory(shape=8, depth=16, init=self.init)
        read, write = table.read_port(), table.write_port()
        inner.d.comb += [
            read.addr.eq(self.i_address),
            write.addr.eq(self.i_address),
            write.data.eq(self.o_data),
            write.en.eq(self.i_write),
        ]
        m.d.sync += self.o_data.eq(read.data + 1)
        return m


@pytest.mark.parametrize("flavour", Flavour)
def test_memories_stay_memories_with_their_contents(flavour: Flavour, capfd):
    text = component_verilog(Table([0, 7, 9]), "table_top", flavour)
    assert re.search(r"reg \[7:0\] \S+ \[15:0\];", text)
    assert "[1] = 8'h07" in text
    assert re.search(r"^module table_top\(", text, re.MULTILINE)
    assert capfd.readouterr() == ("", "")


def test_zeros_take_no_lines():
    text = component_verilog(Table([]), "table_top", Flavour.PLAIN)
    assert re.search(r"reg \[7:0\] \S+ \[15:0\];", text)
    assert "initial begin" not in text


def test_flattening_leaves_one_module():
    hierarchy = component_verilog(Table([]), "top", Flavour.PLAIN)
    flat = component_verilog(Table([]), "top", Flavour.PLAIN, flatten=True)
    assert hierarchy.count("endmodule") == 2
    assert flat.count("endmodule") == 1


def test_failure_of_yosys_is_one_line(monkeypatch):
    monkeypatch.setattr("systolith_hw.generate._PASSES", {Flavour.PLAIN: ("proc", "no_such_pass")})
    with pytest.raises(GenerateError, match=r"^Yosys failed on top: .*no_such_pass.*$"):
        component_verilog(Table([]), "top", Flavour.PLAIN)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("flavour", list(Flavour))
def test_any_number_of_lanes_can_be_written(lanes, flavour: Flavour):
    # Yosys takes some registers whose upper bits never change for conflicts of initial values.
    config = dataclasses.replace(PRESETS["large-direct"], post_lanes=lanes)
    assert "fault_addr" in component_verilog(Drain(config), "drain", flavour)


def test_the_largest_preset_can_be_written():
    assert "module accelerator" in accelerator_verilog(PRESETS["large"])


@pytest.mark.rtl
def test_accelerator_is_written_with_its_facts(tmp_path):
    config = PRESETS["tiny"]
    plain, simulation, facts_path = write_accelerator(config, tmp_path / "new" / "folder")
    for path in (plain, simulation):
        lint = ["iverilog", "-g2005", "-t", "null", "-s", "accelerator", str(path)]
        subprocess.run(lint, check=True, capture_output=True, timeout=60)
    facts = json.loads(facts_path.read_text())
    assert facts == json.loads(json.dumps(accelerator_facts(config)))
    assert int(facts["fingerprint"], 16) == config.fingerprint
    assert len(facts["registers"]) == len(REGISTERS)
    header = re.search(r"^module accelerator\((.*?)\);", plain.read_text(), re.M | re.S)
    assert header is not None
    named = {name.strip() for name in header[1].split(",")}
    assert named == {port["name"] for port in facts["ports"]}
    widths = {port["name"]: port["width"] for port in facts["ports"]}
    assert widths["m_axi_wdata"] == 8 * config.bus_bytes
    assert widths["m_axi_araddr"] == config.addr_width
