"""The commands of the C driver: header, driver, image."""

import random
import shutil
import subprocess

import pytest

from systolith_host.compiler import compile_network
from systolith_host.drivers.device_tree import device_tree
from systolith_host.drivers.header import c_header
from systolith_host.drivers.image import program_image
from systolith_host.lab.fuzz.networks import random_qgraph
from systolith_host.package.zynq import ZYNQ_BOARDS
from systolith_hw.spec.presets import PRESETS


def test_the_header_goes_to_standard_output_or_a_file(command, tmp_path):
    assert command("header") == (0, c_header(), "")
    file = tmp_path / "spec.h"
    status, out, _ = command("header", "--config", "tiny", "--out", file)
    assert (status, out) == (0, f"{file}: {file.stat().st_size:,} bytes\n")
    assert file.read_text() == c_header(PRESETS["tiny"])


def test_a_header_that_cannot_be_written_is_a_line(command, tmp_path):
    status, out, error = command("header", "--out", tmp_path / "no" / "spec.h")
    assert (status, out) == (2, "")
    assert error.endswith(f"cannot be written: there is no folder {tmp_path / 'no'}\n")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is missing")
def test_the_driver_that_is_written_builds(command, tmp_path):
    folder = tmp_path / "driver"
    status, out, _ = command("driver", "--out", folder)
    assert status == 0
    assert {path.name for path in folder.iterdir()} == {
        line.split(": ")[0].rpartition("/")[2] for line in out.splitlines()
    }
    done = subprocess.run(["make", "-C", folder], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    said = subprocess.run([folder / "run_image"], capture_output=True, text=True)
    assert said.returncode == 2
    assert said.stderr.startswith("run_image: name a device and three files\nusage: run_image ")


def test_a_board_adds_its_device_tree(command, tmp_path):
    assert command("driver", "--out", tmp_path, "--board", "kv260")[0] == 0
    assert (tmp_path / "kv260.dtso").read_text() == device_tree(ZYNQ_BOARDS["kv260"])
    status, _, error = command("driver", "--out", tmp_path / "b", "--board", "kv261")
    assert (status, error) == (
        2,
        "error: board must be one of kv260, zcu104, pynq-z2, not 'kv261'\n",
    )
    assert not (tmp_path / "b").exists()


def test_a_driver_into_a_file_is_a_line(command, tmp_path):
    (tmp_path / "file").touch()
    status, _, error = command("driver", "--out", tmp_path / "file")
    assert (status, error) == (2, f"error: {tmp_path / 'file'}: cannot be written: File exists\n")


def test_an_image_is_made_of_a_program_file(command, tmp_path):
    program = compile_network(random_qgraph(random.Random(3)), PRESETS["tiny"], 2)
    program.save(tmp_path / "program")
    file = tmp_path / "image"
    status, out, _ = command("image", tmp_path / "program", "--out", file)
    assert status == 0
    assert out.startswith(
        f"{file}: {file.stat().st_size:,} bytes: {program.network}, batch 2, for "
    )
    assert file.read_bytes() == b"".join(bytes(part) for part in program_image(program))


def test_no_image_is_made_of_another_file(command, tmp_path):
    (tmp_path / "file").write_bytes(b"no program")
    status, _, error = command("image", tmp_path / "file", "--out", tmp_path / "image")
    assert status == 2
    assert error.startswith(f"error: {tmp_path / 'file'}: ")
    assert not (tmp_path / "image").exists()
