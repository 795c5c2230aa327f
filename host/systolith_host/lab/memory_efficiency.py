"""Measures the share of its pins' rate that a memory gives the accelerator, in simulation.

A fully connected layer reads its weights in one long row of bursts and hardly waits for anything
else.
"""

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from systolith_host.boards.simulation import build_system_simulator, served_system
from systolith_host.compiler import compile_network
from systolith_host.network.graph import GraphBuilder
from systolith_host.network.shapes import timing_network
from systolith_host.program.program import Program
from systolith_host.progress import ProgressLog
from systolith_host.runtime.driver import Driver
from systolith_host.runtime.litex.link import Link
from systolith_host.runtime.litex.litex import LitexDevice
from systolith_host.runtime.litex.system import System
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory

__all__ = ["STAND_INS", "StandIn", "measure_efficiency"]

FEATURES = 768
"""Of the layer's input and output: with 576 KiB of weights its ends hardly count."""

LIMIT_CYCLES = 10_000_000


@dataclass(frozen=True)
class StandIn:
    """A simulated memory in place of a board's.

    Parameters
    ----------
    memory_chip : str
        One of :data:`systolith_host.boards.simulation.MEMORY_CHIPS`.
    system_hz, accelerator_hz : float
        The bus of an accelerator of eight bytes has to be faster than the pins.
    """

    memory_chip: str
    system_hz: float
    accelerator_hz: float


STAND_INS = {
    # The chip and the clock of the board.
    "ulx3s-85f": StandIn("MT48LC16M16", 50e6, 62.5e6),
    # The same; a gigabyte of memory while it runs.
    "ecpix5-85f": StandIn("MT41K256M16", 75e6, 100e6),
}
"""By the board's name."""


def measure_efficiency(
    config: AcceleratorConfig, stand_in: StandIn, log: ProgressLog
) -> tuple[float, float]:
    """Return megabytes a second that a layer moved, and those that the pins can.

    Raises
    ------
    SystolithError
        If a tool is missing, or the system fails.
    """
    folder = build_system_simulator(
        config,
        memory_chip=stand_in.memory_chip,
        system_hz=stand_in.system_hz,
        accelerator_hz=stand_in.accelerator_hz,
        stage=log.stage,
    )
    system = System.load(folder)
    program = _program(config, system.memory_rate)
    with (
        tempfile.TemporaryDirectory(prefix="systolith-efficiency-") as logs,
        served_system(folder, Path(logs)) as (address, _),
        closing(Link(address, 60.0)) as link,
    ):
        device = LitexDevice(link, system, log.message)
        driver = Driver(device, config, program.memory_size)
        log.stage("uploading")
        device.upload(program.segments, lambda done, total: log.update("", done, total))
        device.write_memory(program.places[program.input].address, np.ones(FEATURES, np.uint8))
        log.stage("running")
        (layer,) = program.layers
        counters = driver.run_layer(layer, LIMIT_CYCLES)
    moved = counters.bytes_read + counters.bytes_written
    return moved * system.accelerator_hz / counters.cycles / 1e6, system.memory_mb_s


def _program(config: AcceleratorConfig, rate: float) -> Program:
    builder = GraphBuilder("stream", (FEATURES, 1, 1))
    builder.flatten("flat")
    builder.linear("fc", FEATURES)
    return compile_network(
        timing_network(builder.build()), config, memory=Memory(bytes_per_cycle=rate)
    )
