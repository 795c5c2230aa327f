"""Fully connected layers by the number of images: cycles and bytes of an image, and the least."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from systolith_host.cost.estimate import estimate_network
from systolith_host.errors import SystolithError
from systolith_host.flow.load import shape_network
from systolith_host.flow.log import Log
from systolith_host.network.qgraph import QConv, QGraph
from systolith_host.program.active import Density
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import load_config

__all__ = ["BatchCost", "Machine", "dense_end", "measure_batches"]


@dataclass(frozen=True)
class Machine:
    """An accelerator and its memory.

    Parameters
    ----------
    config : AcceleratorConfig
    memory : Memory
    """

    config: AcceleratorConfig
    memory: Memory

    @classmethod
    def named(cls, text: str) -> "Machine":
        """Return the machine of a text like ``default`` or ``ecp5-85f@3.66``.

        Parameters
        ----------
        text : str
            A preset or a file, and bytes per cycle of the memory; those of the bus if not given.

        Raises
        ------
        SystolithError
            If there is no such configuration, or the memory is slower than memories are.
        """
        name, _, rate = text.partition("@")
        config = load_config(name)
        try:
            memory = Memory(bytes_per_cycle=float(rate) if rate else None)
        except ValueError as error:
            raise SystolithError(f"--machine {text}: {error}") from None
        return cls(config, memory)

    @property
    def name(self) -> str:
        """The configuration's name and the memory's rate."""
        return f"{self.config.name}, {self.memory.rate(self.config.bus_bytes):g} bytes per cycle"


@dataclass(frozen=True)
class BatchCost:
    """The fully connected layers on one machine for a number of images.

    Parameters
    ----------
    machine : str
    images : int
    cycles, moved_bytes : float
        Of an image, by the replay.
    least_cycles, least_bytes : float
        Of an image: the bounds of array and memory, and the needed bytes, each moved once.
    """

    machine: str
    images: int
    cycles: float
    moved_bytes: float
    least_cycles: float
    least_bytes: float


def dense_end(network: str, *, functions: bool = False) -> QGraph:
    """Return the fully connected layers at a network's end as a network.

    Parameters
    ----------
    network : str
        A built-in one, or an ONNX file.
    functions : bool
        As of :func:`systolith_host.flow.load.shape_network`.

    Raises
    ------
    SystolithError
        If it cannot be read, or does not end in such layers.
    """
    whole = shape_network(network, functions=functions)
    first = len(whole.layers)
    while first:
        layer = whole.layers[first - 1]
        if not isinstance(layer, QConv) or layer.kind != "fc":
            break
        first -= 1
    if first == len(whole.layers):
        raise SystolithError(f"{network}: its last layer is not fully connected")
    layers = whole.layers[first:]
    return replace(whole, layers=layers, input=layers[0].inputs[0], input_shape=())


def measure_batches(
    network: str, machines: Sequence[Machine], batches: Sequence[int], density: Density, log: Log
) -> Iterator[BatchCost]:
    """Yield the costs for each machine and number of images.

    Parameters
    ----------
    density : Density
        Of the layers' inputs; it matters where weights are gathered.

    Raises
    ------
    SystolithError
        If the network does not run on a machine.
    """
    for machine in machines:
        config = machine.config
        qgraph = dense_end(network, functions=bool(config.functions))
        for images in batches:
            report = estimate_network(
                qgraph, config, machine.memory, images, density=density, log=log
            )
            cycles = sum(row.cycles or 0 for row in report.layers)
            moved = sum((row.bytes_read or 0) + (row.bytes_written or 0) for row in report.layers)
            yield BatchCost(
                machine=machine.name,
                images=images,
                cycles=cycles / images,
                moved_bytes=moved / images,
                least_cycles=sum(row.bound_cycles for row in report.layers) / images,
                least_bytes=sum(row.compulsory_bytes for row in report.layers) / images,
            )
