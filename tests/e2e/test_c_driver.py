"""The C driver on the RTL: bytes and counters are the Python driver's, and each fault is reported.

SYSTOLITH_SEED repeats the random networks.
"""

import os
import random
import shutil
import socket
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.drivers.link import REQUEST, REQUESTS
from systolith_host.drivers.simulation import linked_simulation
from systolith_host.errors import SystolithError
from systolith_host.lab.c_driver import compile_run_image
from systolith_host.lab.faults.table import faulty_instructions
from systolith_host.lab.fuzz.networks import random_input, random_qgraph, sought
from systolith_host.network.golden import run_golden
from systolith_host.program.instructions import layer_instructions
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Opcode, buffers_of
from systolith_hw.spec.registers import STATUS_ERROR, Engine, ErrorCode, counter_name
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.simulator import accelerator_build
from systolith_sim.testing.configs import small_config

pytestmark = [
    pytest.mark.rtl,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing"),
]

SEED = os.environ.get("SYSTOLITH_SEED")
LONGEST = 20_000
"""Predicted cycles of a network."""

CONFIGS = [
    small_config(8, 4, bus_bytes=8, act_depth=512, param_depth=32),
    small_config(4, 8, bus_bytes=16, act_depth=512, post_lanes=2, outstanding_reads=2),
]
TIMING = MemoryTiming(latency=30)


@pytest.fixture(scope="session")
def run_image(tmp_path_factory):
    return compile_run_image(tmp_path_factory.mktemp("run_image"))


def simulation(config, folder, memory_size, timing=TIMING, **options):
    built = accelerator_build(config)
    return linked_simulation(built, config, folder, memory_size, memory=timing, **options)


def case(rng, config, batch=2):
    """Return a random network, its program and its images."""

    def draw():
        qgraph = random_qgraph(rng)
        try:
            program = compile_network(qgraph, config, batch)
        except ShortageError:
            return None
        if sum(layer.predicted_cycles for layer in program.layers) < LONGEST:
            return qgraph, program, random_input(rng, qgraph, batch)
        return None

    return sought(draw)


def as_c_names_them(counted):
    """Return a layer's counters by the names that C prints."""
    found = {"cycles": counted.cycles, "bytes_read": counted.bytes_read}
    found["bytes_written"] = counted.bytes_written
    for engine, states in counted.states.items():
        for state, cycles in states.items():
            found[counter_name(Engine[engine], state).lower()] = cycles
    return found


def by_python(program, images, folder, timing=TIMING):
    """Return the counters of each layer, as C names them, and the memory after a run by Python."""
    image = folder / "python"
    program.write_image(image, {program.input: images})
    counted = simulate(program, None, image, memory=timing)
    names = [layer.name for layer in program.layers]
    return dict(zip(names, map(as_c_names_them, counted), strict=True)), np.fromfile(
        image, np.uint8
    )


@pytest.mark.parametrize("options", [(), ("--poll",)], ids=["interrupt", "poll"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_c_and_python_leave_the_same_bytes_and_counters(config, options, run_image, tmp_path):
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(32)
    print(f"SYSTOLITH_SEED={seed}")
    rng = random.Random(seed)
    qgraph, program, images = case(rng, config)
    timing = MemoryTiming(latency=rng.choice([2, 30]), bytes_per_cycle=rng.choice([None, 3.0]))
    counters, memory = by_python(program, images, tmp_path, timing)
    with simulation(config, tmp_path, program.memory_size, timing) as link:
        seen = run_image.run(program, images, link, *options)
    assert (seen.status, seen.error, seen.failures) == (0, "", {})
    assert seen.counters == counters
    np.testing.assert_array_equal(seen.output, run_golden(qgraph, images)[program.output])
    np.testing.assert_array_equal(np.fromfile(tmp_path / "memory", np.uint8), memory)


def test_a_program_at_another_base_does_the_same(run_image, tmp_path):
    config, base = CONFIGS[0], 0x21000
    qgraph, program, images = case(random.Random(5), config)
    counters, memory = by_python(program, images, tmp_path)
    size = base + program.memory_size
    with simulation(config, tmp_path, size, memory_base=base) as link:
        seen = run_image.run(program, images, link, "--base", hex(base))
    assert (seen.status, seen.counters) == (0, counters)
    np.testing.assert_array_equal(seen.output, run_golden(qgraph, images)[program.output])
    moved = np.fromfile(tmp_path / "memory", np.uint8)
    assert not moved[:base].any()
    for place in program.places.values():
        span = slice(place.address, place.address + place.size)
        np.testing.assert_array_equal(moved[base:][span], memory[span], err_msg=place.tensor)


def one_layer(config, rng):
    """Return a network, a program of its first layer alone, and images; it has all instructions."""

    def draw():
        qgraph, program, images = case(rng, config, 1)
        layer = program.layers[0]
        instructions = layer_instructions(program, layer)
        buffers = {i["buffer"] for i in instructions if i.opcode is Opcode.LOAD}
        kinds = {i.opcode for i in instructions}
        if kinds == set(Opcode) and buffers == set(buffers_of(config)) and len(instructions) < 30:
            return qgraph, replace(program, layers=(layer,), output=layer.output), images
        return None

    return sought(draw)


class LinkedDevice:
    """The device at the other end of a link, for the Python driver."""

    def __init__(self, connection):
        self.connection = connection

    def ask(self, name, address, argument=0, payload=b"", size=0):
        self.connection.sendall(REQUEST.pack(REQUESTS[name], address, argument) + payload)
        answer = self.connection.recv(1 + size, socket.MSG_WAITALL)
        assert answer[0] == 0
        return answer[1:]

    def write_memory(self, address, data):
        self.ask("write_memory", address, data.size, data.tobytes())

    def read_memory(self, address, size):
        return np.frombuffer(self.ask("read_memory", address, size, size=size), np.uint8)

    def write_register(self, offset, value):
        self.ask("write_register", offset, value)

    def read_register(self, offset):
        return int.from_bytes(self.ask("read_register", offset, size=4), "little")

    def wait_interrupt(self, limit, progress=None):
        return bool(self.ask("wait_interrupt", 0, limit, size=1)[0])


def by_linked_python(program, images, connection):
    """Run all layers by the Python driver on a linked device; return counters, errors, output."""
    device = LinkedDevice(connection)
    driver = Driver(device, program.config, program.memory_size)
    pieces = program.places[program.input].pieces(images)
    for address, data in (*program.segments, *pieces):
        device.write_memory(address, data)
    counters, errors = {}, {}
    for layer in program.layers:
        try:
            counters[layer.name] = as_c_names_them(driver.run_layer(layer, 1_000_000))
        except SystolithError as error:
            errors[layer.name] = str(error)
    place = program.places[program.output]
    return counters, errors, place.unpack(device.read_memory(place.address, place.size))


def with_faults(program, config):
    """Return a program of faulty copies of a layer, each before a good one, and their errors.

    The simulated memory ends in the middle of what the program may touch.
    """
    (layer,) = program.layers
    code = b"".join(i.encode() for i in layer_instructions(program, layer))
    count = len(faulty_instructions(config, layer_instructions(program, layer), 0))
    start = program.memory_size
    end = -(-(start + count * len(code)) // 4096) * 4096
    copies, layers, wanted = b"", [], {}
    for number, bad, error, engine, info in faulty_instructions(
        config, layer_instructions(program, layer), end
    ):
        name = f"bad{len(wanted)}"
        layers.append(replace(layer, name=name, instruction_address=start + len(copies)))
        layers.append(replace(layer, name=f"good{len(wanted)}"))
        place = number * INSTRUCTION_BYTES
        copies += code[:place] + bad + code[place + INSTRUCTION_BYTES :]
        wanted[name] = (error.name, engine.name, str(info))
    segments = (*program.segments, (start, np.frombuffer(copies, np.uint8)))
    return replace(program, layers=tuple(layers), segments=segments, memory_size=2 * end), wanted


@pytest.mark.parametrize(
    ("config", "options"),
    [(CONFIGS[0], ()), (CONFIGS[1], ("--poll",))],
    ids=["8x4-interrupt", "4x8-poll"],
)
def test_each_fault_is_reported_and_the_next_program_is_exact(config, options, run_image, tmp_path):
    qgraph, program, images = one_layer(config, random.Random(7))
    faulty, wanted = with_faults(program, config)
    half = faulty.memory_size // 2
    with simulation(config, tmp_path, half) as link:
        counters, errors, output = by_linked_python(faulty, images, link)
    with simulation(config, tmp_path, half) as link:
        seen = run_image.run(faulty, images, link, "--keep-going", *options)
    assert seen.status == 1
    assert seen.order == tuple(layer.name for layer in faulty.layers)
    assert {
        name: (failure["code"], failure["engine"], failure["info"])
        for name, failure in seen.failures.items()
    } == wanted
    for failure in seen.failures.values():
        assert (failure["result"], failure["status"]) == ("7", str(STATUS_ERROR))
        assert failure["stuck"] == "0"
    assert errors.keys() == wanted.keys()
    assert seen.counters == counters
    np.testing.assert_array_equal(seen.output, output)
    whole = run_golden(qgraph, images)[program.output]
    np.testing.assert_array_equal(output, whole)
    assert {error for error, _, _ in wanted.values()} == {
        "ILLEGAL",
        "BUFFER",
        "ADDRESS",
        "BUS",
        "COUNT",
    }


@pytest.mark.parametrize("options", [(), ("--poll",)], ids=["interrupt", "poll"])
def test_watchdog_and_limit_end_a_run_and_the_next_is_exact(options, run_image, tmp_path):
    config = CONFIGS[0]
    qgraph, program, images = case(random.Random(8), config)
    counters, _ = by_python(program, images, tmp_path)
    names = tuple(layer.name for layer in program.layers)
    with simulation(config, tmp_path, program.memory_size) as link:
        options = ("--keep-going", *options)
        # The memory answers after 30 cycles.
        seen = run_image.run(program, images, link, "--watchdog", "20", *options)
        assert tuple(seen.failures) == names
        for failure in seen.failures.values():
            assert (failure["result"], failure["code"]) == ("7", ErrorCode.WATCHDOG.name)
            assert (failure["stuck"], failure["fetched"]) == ("0", "0")
        seen = run_image.run(program, images, link, "--limit", "10", *options)
        assert tuple(seen.failures) == names
        for failure in seen.failures.values():
            assert (failure["result"], failure["code"], failure["stuck"]) == ("8", "NONE", "0")
        seen = run_image.run(program, images, link, *options)
        assert (seen.status, seen.counters) == (0, counters)
        np.testing.assert_array_equal(seen.output, run_golden(qgraph, images)[program.output])


@pytest.mark.parametrize("options", [(), ("--poll",)], ids=["interrupt", "poll"])
def test_a_memory_that_never_answers_is_reported_with_the_reset_that_does_not_end(
    options, run_image, tmp_path
):
    config = CONFIGS[0]
    _, program, images = case(random.Random(9), config)
    timing = MemoryTiming(latency=30, dead=True)
    with simulation(config, tmp_path, program.memory_size, timing) as link:
        seen = run_image.run(program, images, link, "--watchdog", "200", *options)
        (failure,) = seen.failures.values()
        assert (failure["code"], failure["stuck"]) == (ErrorCode.WATCHDOG.name, "1")
        # The next driver finds it in that state.
        seen = run_image.run(program, images, link, *options)
        (failure,) = seen.failures.values()
        assert failure["result"] == "6"


def test_a_memory_that_breaks_the_protocol_is_named_and_a_reset_ends(run_image, tmp_path):
    config = CONFIGS[0]
    qgraph, program, images = one_layer(config, random.Random(7))
    (layer,) = program.layers
    starts = [(breach, after) for breach in range(1, 8) for after in (0, 60)]
    # The first good run after a breach may still be told of one that came after the program's end.
    layers = tuple(
        replace(layer, name=f"{kind}{number}")
        for number in range(len(starts))
        for kind in ("broken", "next", "good")
    )
    breaches = [(3 * number, *start) for number, start in enumerate(starts)]
    broken = replace(program, layers=layers)
    with simulation(config, tmp_path, program.memory_size, breaches=breaches) as link:
        counters, errors, _ = by_linked_python(broken, images, link)
    with simulation(config, tmp_path, program.memory_size, breaches=breaches) as link:
        seen = run_image.run(broken, images, link, "--keep-going")
    assert seen.failures.keys() == errors.keys()
    assert seen.counters == counters
    np.testing.assert_array_equal(seen.output, run_golden(qgraph, images)[program.output])
    assert seen.order == tuple(layer.name for layer in layers)
    told = set()
    for number, (breach, _) in enumerate(starts):
        assert f"good{number}" in seen.counters
        for name in (f"broken{number}", f"next{number}"):
            if name in seen.failures:
                failure = seen.failures[name]
                assert (failure["code"], failure["info"]) == (ErrorCode.PROTOCOL.name, "0")
                assert failure["stuck"] == "0"
                told.add(breach)
    assert told == set(range(1, 8))
