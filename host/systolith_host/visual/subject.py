"""The subject of a report: a network without its values, an accelerator and a memory."""

from dataclasses import dataclass, replace
from functools import cached_property

from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.work import Addresses
from systolith_host.cost.evaluate import places_of
from systolith_host.errors import SystolithError
from systolith_host.explore.space import Point, Space
from systolith_host.flow.load import network_name, shape_network
from systolith_host.network.qgraph import QGraph
from systolith_host.progress import ProgressLog
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory

__all__ = ["Subject", "load_subject"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network on an accelerator and a memory.

    Parameters
    ----------
    name : str
        Of the network.
    qgraph : QGraph
        Its shapes; values do not affect the costs.
    config : AcceleratorConfig
    memory : Memory
    batch : int
    """

    name: str
    qgraph: QGraph
    config: AcceleratorConfig
    memory: Memory
    batch: int

    @property
    def rate(self) -> float:
        """Bytes per cycle that memory and bus move."""
        return self.memory.rate(self.config.bus_bytes)

    def memory_of(self, bandwidth: float) -> Memory:
        """Return the memory with another bandwidth, in bytes per cycle."""
        return replace(self.memory, bytes_per_cycle=bandwidth)

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """The operations of the accelerator, layer by layer."""
        return tuple(lower(self.qgraph, self.config))

    def operation(self, name: str) -> Operation:
        """Return the operation of a layer, or of a pool that is fused into it.

        Raises
        ------
        SystolithError
            If there is none of that name.
        """
        for operation in self.operations:
            if name == operation.name or name in operation.covers:
                return operation
        names = ", ".join(operation.name for operation in self.operations)
        raise SystolithError(f"{self.name} has no layer {name!r}; it has {names}")

    def addresses(self, operation: Operation) -> Addresses:
        """Return where an operation's tensors would stand if it were alone."""
        return places_of(self.qgraph, operation, self.config, self.batch)

    def at(self, bandwidth: float) -> Point:
        """Return accelerator and memory of another bandwidth; the bus becomes wide enough."""
        return Space(self.config, {"bandwidth": (bandwidth,)}).point({"bandwidth": bandwidth})


def load_subject(
    network: str, config: AcceleratorConfig, memory: Memory, batch: int, log: ProgressLog
) -> Subject:
    """Read a network and leave out its values.

    Parameters
    ----------
    network : str
        A built-in network's name, or an ONNX file.

    Raises
    ------
    SystolithError
        If it cannot be used.
    """
    log.stage("reading the network")
    qgraph = shape_network(network, functions=bool(config.functions))
    return Subject(network_name(network), qgraph, config, memory, batch)
