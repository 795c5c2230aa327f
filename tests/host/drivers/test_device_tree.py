"""Device tree overlays: dtc takes them, and they say what the boards' descriptions say."""

import re
import shutil
import subprocess

import pytest

from systolith_host.drivers.device_tree import DEFAULT_BUFFER_BYTES, device_tree
from systolith_host.package.zynq import ZYNQ_BOARDS

BOARDS = list(ZYNQ_BOARDS.values())


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_it_has_the_boards_addresses_and_interrupt(board):
    text = device_tree(board)
    cells = board.system.address_cells
    (registers,) = re.findall(r"systolith@(\w+) \{", text)
    assert int(registers, 16) == board.system.register_base
    (reg,) = re.findall(r" reg = <([^>]*)>", text)
    numbers = [int(number, 16) for number in reg.split()]
    assert numbers == [0] * (cells - 1) + [board.system.register_base] + [0] * (cells - 1) + [4096]
    kind = {1: "<0 29 4>", 2: "<0 89 4>"}[cells]
    assert f"interrupts = {kind};" in text
    assert f"size = <0x{DEFAULT_BUFFER_BYTES:x}>;" in text


def test_a_buffer_is_rounded_up_and_must_fit_the_memory():
    assert "size = <0x200000>;" in device_tree(BOARDS[0], (1 << 20) + 1)
    for size in (0, BOARDS[0].memory_bytes):
        with pytest.raises(ValueError, match=r"^buffer_bytes must be from 1 to "):
            device_tree(BOARDS[0], size)


@pytest.mark.skipif(
    shutil.which("dtc") is None, reason="dtc is missing: apt-get install device-tree-compiler"
)
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_dtc_takes_it(board, tmp_path):
    source = tmp_path / "board.dtso"
    source.write_text(device_tree(board))
    command = ["dtc", "-@", "-I", "dts", "-O", "dtb", "-o", tmp_path / "board.dtbo", source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    back = ["dtc", "-I", "dtb", "-O", "dts", tmp_path / "board.dtbo"]
    text = subprocess.run(back, capture_output=True, text=True, check=True).stdout
    assert f"systolith@{board.system.register_base:x} {{" in text
    # References that the board's own tree resolves.
    assert f"{board.system.controller} = " in text.partition("__fixups__")[2]
