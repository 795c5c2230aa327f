"""The Vivado scripts, run on a model of Vivado."""

import itertools
import re
from dataclasses import replace

import pytest

from systolith_host.errors import SystolithError
from systolith_host.package.core import Core, core_name
from systolith_host.package.ipxact import component_xml
from systolith_host.package.vivado import block_design_script, write_scripts
from systolith_host.package.zynq import ZYNQ_BOARDS, check_board, load_board
from systolith_hw.generate import accelerator_facts
from systolith_hw.spec.presets import PRESETS

tkinter = pytest.importorskip("tkinter", reason="needs Python's tkinter, for its Tcl interpreter")

CONFIG = PRESETS["tiny"]

REGISTER_WINDOWS = {
    "M_AXI_HPM0_FPD": range(0xA000_0000, 0xB000_0000),
    "M_AXI_GP0": range(0x4000_0000, 0x8000_0000),
}


@pytest.fixture(scope="module")
def component() -> str:
    return component_xml(CONFIG, core_name(CONFIG), accelerator_facts(CONFIG)["ports"], ())


@pytest.fixture
def core(tmp_path, component) -> Core:
    folder = tmp_path / "core"
    folder.mkdir()
    (folder / "component.xml").write_text(component)
    return Core(CONFIG, core_name(CONFIG), folder, ())


@pytest.fixture(params=list(ZYNQ_BOARDS))
def board(request):
    return ZYNQ_BOARDS[request.param]


def test_script_is_whole_tcl(core, board):
    assert tkinter.Tcl().eval(f"info complete {{{block_design_script(core, board, 150)}}}") == "1"


def test_block_design_is_connected(start_vivado, core, component, board):
    script, _ = write_scripts(core, board, core.folder.parent, 150)
    vivado = start_vivado(core, component)
    vivado.source(script, "bd")
    assert "validate_bd_design" in vivado.calls
    assert "launch_runs" not in vivado.calls
    system = board.system
    assert (vivado.project, vivado.part) == (board.name, board.part)
    assert vivado.links == {
        f"ps/{system.control}": "control/S00_AXI",
        "control/M00_AXI": "core/s_axil",
        "core/m_axi": "memory/S00_AXI",
        "memory/M00_AXI": f"ps/{system.memory}",
    }
    assert vivado.drivers[f"ps/{system.interrupt}"] == "core/irq"
    assert vivado.drivers["core/rst"] == "resets/peripheral_reset"
    clocks = {sink: source for sink, source in vivado.drivers.items() if "clk" in sink.lower()}
    assert len(clocks) == 6
    assert set(clocks.values()) == {f"ps/{system.clock}"}


def test_addresses_are_in_their_windows(start_vivado, core, component, board):
    script, _ = write_scripts(core, board, core.folder.parent, 100)
    vivado = start_vivado(core, component)
    vivado.source(script, "bd")
    registers, memory = vivado.assigned
    window = REGISTER_WINDOWS[board.system.control]
    assert registers[0] in window
    assert registers[0] + registers[1] - 1 in window
    assert registers[2:] == ("ps/Data", "core/s_axil/registers")
    assert memory == (
        0,
        board.memory_bytes,
        "core/m_axi",
        f"ps/{board.system.memory_segment}",
    )
    segments = vivado.kinds[board.system.ip][3]
    assert {memory[3], *vivado.excluded} == {f"ps/{name}" for name in segments}


def test_newest_board_files_and_the_clock_are_taken(start_vivado, core, component, board):
    script, _ = write_scripts(core, board, core.folder.parent, 187.5)
    vivado = start_vivado(core, component)
    vivado.source(script, "bd")
    assert vivado.settings["project.board_part"] == f"{board.board_part}:1.10"
    assert vivado.settings[f"ps.CONFIG.{board.system.clock_setting}"] == "187.5"


def test_bitstream_and_description_are_copied(start_vivado, core, component, board):
    script, _ = write_scripts(core, board, core.folder.parent, 100)
    start_vivado(core, component).source(script)
    assert script.with_suffix(".bit").read_text() == "bits"
    assert script.with_suffix(".hwh").read_text() == "hwh"


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"STATS.WNS": "-0.125"}, "systolith: the clock is missed by 0.125 ns: see "),
        ({"PROGRESS": "64%", "STATUS": "route_design ERROR"}, "ended early: route_design ERROR"),
    ],
)
def test_failed_builds_fail(start_vivado, core, component, properties, message):
    board = ZYNQ_BOARDS["zcu104"]
    script, _ = write_scripts(core, board, core.folder.parent, 100)
    with pytest.raises(tkinter.TclError, match=re.escape(message)):
        start_vivado(core, component, **properties).source(script)
    assert not script.with_suffix(".bit").exists()


@pytest.mark.parametrize(
    ("missing", "message"),
    [("board_parts", "no board files of"), ("catalogue", "is not in the IP catalogue")],
)
def test_what_is_missing_is_named(start_vivado, core, component, missing, message):
    script, _ = write_scripts(core, ZYNQ_BOARDS["kv260"], core.folder.parent, 100)
    vivado = start_vivado(core, component)
    setattr(vivado, missing, [])
    with pytest.raises(tkinter.TclError, match=message):
        vivado.source(script)


def test_model_of_vivado_notices_an_open_pin_and_a_wrong_bus(start_vivado, core, component):
    board = ZYNQ_BOARDS["kv260"]
    script, _ = write_scripts(core, board, core.folder.parent, 100)
    text = script.read_text()
    for old, new, message in (
        ("core/clk control/aclk", "control/aclk", "core/clk is open"),
        ("control/M00_AXI core/s_axil", "control/M00_AXI core/s_axi", "no bus core/s_axi"),
        ("join_pins core/irq", "join_pins core/clk", "core/clk to"),
    ):
        assert old in text
        script.write_text(text.replace(old, new))
        with pytest.raises(AssertionError, match=message):
            start_vivado(core, component).source(script, "bd")


@pytest.mark.parametrize(
    ("name", "board_name", "message"),
    [
        (
            "default",
            "pynq-z2",
            r"^default does not fit PYNQ-Z2: at least 272 DSP needed, 220 there$",
        ),
        ("large", "zcu104", r"^large does not fit ZCU104: at least 390 block RAM needed, 312 t"),
    ],
)
def test_too_large_is_refused(name, board_name, message):
    with pytest.raises(SystolithError, match=message):
        check_board(PRESETS[name], load_board(board_name))


def test_short_addresses_are_refused():
    with pytest.raises(SystolithError, match=r"^tiny: addr_width must be at least 31 to reach"):
        check_board(replace(CONFIG, addr_width=30), load_board("zcu104"))


def test_presets_fit_their_boards():
    fits = []
    for config, board in itertools.product(PRESETS.values(), ZYNQ_BOARDS.values()):
        try:
            check_board(config, board)
            fits.append((config.name, board.name))
        except SystolithError:
            pass
    assert ("default", "kv260") in fits
    assert ("ecp5-85f", "pynq-z2") in fits
    assert ("large-direct", "zcu104") in fits
    assert ("large-direct", "kv260") not in fits
    assert ("k26", "kv260") in fits
    assert ("ecp5-85f-winograd", "pynq-z2") in fits


def test_activations_beyond_the_ultra_rams_need_block_ram():
    config, board = PRESETS["k26"], load_board("kv260")
    check_board(config, board)
    # 16 rows of 16384 words fill the 64 UltraRAMs.
    message = r"^k26 does not fit Kria KV260: at least 1\d\d block RAM needed, 144 there$"
    with pytest.raises(SystolithError, match=message):
        check_board(replace(config, act_depth=16385), board)


def test_unknown_board_is_refused():
    with pytest.raises(SystolithError, match=r"^board must be one of kv260, zcu104, pynq-z2, not "):
        load_board("zedboard")
