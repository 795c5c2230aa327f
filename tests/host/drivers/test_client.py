"""The host's end of a link, with the emulator at the other end."""

import socket
import threading

import numpy as np
import pytest

from systolith_host.drivers import client
from systolith_host.drivers.client import LinkedDevice
from systolith_host.drivers.link import LARGEST_TRANSFER, serve
from systolith_host.errors import SystolithError
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import IDENTITY, REGISTERS
from systolith_sim.emulator.device import Emulator


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_memory_and_registers_are_those_of_the_device(ends):
    ours, theirs = ends
    size = 2 * LARGEST_TRANSFER + 100
    served = Emulator(PRESETS["tiny"], size)
    thread = threading.Thread(target=serve, args=(served, theirs))
    thread.start()
    device = LinkedDevice(ours)
    data = np.random.default_rng(1).integers(0, 256, size - 3, np.uint8)
    device.write_memory(3, data)
    assert np.array_equal(served.memory[3:], data)
    assert np.array_equal(device.read_memory(3, data.size), data)
    assert device.read_register(REGISTERS["ID"].offset) == IDENTITY
    device.write_register(REGISTERS["WATCHDOG"].offset, 1234)
    assert device.read_register(REGISTERS["WATCHDOG"].offset) == 1234
    waited = []
    assert not device.wait_interrupt(120_000, waited.append)
    assert waited == [50_000, 100_000, 120_000]
    with pytest.raises(SystolithError, match=r"^the simulator refuses: read_memory at 0x200064$"):
        device.read_memory(size, 1)
    assert device.read_memory(0, 0).size == 0
    ours.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    with pytest.raises(SystolithError, match=r"^the simulator is gone: "):
        device.read_register(0)


def test_silence_ends_at_the_limit(ends, monkeypatch):
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)
    device = LinkedDevice(ends[0])
    with pytest.raises(SystolithError, match=r"^the simulator did not answer within 0.05 s$"):
        device.read_register(0)


def test_an_end_in_between_is_one_line(ends):
    ours, theirs = ends
    device = LinkedDevice(ours)
    theirs.close()
    with pytest.raises(SystolithError, match=r"^the simulator is gone: "):
        device.read_register(0)
