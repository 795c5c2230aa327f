"""The back ends for Linux and bare metal: below them a kernel that is played, and an emulator."""

import os
import random
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.drivers.image import write_image
from systolith_host.drivers.link import serve
from systolith_host.drivers.sources import PORTABLE, write_driver
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.network.golden import run_golden
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import CONTROL_START, REGISTERS, STATUS_BUSY
from systolith_sim.emulator.device import Emulator
from systolith_sim.testing.c_programs import compile_c

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")

HERE = Path(__file__).parent
WRAPPED = ("open", "mmap", "poll", "read", "write", "fopen")
BASE = 0x3000


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Return run_image on the kernel that is played, and run_bare."""
    folder = tmp_path_factory.mktemp("programs")
    write_driver(folder)
    shared = [folder / name for name in (*PORTABLE, "systolith_mmio.c", "systolith_socket.c")]
    shared.append(HERE / "fake_kernel.c")
    options = [f"-Wl,--wrap={name}" for name in WRAPPED]
    options += ["-include", str(HERE / "fake_kernel.h"), "-D_DEFAULT_SOURCE"]
    linux = [folder / "run_image.c", folder / "systolith_uio.c", *shared]
    return (
        compile_c(folder / "run_image", linux, [folder, HERE], options),
        compile_c(folder / "run_bare", [HERE / "run_bare.c", *shared], [folder, HERE], options),
    )


@pytest.fixture(scope="module")
def case():
    qgraph = random_qgraph(random.Random(3))
    return (
        qgraph,
        compile_network(qgraph, PRESETS["tiny"], 2),
        random_input(random.Random(1), qgraph, 2),
    )


class Stopped(Emulator):
    """An emulator whose first programs never end; its clock may stand still."""

    def __init__(self, config, memory, times, moves=True):
        super().__init__(config, memory)
        self.times, self.moves, self.cycles, self.running = times, moves, 0, False

    def write_register(self, offset, value):
        if offset == REGISTERS["CONTROL"].offset:
            self.running = bool(value & CONTROL_START) and self.times > 0
            self.times -= self.running
            if self.running:
                return
        super().write_register(offset, value)

    def read_register(self, offset):
        if self.running and offset == REGISTERS["STATUS"].offset:
            return STATUS_BUSY
        if self.running and offset == REGISTERS["CYCLES"].offset:
            self.cycles += 100 * self.moves
            return self.cycles
        return super().read_register(offset)

    def wait_interrupt(self, limit, progress=None):
        return not self.running and super().wait_interrupt(limit)


class Machine:
    """A device behind a link, with a file for its memory."""

    def __init__(self, case, folder, times=0, moves=True):
        self.qgraph, self.program, self.images = case
        self.folder = folder
        write_image(self.program, folder / "image")
        (folder / "input").write_bytes(self.images.tobytes())
        size = BASE + self.program.memory_size
        with (folder / "memory").open("wb") as file:
            file.truncate(size)
        self.memory = np.memmap(folder / "memory", np.uint8, "r+")
        self.device = Stopped(self.program.config, self.memory, times, moves)
        facts = folder / "sysfs" / "udmabuf0"
        facts.mkdir(parents=True)
        (facts / "size").write_text(f"{self.program.memory_size}\n")
        (facts / "phys_addr").write_text(f"0x{BASE:016x}\n")

    def run(self, program, *arguments, **settings):
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=serve, args=(self.device, ours))
        thread.start()
        with theirs:
            done = subprocess.run(
                [program, *arguments],
                env={
                    **os.environ,
                    "FAKE_LINK": str(theirs.fileno()),
                    "FAKE_MEMORY": str(self.folder / "memory"),
                    "FAKE_SYSFS": str(self.folder / "sysfs"),
                    **settings,
                },
                pass_fds=(theirs.fileno(),),
                capture_output=True,
                text=True,
                timeout=120,
            )
        thread.join(60)
        assert not thread.is_alive()
        ours.close()
        assert "Sanitizer" not in done.stderr, done.stderr
        assert "fake kernel" not in done.stderr, done.stderr
        return done

    def files(self):
        return [str(self.folder / name) for name in ("image", "input", "output")]

    def check_output(self):
        place = self.program.places[self.program.output]
        found = np.fromfile(self.folder / "output", place.dtype).reshape(place.shape)
        wanted = run_golden(self.qgraph, self.images)[self.program.output]
        np.testing.assert_array_equal(found, wanted)


LINUX = ("--uio", "/dev/uio0", "udmabuf0", "1")


@pytest.mark.parametrize("options", [(), ("--poll",)], ids=["interrupt", "poll"])
@pytest.mark.parametrize("spurious", ["0", "3"])
def test_a_network_runs_on_linux(programs, case, tmp_path, options, spurious):
    machine = Machine(case, tmp_path)
    settings = {"FAKE_BASE": str(BASE), "FAKE_SPURIOUS": spurious}
    done = machine.run(programs[0], *LINUX, *options, *machine.files(), **settings)
    assert (done.returncode, done.stderr) == (0, "")
    machine.check_output()
    assert not machine.memory[:BASE].any()


def test_a_signal_during_a_wait_does_no_harm(programs, case, tmp_path):
    machine = Machine(case, tmp_path)
    settings = {"FAKE_BASE": str(BASE), "FAKE_FAIL": "signal"}
    assert machine.run(programs[0], *LINUX, *machine.files(), **settings).returncode == 0
    machine.check_output()


def test_a_program_that_does_not_end_times_out_on_linux(programs, case, tmp_path):
    machine = Machine(case, tmp_path, times=1)
    options = ("--limit", "20000", "--keep-going")
    settings = {"FAKE_BASE": str(BASE)}
    done = machine.run(programs[0], *LINUX, *options, *machine.files(), **settings)
    first, *others = done.stdout.splitlines()
    assert "result=8 status=1" in first
    assert [line.split()[0] for line in others] == ["layer"] * (len(machine.program.layers) - 1)


@pytest.mark.parametrize("fails", ["poll", "write"])
def test_a_wait_that_fails_is_told(programs, case, tmp_path, fails):
    machine = Machine(case, tmp_path)
    settings = {"FAKE_BASE": str(BASE), "FAKE_FAIL": fails}
    done = machine.run(programs[0], *LINUX, *machine.files(), **settings)
    assert done.returncode == 1
    assert "result=1 bus_error=2" in done.stdout


def test_a_count_that_cannot_be_read_is_told(programs, case, tmp_path):
    machine = Machine(case, tmp_path)
    settings = {"FAKE_BASE": str(BASE), "FAKE_FAIL": "read"}
    done = machine.run(programs[0], *LINUX, *machine.files(), **settings)
    assert "result=1 bus_error=2" in done.stdout


@pytest.mark.parametrize(
    ("device", "buffer", "fact", "text"),
    [
        ("/dev/uio9", "udmabuf0", None, "/dev/uio9: No such file or directory"),
        ("/dev/uio0", "udmabuf9", None, "/dev/uio0: No such file or directory"),
        ("/dev/uio0", "udmabuf0", "", "/dev/uio0: Input/output error"),
        ("/dev/uio0", "udmabuf0", "no number\n", "/dev/uio0: Invalid argument"),
        ("/dev/uio0", "udmabuf0", "0\n", "/dev/uio0: Invalid argument"),
        ("/dev/uio0", "udmabuf0", "9" * 30, "/dev/uio0: Numerical result out of range"),
        ("/dev/uio0", "x" * 300, None, "/dev/uio0: File name too long"),
    ],
)
def test_a_device_that_is_not_there_is_a_line(programs, case, tmp_path, device, buffer, fact, text):
    machine = Machine(case, tmp_path)
    if fact is not None:
        (tmp_path / "sysfs" / "udmabuf0" / "size").write_text(fact)
    done = machine.run(programs[0], "--uio", device, buffer, "1", *machine.files())
    assert (done.returncode, done.stderr) == (1, f"{text}\n")


def test_a_buffer_that_is_too_small_is_refused(programs, case, tmp_path):
    machine = Machine(case, tmp_path)
    (tmp_path / "sysfs" / "udmabuf0" / "size").write_text(f"{machine.program.memory_size - 1}")
    settings = {"FAKE_BASE": str(BASE)}
    done = machine.run(programs[0], *LINUX, *machine.files(), **settings)
    assert (done.returncode, "result=11" in done.stdout) == (1, True)


def test_a_network_runs_on_bare_metal_with_a_cache(programs, case, tmp_path):
    machine = Machine(case, tmp_path)
    done = machine.run(programs[1], *machine.files(), "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"result 0 failed {len(machine.program.layers)} ")
    machine.check_output()


@pytest.mark.parametrize("moves", [True, False])
def test_a_program_that_does_not_end_times_out_on_bare_metal(programs, case, tmp_path, moves):
    machine = Machine(case, tmp_path, times=1, moves=moves)
    done = machine.run(programs[1], *machine.files(), "5000")
    assert done.returncode == 1
    idles = 49 if moves else 999
    assert done.stdout == f"result 8 failed 0 idles {idles} cycles 0\n"
