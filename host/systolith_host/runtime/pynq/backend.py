"""A program's layers on a Zynq board that this very program runs on."""

import time
from collections.abc import Callable
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.program.program import Program
from systolith_host.program.relocate import relocate
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.jobs import Job, Outcome
from systolith_host.runtime.pynq.device import PynqDevice

__all__ = ["SCHEME", "find_overlay", "run_on_overlay"]

SCHEME = "pynq:"

SLOWEST = 100
"""A layer may take this many times the predicted cycles: the processors share the memory."""

MARGIN_CYCLES = 1_000_000


def find_overlay(device: str) -> Path | None:
    """Return the bitstream in ``pynq:PATH``, or None where the device is another.

    Raises
    ------
    SystolithError
        If it names no bitstream.
    """
    if not device.startswith(SCHEME):
        return None
    path = Path(device.removeprefix(SCHEME))
    if path.suffix != ".bit":
        raise SystolithError(f"--device must be {SCHEME}PATH.bit, not {device!r}")
    return path


def run_on_overlay(
    program: Program,
    job: Job,
    bitstream: Path,
    progress: Callable[[str, int], None],
    done: Callable[[Outcome], None],
    message: Callable[[str], None],
) -> tuple[list[Outcome], float]:
    """Run a job's layers; return the outcome of each, and the accelerator's clock in MHz.

    Parameters
    ----------
    progress, done : callable
        Called with a layer's name and cycles now and then, and with each outcome.
    message : callable
        Called with a line for people.

    Raises
    ------
    SystolithError
        If the board, the memory or the accelerator fails.
    """
    device = PynqDevice(bitstream, program.memory_size)
    try:
        driver = Driver(device, program.config, program.memory_size, memory_base=device.base)
        start = time.monotonic()
        for address, data in relocate(program, device.base):
            device.write_memory(address, data)
        for name, values in job.inputs.items():
            for address, data in program.places[name].pieces(values):
                device.write_memory(address, data)
        size = sum(data.size for _, data in program.segments)
        message(
            f"program: {size:,} bytes to {device.base:#x}, {time.monotonic() - start:.1f} s; "
            f"clock {device.clock_mhz:g} MHz"
        )
        outcomes = []
        for layer in job.layers:
            start = time.monotonic()
            progress(layer.name, 0)
            limit = SLOWEST * layer.predicted_cycles + MARGIN_CYCLES
            counters = driver.run_layer(
                layer, limit, lambda cycles, name=layer.name: progress(name, cycles)
            )
            place = program.places[layer.output]
            output = place.unpack(device.read_memory(place.address, place.size))
            outcome = Outcome(layer.name, counters, output, time.monotonic() - start)
            done(outcome)
            outcomes.append(outcome)
        return outcomes, device.clock_mhz
    finally:
        device.close()
