"""LiteX's system for each board: memory, clocks and the accelerator's place in it."""

import re
from ipaddress import IPv4Address

import pytest

from systolith_host.boards.board import BOARDS, load_board
from systolith_host.boards.job import DEFAULT_IP, litex_python, make_system, system_job
from systolith_host.errors import SystolithError
from systolith_host.runtime.litex.system import System
from systolith_hw.spec.presets import PRESETS


def _has_litex():
    try:
        litex_python()
    except SystolithError:
        return False
    return True


@pytest.mark.fpga
@pytest.mark.skipif(not _has_litex(), reason="LiteX is not installed: run `make fpga-setup`")
@pytest.mark.parametrize(
    ("name", "link"), [*((name, "serial") for name in BOARDS), ("ecpix5-85f", "ethernet")]
)
def test_a_boards_system_is_what_the_table_of_boards_says(name, link, tmp_path):
    config, board = PRESETS["ecp5-85f"], load_board(name, link)
    job = system_job(config, board, tmp_path, verilog="none", accelerator_hz=100e6)
    make_system(job)
    system = System.load(tmp_path)
    assert system.target == board.name
    assert (system.memory_bytes, system.memory_mb_s) == (board.memory_bytes, board.memory_rate)
    assert (system.native_bytes, system.system_hz) == (board.native_bytes, board.system_mhz * 1e6)
    assert f"{system.build:016x}" == job["build"]
    assert system.fingerprint == config.fingerprint
    assert (system.read_timing is not None) == (system.memory_type == "DDR3")
    assert system.csr["systolith_magic"] == (0, 1)
    text = (tmp_path / "gateware" / "system.v").read_text()
    (instance,) = re.findall(r"^accelerator accelerator\((.*?)^\);", text, re.DOTALL | re.MULTILINE)
    assert ".clk(accel_clk)" in re.sub(r"\s", "", instance)
    assert f"64'd{system.build}" in text
    pins = (tmp_path / "gateware" / "system.lpf").read_text()
    assert re.search(r'FREQUENCY PORT "\w+" \d+', pins)
    assert 'COMP "serial_tx"' in pins
    ethernet = link == "ethernet"
    assert ('COMP "eth_tx_data[3]"' in pins) is ethernet
    # The wire's own clock, which nextpnr has to meet.
    assert ('FREQUENCY PORT "eth_clocks_rx" 125.0 MHz' in pins) is ethernet
    assert (f"32'd{int(IPv4Address(DEFAULT_IP))}" in text) is ethernet


@pytest.mark.fpga
@pytest.mark.skipif(not _has_litex(), reason="LiteX is not installed: run `make fpga-setup`")
def test_a_failure_of_litex_is_one_line(tmp_path):
    board = BOARDS["ulx3s-85f"]
    job = system_job(PRESETS["tiny"], board, tmp_path, verilog="none", accelerator_hz=100e6)
    with pytest.raises(SystolithError, match=r"^LiteX failed: .* \(all of it in \S+litex.log\)$"):
        make_system({**job, "native_bytes": 4})
    job = system_job(PRESETS["tiny"], board, tmp_path, verilog="none", accelerator_hz=900e6)
    with pytest.raises(SystolithError, match=r"^LiteX failed: .* \(all of it in \S+litex.log\)$"):
        make_system(job)
