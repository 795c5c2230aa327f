"""The C driver's example, compiled, run on a linked device, and read back."""

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from systolith_host.drivers.image import write_image
from systolith_host.drivers.sources import PORTABLE, write_driver
from systolith_host.program.program import Program
from systolith_sim.testing.c_programs import compile_c

__all__ = ["LIMIT_SECONDS", "RunImage", "Seen", "compile_run_image"]

LIMIT_SECONDS = 400
"""Wall-clock limit of a run."""

_SOURCES = ("run_image.c", "systolith_mmio.c", "systolith_socket.c", "systolith_uio.c", *PORTABLE)


@dataclass(frozen=True)
class Seen:
    """The output of a run.

    Parameters
    ----------
    status : int
        Exit status.
    error : str
        Standard error.
    order : tuple of str
        Names of layers and failures, in the order of their lines.
    counters : dict
        For each layer that ran, every counter by its name in lower case.
    failures : dict
        For each layer that failed, the words of its line.
    output : ndarray, optional
        The network's output tensor, where there is one.
    """

    status: int
    error: str
    order: tuple[str, ...]
    counters: dict[str, dict[str, int]]
    failures: dict[str, dict[str, str]]
    output: np.ndarray | None


@dataclass(frozen=True)
class RunImage:
    """The compiled example.

    Parameters
    ----------
    path : Path
    folder : Path
        For its files.
    """

    path: Path
    folder: Path

    def run(
        self, program: Program, images: np.ndarray, connection: socket.socket, *options: str
    ) -> Seen:
        """Run a program on the device at the other end of a connection, which stays open.

        Parameters
        ----------
        program : Program
        images : ndarray
            Its input tensor.
        connection : socket
        options : str
            Of the example.
        """
        image, values, output = (self.folder / name for name in ("image", "input", "output"))
        write_image(program, image)
        values.write_bytes(np.ascontiguousarray(images).tobytes())
        output.unlink(missing_ok=True)
        done = subprocess.run(
            [self.path, "--socket-file", str(connection.fileno()), *options, image, values, output],
            pass_fds=(connection.fileno(),),
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        order, counters, failures = [], {}, {}
        for line in done.stdout.splitlines():
            kind, name, *words = line.partition(": ")[0].split()
            order.append(name)
            fields = dict(word.split("=", 1) for word in words)
            if kind == "layer":
                counters[name] = {key: int(value) for key, value in fields.items()}
            else:
                failures[name] = fields
        place = program.places[program.output]
        tensor = None
        if output.exists():
            tensor = np.fromfile(output, place.dtype).reshape(place.shape)
        return Seen(done.returncode, done.stderr, tuple(order), counters, failures, tensor)


def compile_run_image(folder: Path) -> RunImage:
    """Write the driver to a folder, compile the example with the sanitizers, and return it.

    Raises
    ------
    RuntimeError
        If the compiler says anything.
    """
    write_driver(folder)
    sources = [folder / name for name in _SOURCES]
    return RunImage(compile_c(folder / "run_image", sources, [folder]), folder)
