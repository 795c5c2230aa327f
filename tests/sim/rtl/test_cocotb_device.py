"""The memory of the simulated device, without a simulator; tests/e2e has the rest of it."""

import numpy as np
import pytest

from systolith_sim.rtl import cocotb_device
from systolith_sim.rtl.build import SimulatorError
from systolith_sim.rtl.cocotb_device import CocotbDevice


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(range(64)))
    return path


def test_the_file_is_the_memory_where_the_simulator_maps_it(image):
    device = CocotbDevice(None, image)
    assert device.read_memory(10, 3).tolist() == [10, 11, 12]
    device.write_memory(11, np.array([200, 201], np.uint8))
    device.finish()
    assert image.read_bytes()[9:14] == bytes([9, 10, 200, 201, 13])


def test_what_was_read_does_not_change_with_the_memory(image):
    device = CocotbDevice(None, image)
    before = device.read_memory(0, 4)
    device.write_memory(0, np.zeros(4, np.uint8))
    assert before.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("address", "size"), [(-1, 2), (63, 2), (64, 1)])
def test_beyond_the_memory_is_refused(image, address, size):
    device = CocotbDevice(None, image)
    line = rf"^memory has 64 bytes, not {size} from address "
    with pytest.raises(SimulatorError, match=line):
        device.read_memory(address, size)
    with pytest.raises(SimulatorError, match=line):
        device.write_memory(address, np.zeros(size, np.uint8))
    assert image.read_bytes() == bytes(range(64))


@pytest.fixture
def copying(image, monkeypatch):
    """Return a device whose simulator has a copy of the memory, and what it was told."""
    told = []
    out = image.with_name("out")

    def sync(dut, bits):
        told.append(bits)
        if bits == 1:
            out.write_bytes(bytes(64))

    monkeypatch.setattr(cocotb_device, "_sync", sync)
    monkeypatch.setattr(cocotb_device, "_write_register", lambda dut, offset, value: None)
    return CocotbDevice(None, image, out), told, out


def test_a_copy_is_fetched_once_after_the_simulator_may_have_written(copying):
    device, told, _ = copying
    assert device.read_memory(1, 2).tolist() == [1, 2]
    assert told == []
    device.write_register(0, 1)
    assert device.read_memory(1, 2).tolist() == [0, 0]
    assert device.read_memory(1, 2).tolist() == [0, 0]
    assert told == [1]


def test_a_copy_is_told_of_what_was_written(copying):
    device, told, _ = copying
    device.write_memory(0, np.ones(4, np.uint8))
    assert told == [2]


def test_a_copy_of_another_size_is_refused(copying, monkeypatch):
    device, _, out = copying
    monkeypatch.setattr(cocotb_device, "_sync", lambda dut, bits: out.write_bytes(bytes(63)))
    device.write_register(0, 1)
    with pytest.raises(SimulatorError, match="copy of the memory has 63 bytes, not 64"):
        device.finish()


def test_waiting_goes_in_steps_and_ends_at_the_limit(image, monkeypatch):
    steps, seen = [], []
    monkeypatch.setattr(
        cocotb_device, "_wait_interrupt", lambda dut, cycles: steps.append(cycles) or False
    )
    device = CocotbDevice(None, image, progress_cycles=40)
    assert not device.wait_interrupt(100, seen.append)
    assert (steps, seen) == ([40, 40, 20], [40, 80, 100])
    monkeypatch.setattr(cocotb_device, "_wait_interrupt", lambda dut, cycles: True)
    assert device.wait_interrupt(100)
