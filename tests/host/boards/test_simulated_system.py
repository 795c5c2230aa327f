"""The whole system, simulated: SDRAM, serial line, litex_server, LiteX's client, our runtime."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from rich.console import Console

from systolith_host.boards import simulation
from systolith_host.boards.line import serial_line
from systolith_host.errors import SystolithError
from systolith_host.lab.memory_efficiency import StandIn, measure_efficiency
from systolith_host.progress import ProgressLog
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.litex.link import Link
from systolith_host.runtime.litex.litex import CHUNK, LitexDevice
from systolith_host.runtime.litex.system import System
from systolith_hw.spec.presets import PRESETS
from systolith_sim.testing.configs import small_config

pytestmark = [
    pytest.mark.fpga,
    pytest.mark.skipif(
        bool(simulation.missing_for_simulation()), reason=simulation.missing_for_simulation()
    ),
]

CONFIG = small_config()


@pytest.fixture(scope="module")
def folder():
    return simulation.build_system_simulator(CONFIG)


class Running:
    """A simulated system that can be reached, and can be damaged."""

    def __init__(self, folder, log_folder, stack, damage):
        self.folder = folder
        self.simulator, line = stack.enter_context(
            simulation.simulator(folder, log_folder / "simulator.log")
        )
        terminal = stack.enter_context(serial_line(line, damage))
        self.server, port = stack.enter_context(
            simulation.serve(simulation.serial_options(terminal), log_folder / "server.log")
        )
        self.address = f"litex://localhost:{port}"
        self._stack = stack

    def device(self, seconds=20.0, system=None):
        link = Link(self.address, seconds)
        self._stack.callback(link.close)
        return LitexDevice(link, system or System.load(self.folder))


@pytest.fixture
def start(folder, tmp_path):
    with contextlib.ExitStack() as stack:

        def run(damage=lambda data: data):
            return Running(folder, tmp_path, stack, damage)

        yield run


def test_a_networks_tensors_equal_the_golden_models(start, tmp_path):
    run_mini_twice(start(), tmp_path)


def test_so_do_those_of_a_ddr3_memory_whose_words_are_wider_than_the_bus(tmp_path):
    # The model of the memory holds it all: this is the smallest chip.
    folder = simulation.build_system_simulator(
        CONFIG, memory_chip="MT41K64M16", accelerator_hz=62.5e6
    )
    with contextlib.ExitStack() as stack:
        run_mini_twice(Running(folder, tmp_path, stack, lambda data: data), tmp_path)


def command_on(running, tmp_path, *words):
    config = tmp_path / "small.toml"
    config.write_text(
        "".join(f"{key} = {json.dumps(value)}\n" for key, value in CONFIG.to_dict().items())
    )
    command = [sys.executable, "-c", "from systolith_host.cli.app import main; main()"]
    command += [*words, "--config", str(config)]
    return [*command, "--device", running.address, "--board", str(running.folder)]


def test_every_stage_of_the_selftest_passes(start, tmp_path):
    words = ("selftest", "--memory-test", "4096", "--layers", "3")
    command = command_on(start(), tmp_path, *words)
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    stages = ["identity", "memory", "layers", "faults", "bandwidth"]
    assert [line.split()[:2] for line in lines] == [[stage, "pass:"] for stage in stages]
    assert "simulation, build " in lines[0]
    assert "over 33,554,432" in lines[1]
    assert "WATCHDOG" in lines[3]
    assert "of what the memory can (1)" in lines[4]


def test_the_selftest_says_that_nobody_answers(folder, tmp_path, start):
    running = start()
    running.server.kill()
    running.server.wait(10)
    command = command_on(running, tmp_path, "selftest")
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0].startswith(f"identity  FAIL: {running.address}: no answer (Connection refused)")
    assert len(lines) == 5
    assert all("not run: identity has to pass first" in line for line in lines[1:])


def run_mini_twice(running, tmp_path):
    report = tmp_path / "report.json"
    command = [*command_on(running, tmp_path, "run", "mini"), "--json", str(report)]
    sent = []
    for _ in range(2):
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        assert "10 layers, 0 mismatches in 6,202 values" in run.stdout
        assert json.loads(report.read_text())["totals"]["cycles"] > 50_000
        (line,) = [line for line in run.stderr.splitlines() if line.startswith("program: ")]
        sent.append(int(line.split(" bytes, ")[1].split(" of")[0].replace(",", "")))
    assert sent[0] > 20_000
    assert sent[1] == 0


def test_bytes_come_back_wherever_they_begin_and_end(start):
    device = start().device()
    rng = np.random.default_rng(3)
    memory = rng.integers(0, 256, 3 * CHUNK, dtype=np.uint8)
    device.write_memory(0, memory)
    for address, size in ((1, 1), (15, 2), (33, 30), (CHUNK - 3, CHUNK + 7), (0, 16), (5, 0)):
        data = rng.integers(0, 256, size, dtype=np.uint8)
        device.write_memory(address, data)
        memory[address : address + size] = data
        assert np.array_equal(device.read_memory(address, size), data)
    assert np.array_equal(device.read_memory(0, memory.size), memory)
    assert device.checksum(32, 4096) == zlib.crc32(memory[32 : 32 + 4096].tobytes())
    end = device.system.memory_bytes
    device.write_memory(end - 5, data=memory[:5])
    assert np.array_equal(device.read_memory(end - 5, 5), memory[:5])
    with pytest.raises(SystolithError, match=r"^simulation has 33,554,432 bytes of memory, not 6 "):
        device.write_memory(end - 5, memory[:6])


def test_an_upload_goes_on_where_it_was(start):
    device = start().device()
    data = np.random.default_rng(4).integers(0, 256, 3 * CHUNK + 48, dtype=np.uint8)
    steps = []

    def stop_half_way(done, total):
        steps.append((done, total))
        if len(steps) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device.upload([(64, data)], stop_half_way)
    assert steps == [(CHUNK, data.size), (2 * CHUNK, data.size)]
    assert device.upload([(64, data)], lambda done, total: None) == data.size - 2 * CHUNK
    assert device.upload([(64, data)], lambda done, total: None) == 0
    assert np.array_equal(device.read_memory(64, data.size), data)


def test_another_bitstream_is_refused_by_its_hash(start, tmp_path):
    running = start()
    fields = json.loads((running.folder / "system.json").read_text())
    other = tmp_path / "system.json"
    other.write_text(json.dumps(fields | {"build": "00000000deadbeef"}))
    with pytest.raises(
        SystolithError,
        match=rf"^litex://localhost:\d+: the board holds another bitstream \(hash "
        rf"{fields['build']}, \S+ is of 00000000deadbeef\); load it with `systolith program`$",
    ):
        running.device(system=System.load(other))
    other.write_text(json.dumps(fields | {"magic": 1}))
    with pytest.raises(SystolithError, match=r"this is not a Systolith system"):
        running.device(system=System.load(other))
    with pytest.raises(SystolithError, match=r"was built for another configuration"):
        Driver(running.device(), PRESETS["tiny"], 1 << 20)


def test_a_corrupted_upload_is_reported(start):
    marked = bytes.fromhex("5a17c0de")
    damaged = []

    def damage(data):
        if marked in data:
            damaged.append(data)
        return data.replace(marked, bytes.fromhex("5a17c0df"))

    device = start(damage).device()
    data = np.zeros(64, np.uint8)
    data[20:24] = np.frombuffer(marked[::-1], np.uint8)
    with pytest.raises(
        SystolithError,
        match=r"^litex://localhost:\d+: the upload is corrupted: 64 bytes at 0x100 have checksum "
        r"[0-9a-f]{8}, not [0-9a-f]{8}, after 3 attempts$",
    ):
        device.upload([(0x100, data)], lambda done, total: None)
    assert damaged
    device.upload([(0x100, data * 0)], lambda done, total: None)


def test_a_silent_board_is_reported_at_the_limit(start):
    running = start()
    device = running.device(seconds=2.0)
    running.simulator.kill()
    began = time.monotonic()
    with pytest.raises(
        SystolithError, match=r"no answer within 2 s; is the board on, and its bitstream loaded\?$"
    ):
        device.read_register(0)
    assert time.monotonic() - began < 10


def test_a_cut_connection_is_reported_at_once(start):
    running = start()
    device = running.device(seconds=20.0)
    data = np.zeros(40 * CHUNK, np.uint8)
    data[::5] = 7
    threading.Timer(1.0, running.server.kill).start()
    began = time.monotonic()
    with pytest.raises(SystolithError, match=r"the connection is cut \(.*\); run again to go on$"):
        device.upload([(0, data)], lambda done, total: None)
    assert time.monotonic() - began < 10


def test_nobody_there_is_reported():
    with pytest.raises(
        SystolithError, match=r"^litex://localhost:1: no answer \(Connection refused\); start"
    ):
        Link("litex://localhost:1", 2.0)


def test_whatever_answers_there_instead_is_reported():
    with socket.create_server(("localhost", 0)) as listener:

        def answer():
            with listener.accept()[0] as connection:
                connection.sendall(b"220 mail ready\r\n")
                connection.recv(100)
                connection.sendall(b"500 what do you mean?\r\n" * 400)

        threading.Thread(target=answer).start()
        address = f"litex://localhost:{listener.getsockname()[1]}"
        with contextlib.closing(Link(address, 2.0)) as link:
            with pytest.raises(
                SystolithError, match=rf"^{address}: what answers is no litex_server "
            ):
                link.read(0)


def test_a_machine_that_does_not_answer_is_reported_at_the_limit(monkeypatch):
    def connect(address, seconds):
        raise TimeoutError(f"{address} for {seconds} s")

    monkeypatch.setattr("socket.create_connection", connect)
    with pytest.raises(SystolithError, match=r"^litex://far:1: no answer \(.* for 2.0 s\); "):
        Link("litex://far:1", 2.0)


def test_a_name_of_no_machine_is_refused():
    with pytest.raises(SystolithError, match=r"^--device: 'a..b' is not a host name$"):
        Link("litex://a..b:1", 2.0)


def test_long_reads_use_most_of_what_the_pins_can(folder):
    stand_in = StandIn("MT48LC16M16", 50e6, 100e6)  # the simulator that is there already
    with ProgressLog(Console(stderr=True)) as log:
        moved, pins = measure_efficiency(CONFIG, stand_in, log)
    assert pins == 100.0
    assert 0.5 * pins < moved < pins
