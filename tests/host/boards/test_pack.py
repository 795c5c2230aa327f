"""Packing: the bitstream is read back, with stand-ins for the tools."""

import sys

import pytest

from systolith_host.boards.pack import pack
from systolith_host.errors import SystolithError

TOOL = f"""#!{sys.executable}
import sys
from pathlib import Path
options = dict(zip(sys.argv[1:], sys.argv[2:]))
source = Path(options["--input"]).read_text()
if "bad" in source:
    print("tile R1C1 is unknown")
    sys.exit(1)
if "loses" in source and "--textcfg" in options:
    source = source.replace("loses", "")
Path(options.get("--bit") or options["--textcfg"]).write_text(source)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("yowasp-ecppack", "yowasp-ecpunpack"):
        (tmp_path / name).write_text(TOOL)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_bitstream_that_reads_back_is_kept(folder):
    (folder / "a.config").write_text("arcs")
    pack(folder / "a.config", folder / "a.bit")
    assert (folder / "a.bit").read_text() == "arcs"
    assert not list(folder.glob("read-back*"))


def test_a_bitstream_that_loses_something_is_refused(folder):
    (folder / "a.config").write_text("arcs loses")
    with pytest.raises(
        SystolithError, match=r"a.bit: read back and packed again, its bytes differ$"
    ):
        pack(folder / "a.config", folder / "a.bit")


def test_a_tool_that_fails_is_one_line(folder):
    (folder / "a.bit").write_text("of an earlier build")
    (folder / "a.config").write_text("bad")
    with pytest.raises(
        SystolithError, match=r"^ecppack failed: tile R1C1 is unknown \(all of it in \S+\.log\)$"
    ):
        pack(folder / "a.config", folder / "a.bit")
    assert not (folder / "a.bit").exists()
