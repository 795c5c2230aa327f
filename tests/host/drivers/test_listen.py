"""`systolith simulate`: connections one after the other, and ends without a trace."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from systolith_host.cli import app as cli
from systolith_host.compiler import compile_network
from systolith_host.drivers.image import write_image
from systolith_host.lab.c_driver import compile_run_image
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.network.golden import run_golden
from systolith_hw.spec.presets import PRESETS


@pytest.fixture(scope="module")
def run_image(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing, so the C driver is not tested")
    return compile_run_image(tmp_path_factory.mktemp("run_image")).path


@contextlib.contextmanager
def simulated(path, *options, end=signal.SIGINT):
    """Yield while `systolith simulate` serves a path."""
    command = [sys.executable, "-c", "from systolith_host.cli.app import main; main()", "simulate"]
    process = subprocess.Popen(
        [*command, "--config", "tiny", "--socket", str(path), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"--socket {path}\n"
        yield
        process.send_signal(end)
        _, error = process.communicate(timeout=60)
        assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[end], error
        assert not path.exists()
    finally:
        process.kill()
        process.communicate()


def check_runs(run_image, path, folder, *options, count=2):
    qgraph = random_qgraph(random.Random(3))
    program = compile_network(qgraph, PRESETS["tiny"], 2)
    images = random_input(random.Random(1), qgraph, 2)
    write_image(program, folder / "image")
    (folder / "input").write_bytes(images.tobytes())
    place = program.places[program.output]
    outputs = []
    for _ in range(count):
        files = [folder / name for name in ("image", "input", "output")]
        done = subprocess.run(
            [run_image, "--socket", path, *options, *files],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found = np.fromfile(folder / "output", place.dtype).reshape(place.shape)
        np.testing.assert_array_equal(found, run_golden(qgraph, images)[program.output])
        outputs.append(done.stdout)
    # Each connection has an accelerator of its own.
    assert len(set(outputs)) == 1


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_emulators_are_served_one_after_the_other(run_image, tmp_path, end):
    path = tmp_path / "socket"
    with simulated(path, "--device", "emulator", end=end):
        check_runs(run_image, path, tmp_path)


def test_memory_can_be_at_another_place(run_image, tmp_path):
    path = tmp_path / "socket"
    with simulated(path, "--device", "emulator", "--base", "65536", "--memory", "1000000"):
        check_runs(run_image, path, tmp_path, "--base", "0x10000")


@pytest.mark.rtl
def test_simulations_of_the_rtl_are_served_one_after_the_other(run_image, tmp_path):
    path = tmp_path / "socket"
    with simulated(path, "--latency", "20"):
        check_runs(run_image, path, tmp_path)


def test_a_client_without_a_server_is_a_line(run_image, tmp_path):
    (tmp_path / "socket").touch()
    for path, text in (
        (tmp_path / "nowhere", "No such file or directory"),
        (tmp_path / "socket", "Connection refused"),
        ("x" * 200, "File name too long"),
    ):
        done = subprocess.run(
            [run_image, "--socket", path, "a", "b", "c"], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (1, f"{path}: {text}\n")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--socket", "{folder}"], "exists; remove it or choose another path"),
        (["--socket", "{folder}/no/socket"], "no socket can be there: No such file or directory"),
        (["--socket", "{folder}/" + "x" * 107], "a socket's path may have 107 bytes"),
        (["--socket", "{folder}/s", "--device", "board"], "--device must be rtl or emulator"),
        (
            ["--socket", "{folder}/s", "--base", "4294967296"],
            "--memory and --base: the memory ends at 0x104000000, but addresses of tiny have 32",
        ),
    ],
)
def test_what_cannot_be_served_is_a_line(options, text, tmp_path, monkeypatch, capsys):
    arguments = [option.replace("{folder}", str(tmp_path)) for option in options]
    command = ["systolith", "simulate", "--config", "tiny", "--device", "emulator", *arguments]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == []
