"""The costs of a network from its shapes alone: the report of a run, without the run."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from systolith_host.compiler import compile_network
from systolith_host.cost.replay import LayerPerformance, replay_layer
from systolith_host.energy.energy import NetworkEnergy
from systolith_host.energy.table import EnergyTable
from systolith_host.flow.judge import make_report
from systolith_host.flow.load import shape_network
from systolith_host.flow.log import Log, SilentLog
from systolith_host.flow.report import Report
from systolith_host.network.qgraph import QGraph
from systolith_host.program.active import Density
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.backend import Facts
from systolith_host.runtime.jobs import Ran
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory

__all__ = ["estimate_network", "estimate_program"]


def estimate_network(
    network: str | QGraph,
    config: AcceleratorConfig,
    memory: Memory | None = None,
    batch: int = 1,
    *,
    fuse_pool: bool = True,
    density: Density = 1.0,
    energy: EnergyTable | None = None,
    clock_mhz: float = 150.0,
    workers: int = 2,
    log: Log | None = None,
) -> Report:
    """Return every layer's cycles, bytes and stalls, as the RTL counts them.

    Nothing is calibrated and nothing computed: the network is compiled from its shapes, and the
    replay follows the program through the accelerator cycle by cycle.

    Parameters
    ----------
    network : str or QGraph
        A built-in network's name, an ONNX file, or a network of which only the shapes count.
    config : AcceleratorConfig
    memory : Memory, optional
        As fast as the bus if None.
    batch : int
    fuse_pool : bool
        Join pools with the convolutions before them where that is possible.
    density : Density
        Of the inputs of fully connected layers. It matters where those gather their weights.
    energy : EnergyTable, optional
        The report then has each layer's energy.
    clock_mhz : float
        For the frames per second.
    workers : int
        Layers that are replayed side by side.
    log : Log, optional

    Returns
    -------
    Report
        Its layers are compared with nothing.

    Raises
    ------
    SystolithError
        If the network cannot be read, or does not run on the accelerator.
    """
    log = log or SilentLog()
    memory = memory or Memory()
    qgraph = network
    if isinstance(qgraph, str):
        log.stage("reading the network")
        qgraph = shape_network(qgraph, functions=bool(config.functions))
    log.stage("compiling")
    program = compile_network(
        qgraph,
        config,
        batch,
        fuse_pool=fuse_pool,
        memory=memory,
        progress=log.update,
        density=density,
    )
    return estimate_program(
        program,
        memory,
        density=density,
        energy=energy,
        clock_mhz=clock_mhz,
        workers=workers,
        log=log,
    )


def estimate_program(
    program: Program,
    memory: Memory,
    *,
    density: Density = 1.0,
    energy: EnergyTable | None = None,
    clock_mhz: float = 150.0,
    workers: int = 2,
    log: Log | None = None,
) -> Report:
    """Return the cost of every layer of a program, each one on its own.

    Parameters
    ----------
    program : Program
        Whose instructions count; its weights may be anything.
    others
        As of :func:`estimate_network`.
    """
    log = log or SilentLog()
    log.stage("replaying")
    # The longest first, so that none is left alone at the end.
    layers = sorted(program.layers, key=lambda layer: layer.predicted_cycles, reverse=True)
    with ThreadPoolExecutor(workers) as pool:
        told = _Progress(log.update, layers)
        replayed = list(pool.map(partial(_replay, program, memory, density, told), layers))
    facts = Facts(
        "estimate", counts_cycles=True, measured=False, memory=memory, memory_name="simulated"
    )
    ran = [Ran(one.name, one.counters) for one in replayed]
    report = make_report(program, ran, facts, clock_mhz=clock_mhz, density=density)
    if energy is None:
        return report
    by_name = {one.name: one for one in replayed}
    spent = {
        layer.name: by_name[layer.name].energy(program.config, energy) for layer in program.layers
    }
    return replace(report, energy=NetworkEnergy(energy, spent))


class _Progress:
    """Reports the share of the predicted cycles that is replayed; several threads call at once."""

    def __init__(
        self, update: Callable[[str, float, float], None], layers: list[LayerProgram]
    ) -> None:
        self._update = update
        self._total = sum(layer.predicted_cycles for layer in layers)
        self._done = 0

    def ended(self, layer: LayerProgram) -> None:
        self._done += layer.predicted_cycles
        self._update(layer.name, self._done, self._total)


def _replay(
    program: Program, memory: Memory, density: Density, told: _Progress, layer: LayerProgram
) -> LayerPerformance:
    performance = replay_layer(program, layer, memory, density=density)
    told.ended(layer)
    return performance
