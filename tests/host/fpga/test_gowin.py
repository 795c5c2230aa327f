"""Gowin's parts: synthesis of the primitives, counting, refusals and packing."""

import sys

import pytest
from amaranth.hdl import MemoryData, unsigned

from systolith_host.errors import SystolithError
from systolith_host.fpga import gowin, timing
from systolith_host.fpga.parts import GOWIN, GOWIN_PARTS, PARTS, load_part
from systolith_host.fpga.place import place_and_route
from systolith_host.fpga.timing import measure_timing
from systolith_host.fpga.tools import find_tool
from systolith_hw.compute.mesh import Mesh
from systolith_hw.generate import component_rtlil
from systolith_hw.primitives.harness import Harness
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.spec.presets import PRESETS, load_config
from systolith_hw.store.requantize import Requantizer
from systolith_hw.stream.queue import Queue
from systolith_sim.testing.configs import small_config

PART = GOWIN_PARTS["gw2ar-18"]


def synthesised(component, folder):
    text = component_rtlil(component, "top")
    netlist = gowin.synthesise_gowin(text, "top", folder, PART)
    return netlist.cells, gowin.resources_gowin(netlist, "top")


def test_each_cell_of_the_array_takes_one_small_multiplier(tmp_path):
    # Alone, with its wide ports, it meets an assertion of Yosys 0.70 in abc: YosysHQ/yosys 4349.
    cells, need = synthesised(Harness(Mesh(small_config(2, 2))), tmp_path)
    assert cells["MULT9X9"] == need["9x9 multiplier"] == 4
    assert need["block RAM"] == 0


@pytest.mark.parametrize(
    ("component", "blocks"),
    [
        (lambda: RegisteredMemory(MemoryData(shape=unsigned(16), depth=2048, init=[])), 2),
        (lambda: Queue(unsigned(36), 4), 1),
        (lambda: Queue(unsigned(gowin.RAM_BITS), 2), 0),
    ],
    ids=["memory", "queue", "wide queue"],
)
def test_memories_are_block_ram_where_that_saves_logic(component, blocks, tmp_path):
    _, need = synthesised(component(), tmp_path)
    assert need["block RAM"] == blocks


def cell(kind, out=None, **inputs):
    ports = {**inputs, **({"F": out} if out is not None else {})}
    return {
        "type": kind,
        "connections": {port: [net] for port, net in ports.items()},
        "port_directions": dict.fromkeys(inputs, "input") | {"F": "output"},
    }


def test_a_flip_flop_shares_a_cell_only_with_a_lut_that_feeds_nothing_else():
    cells = {
        "lut": cell("LUT4", out=1, I0=9),
        "shares": cell("DFFE", D=1),
        "busy": cell("LUT2", out=2, I0=9),
        "beside": cell("DFF", D=2),
        "also": cell("LUT1", out=3, I0=2),
        "sum": cell("ALU", out=4, I0=9),
        "of a sum": cell("DFFR", D=4),
        "of a constant": cell("DFFS", D="1"),
        "memory": cell("RAM16SDP4", out=5, DI=9),
    }
    assert gowin.logic_cells({"cells": cells}) == 3 + 1 + 8 + 3


def measure(config, folder):
    return measure_timing(
        config,
        PART,
        folder,
        mhz=20,
        seeds=[1],
        jobs=1,
        limit=60,
        stage=lambda text: None,
        ended=lambda attempt: None,
    )


def test_what_the_part_cannot_hold_is_refused_before_placement(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "find_tool", lambda name: name)
    with pytest.raises(
        SystolithError,
        match=r"^default does not fit gw2ar-18: 256 9x9 multiplier needed, 96 there$",
    ):
        measure(PRESETS["default"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(gowin, "synthesise_gowin", lambda *arguments: None)
    need = {"logic cell": 20_737, "FF": 10, "9x9 multiplier": 18, "block RAM": 47}
    monkeypatch.setattr(gowin, "resources_gowin", lambda *arguments: need)
    with pytest.raises(
        SystolithError,
        match=r"^tiny does not fit gw2ar-18: 20,737 logic cell needed, 20,736 there; 47 block RAM "
        r"needed, 46 there$",
    ):
        measure(PRESETS["tiny"], tmp_path / "out")


def test_the_part_is_only_known_where_it_can_be_used():
    assert load_part("gw2ar-18", PARTS | GOWIN_PARTS) is PART
    with pytest.raises(SystolithError, match=r"^part must be one of lfe5u-85f-6, .*, not 'gw2ar"):
        load_part("gw2ar-18")


def test_the_configuration_for_the_part_is_legal(request):
    config = load_config(str(request.config.rootpath / "configs" / "gw2ar-18.toml"))
    assert (config.name, config.multipliers) == ("gw2ar-18", 4)


def test_a_packer_that_fails_is_one_line(tmp_path, monkeypatch):
    tool = tmp_path / gowin.PACKER
    tool.write_text(f"#!{sys.executable}\nraise SystemExit('no such device')\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "top.fs").write_text("of an earlier run")
    with pytest.raises(
        SystolithError, match=r"^gowin_pack failed: no such device \(all of it in \S+\.log\)$"
    ):
        gowin.pack_gowin(tmp_path / "top.routed.json", PART, tmp_path / "top.fs")
    assert not (tmp_path / "top.fs").exists()


@pytest.mark.fpga
def test_the_real_tools_make_a_bitstream_of_a_requantiser(request):
    try:
        for tool in (GOWIN.tool, gowin.PACKER):
            find_tool(tool)
    except SystolithError as error:
        pytest.skip(str(error))
    # Not the system's temporary folder: the tools, compiled to WASM, do not see it.
    folder = request.config.rootpath / "build" / "gowin-test"
    folder.mkdir(parents=True, exist_ok=True)
    text = component_rtlil(Harness(Requantizer(small_config())), "top")
    netlist = gowin.synthesise_gowin(text, "top", folder, PART)
    need = gowin.resources_gowin(netlist, "top")
    (attempt,) = place_and_route(
        netlist.path,
        PART,
        folder,
        mhz=20,
        seeds=[1],
        jobs=1,
        limit=300,
        options=gowin.constraints(PART, folder),
    )
    assert attempt.result == "routed"
    assert attempt.used["DFF"] == need["FF"]
    assert attempt.used["MULT18X18"] == 2
    assert need["9x9 multiplier"] == 4
    assert len(attempt.clocks) == 1
    gowin.pack_gowin(attempt.config, PART, folder / "top.fs")
    lines = (folder / "top.fs").read_text().splitlines()
    assert set("".join(lines)) == {"0", "1"}
    assert len(lines) > 1000
