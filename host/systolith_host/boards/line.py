"""A simulator's serial line as a device file, as a board's is."""

import os
import pty
import selectors
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["serial_line"]

_BYTES = 4096

CONNECT_SECONDS = 10.0


@contextmanager
def serial_line(port: int, to_board: Callable[[bytes], bytes] = lambda data: data) -> Iterator[str]:
    """Join a TCP port of this machine to a pseudo-terminal; gives the terminal's path.

    pyserial's own sockets wait for an acknowledgement after every few bytes, 40 ms each.

    Parameters
    ----------
    port : int
        The port at which the simulator listens.
    to_board : callable
        Applied to bytes on their way to the board; tests damage them.
    """
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    stop = threading.Event()
    with socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        relay = threading.Thread(target=_relay, args=(ours, connection, to_board, stop))
        relay.start()
        try:
            yield os.ttyname(theirs)
        finally:
            stop.set()
            relay.join()
            for descriptor in (ours, theirs):
                with suppress(OSError):
                    os.close(descriptor)


def _relay(
    terminal: int,
    connection: socket.socket,
    to_board: Callable[[bytes], bytes],
    stop: threading.Event,
) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        selector.register(connection, selectors.EVENT_READ)
        while not stop.is_set():
            for key, _ in selector.select(0.1):
                try:
                    if key.fileobj is connection:
                        data = connection.recv(_BYTES)
                        # The simulator sends byte by byte, and waits for each to be acknowledged.
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                        os.write(terminal, data)
                    else:
                        data = os.read(terminal, _BYTES)
                        connection.sendall(to_board(data))
                except OSError:
                    return
                if not data:  # the simulator has ended; the line is silent from now on
                    return
