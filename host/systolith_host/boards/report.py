"""The report of a build: resources, clocks, placements, and the speed of a network on the board."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.boards.board import Board
from systolith_host.errors import SystolithError
from systolith_host.flow.load import shape_network
from systolith_host.flow.saved import MeasuredRun
from systolith_host.fpga.parts import Part
from systolith_host.fpga.place import Attempt
from systolith_host.network.qgraph import QConv, QGraph
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory

__all__ = ["BuildReport", "NetworkSpeed", "check_memory", "least_memory", "network_speed"]


@dataclass(frozen=True)
class NetworkSpeed:
    """A network at a clock, with the memory's bandwidth as its limit.

    Parameters
    ----------
    network : str
    source : str
        Source of the first two: the performance model, or a device with such a memory.
    cycles, convolution_cycles : int
        Of an image.
    unlimited_cycles : int
        Of an image by the performance model, where the memory keeps up with the accelerator's bus.
    frames, convolution_frames : float
        Images a second; those of the convolutions alone.
    needed_rate : float
        Megabytes a second that the network moves where the memory keeps up.
    memory_rate : float
        Megabytes a second that the memory's pins can move.
    read_rate : float, optional
        Megabytes a second that long reads reach, where it was measured.
    memory_bytes : int
        Of weights and the largest activations: the network needs no less.
    """

    network: str
    source: str
    cycles: int
    convolution_cycles: int
    unlimited_cycles: int
    frames: float
    convolution_frames: float
    needed_rate: float
    memory_rate: float
    read_rate: float | None
    memory_bytes: int


@dataclass(frozen=True)
class BuildReport:
    """The result of a build.

    Parameters
    ----------
    config : AcceleratorConfig
    board : Board
    part : Part
    mhz : float
        The accelerator's clock.
    build : str
        Hash that the bitstream carries.
    need : mapping of str to int
        Resources after synthesis.
    synthesis_seconds : float
    attempts : tuple of Attempt
    best : Attempt
        The one that was packed.
    speed : NetworkSpeed
    """

    config: AcceleratorConfig
    board: Board
    part: Part
    mhz: float
    build: str
    need: Mapping[str, int]
    synthesis_seconds: float
    attempts: tuple[Attempt, ...]
    best: Attempt
    speed: NetworkSpeed

    @property
    def met(self) -> bool:
        """Whether every clock is reached."""
        return self.best.margin >= 1

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        attempts = [
            dataclasses.asdict(one) | {"config": one.config.name, "margin": one.margin}
            for one in self.attempts
        ]
        return {
            "config": self.config.to_dict(),
            "fingerprint": f"{self.config.fingerprint:#018x}",
            "build": self.build,
            "board": dataclasses.asdict(self.board) | {"memory_rate": self.board.memory_rate},
            "mhz": self.mhz,
            "met": self.met,
            "resources": {
                name: {
                    "used": count,
                    "available": self.part.resources[name],
                    "left": self.part.resources[name] - count,
                }
                for name, count in self.need.items()
            },
            "clocks": [dataclasses.asdict(clock) for clock in self.best.clocks],
            "best": {"seed": self.best.seed, "router": self.best.router},
            "synthesis_seconds": self.synthesis_seconds,
            "attempts": attempts,
            "speed": dataclasses.asdict(self.speed),
        }

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")


def network_speed(
    network: str,
    config: AcceleratorConfig,
    board: Board,
    mhz: float,
    measured: MeasuredRun | None = None,
) -> NetworkSpeed:
    """Return how fast a built-in network is on a board, whether its memory holds it or not.

    Parameters
    ----------
    network : str
    config : AcceleratorConfig
    board : Board
    mhz : float
        The accelerator's clock.
    measured : MeasuredRun, optional
        Its cycles are taken; if None, those of the performance model, with the memory at the rate
        of long reads. See :func:`check_memory`.
    """
    bus = float(config.bus_bytes)
    free = _modelled(network, config, bus)
    if measured is None:
        rate = min(board.read_rate / mhz, bus)
        slow = _modelled(network, config, rate) if rate < bus else free
        source = f"the performance model, {rate:.4g} bytes per cycle"
        cycles, convolutions = slow.cycles, slow.convolution_cycles
    else:
        memory = measured.memory.described(config.bus_bytes)
        source = f"{measured.device}, {measured.memory_name} memory: {memory}"
        cycles, convolutions = measured.cycles, measured.convolution_cycles
    return NetworkSpeed(
        network=network,
        source=source,
        cycles=cycles,
        convolution_cycles=convolutions,
        unlimited_cycles=free.cycles,
        frames=mhz * 1e6 / cycles,
        convolution_frames=mhz * 1e6 / convolutions,
        needed_rate=free.traffic / free.cycles * mhz,
        memory_rate=board.memory_rate,
        read_rate=board.read_rate if board.read_share else None,
        memory_bytes=least_memory(shape_network(network)),
    )


@dataclass(frozen=True)
class _Modelled:
    cycles: int
    convolution_cycles: int
    traffic: int


def _modelled(network: str, config: AcceleratorConfig, rate: float) -> _Modelled:
    """Return what a network takes where the memory moves so many bytes per cycle, replayed."""
    from systolith_host.cost.estimate import estimate_network  # imports numba

    memory = Memory(bytes_per_cycle=rate)
    groups = estimate_network(network, config, memory, workers=1).groups
    everything, convolutions = groups["all"], groups["convolutions"]
    counts = (
        everything.cycles,
        convolutions.cycles,
        everything.bytes_read,
        everything.bytes_written,
    )
    cycles, others, read, written = (count or 0 for count in counts)
    return _Modelled(cycles, others, read + written)


def check_memory(measured: MeasuredRun, board: Board, mhz: float) -> None:
    """Refuse a run whose memory was faster than the board's.

    Raises
    ------
    SystolithError
        It names both figures, and the bandwidth to run with.
    """
    there = math.floor(100 * board.read_rate / mhz) / 100
    rate = measured.memory.bytes_per_cycle
    if rate is None or rate > there:
        raise SystolithError(
            f"--measured: {measured.path} ran with {rate:g} bytes per cycle; "
            f"at {mhz:g} MHz {board.title} gives {there:g}: run with --bandwidth {there:g} or less"
        )


def least_memory(qgraph: QGraph) -> int:
    """Return the bytes of a network's weights and of the tensors around its largest layer."""
    weights = sum(
        layer.weight.size
        for layer in qgraph.layers
        if isinstance(layer, QConv) and layer.kind != "pool"
    )
    size = {name: math.prod(tensor.shape) for name, tensor in qgraph.tensors.items()}
    return weights + max(
        sum(size[name] for name in (*layer.inputs, layer.output)) for layer in qgraph.layers
    )
