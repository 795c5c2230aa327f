"""The C driver on the emulator: tensors, bases, errors, lost writes, and links that break."""

import random
import shutil
import socket
import threading
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.drivers.link import serve
from systolith_host.errors import SystolithError
from systolith_host.lab.c_driver import compile_run_image
from systolith_host.lab.drawn_networks import Net
from systolith_host.lab.fuzz.networks import (
    random_config,
    random_input,
    random_qgraph,
    run_program,
    sought,
)
from systolith_host.network.golden import run_golden
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import (
    CONTROL_START,
    REGISTERS,
    STATUS_BUSY,
    STATUS_ERROR,
    Engine,
    ErrorCode,
)
from systolith_sim.emulator.device import Emulator


@pytest.fixture(scope="session")
def run_image(tmp_path_factory):
    """Return a function that runs a program by C on a device that a thread serves."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing, so the C driver is not tested")
    example = compile_run_image(tmp_path_factory.mktemp("run_image"))

    def run(program, images, device, *options, base=0):
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=serve, args=(device, ours, base))
        thread.start()
        with ours:
            with theirs:
                seen = example.run(program, images, theirs, *options)
            thread.join(60)
            assert not thread.is_alive()
        return seen

    return run


class Logged(Emulator):
    """An emulator that remembers what was written to its registers."""

    def __init__(self, config, size):
        super().__init__(config, size, strict=True)
        self.writes = []

    def write_register(self, offset, value):
        self.writes.append((offset, value))
        super().write_register(offset, value)


def random_case(rng):
    def draw():
        qgraph, batch = random_qgraph(rng), rng.choice([1, 2, 3])
        try:
            program = compile_network(qgraph, random_config(rng), batch)
        except ShortageError:
            return None
        return qgraph, program, random_input(rng, qgraph, batch)

    return sought(draw)


@pytest.fixture(scope="module")
def case():
    rng = random.Random(3)
    qgraph = random_qgraph(rng)
    program = compile_network(qgraph, PRESETS["tiny"], 2)
    return qgraph, program, random_input(rng, qgraph, 2)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_give_the_golden_output_and_the_drivers_bytes(seed, run_image):
    rng = random.Random(seed)
    qgraph, program, images = random_case(rng)
    base = rng.choice([0, 0x1000, 0x54000])
    if base + program.memory_size > 1 << program.config.addr_width:
        base = 0
    device = Logged(program.config, base + program.memory_size)
    options = ["--base", hex(base), *rng.choice([[], ["--poll"]])]
    seen = run_image(program, images, device, *options, base=base)
    assert (seen.status, seen.error, seen.failures) == (0, "", {})
    wanted = run_golden(qgraph, images)[program.output]
    np.testing.assert_array_equal(seen.output, wanted)
    # All of memory is what the Python driver leaves; instructions differ by their base.
    emulator = Emulator(program.config, program.memory_size, strict=True)
    run_program(program, emulator, images)
    memory = device.memory[base:]
    for place in program.places.values():
        span = slice(place.address, place.address + place.size)
        np.testing.assert_array_equal(memory[span], emulator.memory[span], err_msg=place.tensor)
    if base == 0:
        np.testing.assert_array_equal(memory, emulator.memory)
    assert list(seen.counters) == [layer.name for layer in program.layers]


def test_tensors_inside_mosaics_are_read_and_written_pixel_by_pixel(run_image):
    config, net = PRESETS["tiny"], Net()
    outputs = 2 * config.block + 1
    apart = [net.conv("x", outputs) for _ in range(4)]
    beside = [net.phases(apart, 2, 2), net.conv(net.phases(["x"] * 4, 2, 2), outputs)]
    qgraph = net.build(net.conv(net.beside(*beside), 4, 3))
    images = random_input(random.Random(1), qgraph, 2)
    program, golden = compile_network(qgraph, config, 2), run_golden(qgraph, images)
    pitched = {apart[3]: "pixel_pitch", beside[1]: "row_pitch"}
    for name, pitch in pitched.items():
        assert getattr(program.places[name], pitch)
        device = Logged(config, program.memory_size)
        seen = run_image(replace(program, output=name), images, device)
        assert (seen.status, seen.error) == (0, "")
        np.testing.assert_array_equal(seen.output, golden[name])
        # Given as the input of the last layer alone, it is where the Python driver puts it.
        last = replace(program, input=name, layers=program.layers[-1:])
        device, emulator = (
            Logged(config, program.memory_size),
            Emulator(config, program.memory_size),
        )
        assert run_image(last, golden[name], device).status == 0
        run_program(last, emulator, golden[name])
        np.testing.assert_array_equal(device.memory, emulator.memory)
        place = last.places[name]
        written = place.unpack(device.read_memory(place.address, place.size))
        np.testing.assert_array_equal(written, golden[name])


def test_the_interrupt_is_enabled_only_if_it_is_used(case, run_image):
    _, program, images = case
    for options, wanted in (([], 1), (["--poll"], 0)):
        device = Logged(program.config, program.memory_size)
        assert run_image(program, images, device, *options).status == 0
        enables = [v for offset, v in device.writes if offset == REGISTERS["IRQ_ENABLE"].offset]
        assert set(enables) == {wanted}


class Changed(Logged):
    """An emulator with some registers that say something else."""

    def __init__(self, config, size, **values):
        super().__init__(config, size)
        self.values = {REGISTERS[name].offset: value for name, value in values.items()}

    def read_register(self, offset):
        return self.values.get(offset, super().read_register(offset))


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ({"ID": 5}, "2"),
        ({"VERSION": 99}, "3"),
        ({"FINGERPRINT": 1}, "4"),
        ({"PROGRAM_COUNT": 0}, "5"),
        ({"WINDOW_END": 64}, "5"),
        ({"STATUS": STATUS_BUSY}, "6"),
    ],
)
def test_a_device_that_is_another_or_loses_writes_is_refused(case, run_image, values, result):
    _, program, images = case
    device = Changed(program.config, program.memory_size, **values)
    seen = run_image(program, images, device)
    assert seen.status == 1
    (failure,) = seen.failures.values()
    assert failure["result"] == result
    if result == "5":
        (name,) = values
        assert int(failure["lost_register"], 16) == REGISTERS[name].offset
    started = (REGISTERS["CONTROL"].offset, CONTROL_START)
    assert started not in device.writes


def test_memory_that_is_too_small_or_beyond_the_addresses_is_refused(case, run_image):
    _, program, images = case
    device = Logged(program.config, program.memory_size)
    for options in (
        ["--memory", str(program.memory_size - 1)],
        ["--base", hex((1 << program.config.addr_width) - program.memory_size + 0x1000)],
    ):
        (failure,) = run_image(program, images, device, *options).failures.values()
        assert failure["result"] == "11"
    (failure,) = run_image(program, images, device, "--base", "0x800").failures.values()
    assert failure["result"] == "12"


def test_every_error_is_reported_as_the_registers_say_it(case, run_image):
    _, program, images = case
    for code in ErrorCode:
        if code is ErrorCode.NONE:
            continue
        for engine in Engine:
            info = 0x9_0000_0007 + 16 * code + engine
            device = Changed(
                program.config,
                program.memory_size,
                STATUS=STATUS_ERROR,
                ERROR_CODE=int(code),
                ERROR_ENGINE=int(engine),
                ERROR_INFO=info & 0xFFFFFFFF,
                ENGINE_STATE=0x2340,
                FETCHED=11,
                STORED=15,
            )
            device.values[REGISTERS["ERROR_INFO"].offset + 4] = info >> 32
            (failure,) = run_image(program, images, device).failures.values()
            assert failure == {
                "result": "7",
                "status": str(STATUS_ERROR),
                "code": code.name,
                "engine": engine.name,
                "info": str(info),
                "stuck": "0",
                "LOAD": "wait_store",
                "COMPUTE": "wait_weights",
                "STORE": "wait_compute",
                "fetched": "11",
                "loaded": failure["loaded"],
                "computed": failure["computed"],
                "drained": failure["drained"],
                "stored": "15",
            }


class Silent(Logged):
    """An emulator whose programs never end, for the first `times` of them."""

    def __init__(self, config, size, times, moves=True):
        super().__init__(config, size)
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


@pytest.mark.parametrize("options", [[], ["--poll"]])
@pytest.mark.parametrize("moves", [True, False])
def test_a_program_that_does_not_end_times_out_and_the_next_runs(case, run_image, options, moves):
    _, program, images = case
    device = Silent(program.config, program.memory_size, 1, moves)
    seen = run_image(program, images, device, "--keep-going", "--limit", "5000", *options)
    (failure,) = seen.failures.values()
    assert (failure["result"], failure["status"], failure["stuck"]) == ("8", "1", "0")
    assert list(seen.counters) == [layer.name for layer in program.layers[1:]]
    if options and moves:
        assert device.cycles == 5000


def test_an_interrupt_without_an_end_is_told_from_a_time_out(case, run_image):
    _, program, images = case
    device = Silent(program.config, program.memory_size, 1)
    device.wait_interrupt = lambda limit, progress=None: True
    (failure, *_) = run_image(program, images, device).failures.values()
    assert failure["result"] == "9"


@pytest.mark.parametrize(
    "fails", ["read_register", "write_register", "write_memory", "read_memory"]
)
@pytest.mark.parametrize("after", [0, 3, 40])
def test_a_bus_that_fails_ends_the_run(case, run_image, fails, after):
    _, program, images = case
    device = Logged(program.config, program.memory_size)
    inner, count = getattr(device, fails), [0]

    def failing(*arguments):
        count[0] += 1
        if count[0] > after:
            raise SystolithError("the bus fails")
        return inner(*arguments)

    setattr(device, fails, failing)
    seen = run_image(program, images, device)
    if count[0] <= after:
        assert (seen.status, seen.failures) == (0, {})
        return
    assert seen.status == 1
    first, *_ = seen.failures.values()
    assert (first["result"], first["bus_error"]) == ("1", "2")
    if fails != "read_memory":  # the output is read whatever happened before
        assert count[0] == after + 1


def test_an_image_of_another_configuration_is_refused_before_anything_is_written(case, run_image):
    _, program, images = case
    other = replace(PRESETS["tiny"], acc_depth=32, name="other")
    device = Logged(other, program.memory_size)
    (failure,) = run_image(program, images, device).failures.values()
    assert failure["result"] == "4"
    assert not device.memory.any()
