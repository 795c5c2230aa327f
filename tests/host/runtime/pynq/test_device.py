"""Boards with PYNQ: a network through a stub of PYNQ's API that has the emulator behind it.

The stub keeps the processors' view of the buffer apart from the accelerator's, so that a flush or
an invalidation that is missing shows.
"""

import dataclasses
import random
import sys
import types
from typing import Any

import numpy as np
import pytest

from systolith_host.cli import app as cli
from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.network.golden import run_golden
from systolith_host.program.relocate import relocate
from systolith_host.runtime.backend import Observer
from systolith_host.runtime.jobs import plan_jobs
from systolith_host.runtime.pynq import device as module
from systolith_host.runtime.pynq.backend import PynqBackend, find_overlay
from systolith_host.runtime.pynq.device import PynqDevice
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import REGISTERS
from systolith_sim.emulator.device import Emulator

CONFIG = PRESETS["tiny"]
BASE = 0x0123_4000


class Buffer(np.ndarray):
    """As pynq.buffer.PynqBuffer: slices know where they are."""

    board: Any = None
    offset: int = 0

    def __array_finalize__(self, obj):
        if isinstance(obj, Buffer) and obj.board is not None:
            self.board = obj.board
            start = self.__array_interface__["data"][0] - obj.__array_interface__["data"][0]
            self.offset = obj.offset + start

    @property
    def device_address(self):
        return self.board.base + self.offset

    def _place(self):
        return slice(self.device_address, self.device_address + self.nbytes)

    def flush(self):
        self.board.memory[self._place()] = np.asarray(self)

    def invalidate(self):
        np.asarray(self)[:] = self.board.memory[self._place()]

    def freebuffer(self):
        self.board.lent -= 1


class Board(types.ModuleType):
    """The module pynq of a board whose logic is the emulator."""

    Clocks = types.SimpleNamespace(fclk0_mhz=99.999)

    def __init__(self, config=CONFIG, base=BASE, size=1 << 20):
        super().__init__("pynq")
        self.base, self.size, self.lent = base, size, 0
        self.memory = np.random.default_rng(1).integers(0, 256, base + size, np.uint8)
        self.emulator = Emulator(config, self.memory, strict=True)
        self.cells = {
            "resets": {"type": "xilinx.com:ip:proc_sys_reset:5.0"},
            "core": {
                "type": "systolith:accelerator:systolith_tiny:1.0",
                "phys_addr": 0xA000_0000,
                "addr_range": 4096,
            },
        }

    def Overlay(self, path):
        return types.SimpleNamespace(ip_dict=self.cells)

    def MMIO(self, address, length):
        assert (address, length) == (0xA000_0000, 4096)
        return self

    def read(self, offset):
        assert offset % 4 == 0
        return self.emulator.read_register(offset)

    def write(self, offset, data):
        if type(data) is not int:
            raise ValueError("Data type must be int or bytes.")
        self.emulator.write_register(offset, data)

    def allocate(self, shape, dtype, cacheable):
        (size,) = shape
        if size > self.size:
            raise RuntimeError("Allocate failed: 4294967295")
        buffer: Any = np.zeros(shape, dtype).view(Buffer)
        buffer.board = self
        self.lent += 1
        return buffer


@pytest.fixture
def bitstream(tmp_path):
    (tmp_path / "kv260.hwh").write_text("<EDKSYSTEM/>")
    (tmp_path / "kv260.bit").write_text("bits")
    return tmp_path / "kv260.bit"


@pytest.fixture
def board(monkeypatch):
    stub = Board()
    monkeypatch.setitem(sys.modules, "pynq", stub)
    return stub


@pytest.fixture(scope="module")
def case():
    rng = random.Random(11)
    qgraph = random_qgraph(rng)
    images = random_input(rng, qgraph, 2)
    return compile_network(qgraph, CONFIG, 2), run_golden(qgraph, images)


def run(program, tensors, bitstream):
    (job,) = plan_jobs(program.layers, tensors, sequential=True, parts=program.parts)
    messages = []
    backend = PynqBackend(bitstream)
    outcomes = backend.run(program, [job], Observer(message=messages.append))
    return outcomes, backend.facts.clock_mhz, messages


def test_network_equals_the_golden_model(case, board, bitstream):
    program, tensors = case
    before = board.memory[:BASE].copy()
    outcomes, clock, (message,) = run(program, tensors, bitstream)
    assert len(outcomes) == len(program.layers) > 1
    for outcome, layer in zip(outcomes, program.layers, strict=True):
        np.testing.assert_array_equal(outcome.output, tensors[layer.output])
    assert np.array_equal(board.memory[:BASE], before)
    assert (clock, board.lent) == (99.999, 0)
    assert "clock 99.999 MHz" in message


@pytest.mark.parametrize("method", ["flush", "invalidate"])
def test_stub_notices_a_missing_cache_operation(case, board, bitstream, monkeypatch, method):
    program, tensors = case
    monkeypatch.setattr(Buffer, method, lambda self: None)
    try:
        outcomes, _, _ = run(program, tensors, bitstream)
    except Exception:  # whatever the emulator makes of a damaged program
        return
    assert not all(
        np.array_equal(outcome.output, tensors[layer.output])
        for outcome, layer in zip(outcomes, program.layers, strict=True)
    )


def test_program_that_was_not_moved_is_stopped_by_the_window(case, board, bitstream, monkeypatch):
    program, tensors = case
    monkeypatch.setattr(
        "systolith_host.runtime.pynq.backend.relocate", lambda program, base: program.segments
    )
    with pytest.raises(SystolithError, match=r"is outside of the program's memory \(0x1234000 to"):
        run(program, tensors, bitstream)
    assert board.lent == 0


def test_moved_program_differs_in_addresses_alone(case):
    program, _ = case
    changed = 0
    for (address, old), (same, new) in zip(program.segments, relocate(program, BASE), strict=True):
        assert address == same
        changed += not np.array_equal(old, new)
        assert old.size == new.size
    assert changed == 1
    assert all(
        np.array_equal(old, new)
        for (_, old), (_, new) in zip(program.segments, relocate(program, 0), strict=True)
    )


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (0x1040, r"^a program's memory must start at a page of 4096, not 0x1040$"),
        (-4096, r"^a program's memory must start at a page of 4096, not -0x1000$"),
        (0xFFFF_F000, r"^tiny: the memory ends at 0x1000.*, but addresses have 32 bits; build wi"),
    ],
)
def test_impossible_places_are_refused(case, base, message):
    with pytest.raises(SystolithError, match=message):
        relocate(case[0], base)


@pytest.mark.rtl
def test_moved_program_runs_in_the_rtl_as_the_golden_model(case, tmp_path):
    program, tensors = case
    base = 0x3000
    layers = tuple(
        dataclasses.replace(layer, instruction_address=base + layer.instruction_address)
        for layer in program.layers
    )
    segments = tuple((base + address, data) for address, data in relocate(program, base))
    moved = dataclasses.replace(
        program, layers=layers, segments=segments, memory_size=base + program.memory_size
    )
    image = tmp_path / "image"
    moved.write_image(image)
    place = program.places[program.input]
    with image.open("r+b") as file:
        for address, data in place.pieces(tensors[program.input]):
            file.seek(base + address)
            file.write(data.tobytes())
    simulate(moved, None, image)
    memory = np.fromfile(image, np.uint8)[base:]
    for layer in program.layers:
        place = program.places[layer.output]
        values = place.unpack(memory[place.address : place.address + place.size])
        np.testing.assert_array_equal(values, tensors[layer.output], err_msg=layer.output)


def test_accelerator_that_stands_still_is_given_up(board, bitstream, monkeypatch):
    monkeypatch.setattr(module, "STANDSTILL_SECONDS", 0.05)
    device = PynqDevice(bitstream, 4096)
    with pytest.raises(SystolithError, match=r"kv260.bit: the accelerator has stood at cycle 0 fo"):
        device.wait_interrupt(1000)


def test_wait_ends_at_the_limit_of_cycles(board, bitstream, monkeypatch):
    device = PynqDevice(bitstream, 4096)
    cycles = iter(range(100, 10_000, 100))
    low = REGISTERS["CYCLES"].offset
    monkeypatch.setattr(board, "read", lambda offset: next(cycles) if offset == low else 0)
    seen = []
    assert not device.wait_interrupt(500, seen.append)
    assert seen == [100, 200, 300, 400]


def test_without_pynq_one_line_says_what_is_needed(bitstream, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(
        SystolithError, match=r"^--device pynq needs PYNQ's Python package, on the "
    ):
        PynqDevice(bitstream, 4096)


@pytest.mark.parametrize("suffix", [".bit", ".hwh"])
def test_missing_files_are_named(board, bitstream, suffix):
    bitstream.with_suffix(suffix).unlink()
    with pytest.raises(SystolithError, match=rf"^--device pynq: .*kv260\{suffix} does not exist$"):
        PynqDevice(bitstream, 4096)


def test_bitstream_that_pynq_refuses(board, bitstream, monkeypatch):
    def refuse(path):
        raise RuntimeError("Unable to parse\nmetadata")

    monkeypatch.setattr(board, "Overlay", refuse)
    with pytest.raises(SystolithError, match=r"PYNQ refuses it: Unable to parse metadata$"):
        PynqDevice(bitstream, 4096)


def test_design_without_the_accelerator_is_refused(board, bitstream):
    del board.cells["core"]
    with pytest.raises(
        SystolithError, match=r"not 0 \(cells: xilinx.com:ip:proc_sys_reset:5.0\); build it with"
    ):
        PynqDevice(bitstream, 4096)


def test_too_little_contiguous_memory(board, bitstream):
    with pytest.raises(SystolithError, match=r"^PYNQ has no 1,048,577 bytes of contiguous memory"):
        PynqDevice(bitstream, (1 << 20) + 1)


def test_accelerator_of_another_configuration_is_refused(case, bitstream, monkeypatch):
    program, tensors = case
    other = dataclasses.replace(CONFIG, acc_depth=128)
    board = Board(other)
    monkeypatch.setitem(sys.modules, "pynq", board)
    with pytest.raises(SystolithError, match=r"^the accelerator was built for another configurat"):
        run(program, tensors, bitstream)
    assert board.lent == 0


def test_addresses_outside_the_memory_are_refused(board, bitstream):
    device = PynqDevice(bitstream, 4096)
    for address, size in ((-1, 2), (4095, 2)):
        with pytest.raises(SystolithError, match=r"^the memory has 4,096 bytes, not 2 from "):
            device.read_memory(address, size)


def test_only_bitstreams_are_overlays():
    with pytest.raises(SystolithError, match=r"^--device must be pynq:PATH.bit, not 'pynq:x.xsa'$"):
        find_overlay("pynq:x.xsa")


def test_command_line_runs_a_network(board, bitstream, monkeypatch, capsys):
    arguments = ["run", "mini", "--config", "tiny", "--device", f"pynq:{bitstream}"]
    monkeypatch.setattr(sys, "argv", ["systolith", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    output = capsys.readouterr()
    assert ended.value.code == 0, output.err
    assert f"pynq:{bitstream}" in output.out
