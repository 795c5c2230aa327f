"""The link: requests, refusals, and partners that end or talk nonsense."""

import socket
import threading

import numpy as np
import pytest

from systolith_host.drivers.link import LARGEST_TRANSFER, REQUEST, REQUESTS, serve
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import IDENTITY, REGISTERS
from systolith_sim.emulator.device import Emulator


@pytest.fixture
def link():
    """Yield a connection to a served emulator, and the emulator."""
    ours, theirs = socket.socketpair()
    device = Emulator(PRESETS["tiny"], 4096)
    thread = threading.Thread(target=serve, args=(device, theirs))
    thread.start()
    ours.settimeout(20)
    yield ours, device
    ours.close()
    thread.join(20)
    theirs.close()
    assert not thread.is_alive()


def ask(connection, name, address=0, argument=0, payload=b"", size=0):
    """Return the answer's bytes, or None if the request is refused."""
    connection.sendall(REQUEST.pack(REQUESTS[name], address, argument) + payload)
    if connection.recv(1) != b"\0":
        return None
    return connection.recv(size, socket.MSG_WAITALL) if size else b""


def test_registers_and_memory_can_be_reached(link):
    connection, device = link
    offset = REGISTERS["WATCHDOG"].offset
    assert ask(connection, "read_register", 0, size=4) == IDENTITY.to_bytes(4, "little")
    assert ask(connection, "write_register", offset, 0xFFFFFFFF) == b""
    assert ask(connection, "read_register", offset, size=4) == b"\xff" * 4
    assert ask(connection, "write_memory", 7, 3, b"abc") == b""
    assert ask(connection, "read_memory", 6, 5, size=5) == b"\0abc\0"
    assert ask(connection, "wait_interrupt", 0, 100, size=1) == b"\0"
    assert device.memory[7] == ord("a")


@pytest.mark.parametrize(
    ("name", "address", "argument"),
    [
        ("read_register", 2, 0),
        ("read_register", 1 << 12, 0),
        ("write_register", 0, 1 << 32),
        ("read_memory", 4090, 7),
        ("read_memory", 1 << 63, 1),
        ("read_memory", 0, LARGEST_TRANSFER + 1),
    ],
)
def test_what_is_refused_leaves_the_link_working(link, name, address, argument):
    connection, _ = link
    assert ask(connection, name, address, argument) is None
    assert ask(connection, "read_register", 0, size=4) is not None


def test_a_write_beyond_memory_is_refused_with_its_bytes(link):
    connection, device = link
    assert ask(connection, "write_memory", 4095, 2, b"ab") is None
    assert not device.memory.any()
    assert ask(connection, "write_memory", 4095, 1, b"c") == b""


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"r",
        REQUEST.pack(b"?", 0, 0),
        REQUEST.pack(REQUESTS["write_memory"], 0, LARGEST_TRANSFER + 1),
        REQUEST.pack(REQUESTS["write_memory"], 0, 10) + b"short",
    ],
)
def test_a_partner_that_ends_or_talks_nonsense_ends_the_service(stream):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(stream)
        ours.shutdown(socket.SHUT_WR)
        serve(Emulator(PRESETS["tiny"], 64), theirs)


def test_a_partner_that_does_not_read_its_answer_ends_the_service():
    ours, theirs = socket.socketpair()
    device = Emulator(PRESETS["tiny"], np.zeros(LARGEST_TRANSFER, np.uint8))
    with theirs:
        ours.sendall(REQUEST.pack(REQUESTS["read_memory"], 0, LARGEST_TRANSFER))
        ours.close()
        serve(device, theirs)
