"""The experiment of a sweep: all that its points share, so that rows can be compared."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from systolith_host.explore.space import AXES
from systolith_host.flow.load import shape_network
from systolith_host.network.qgraph import QConv, QGraph, QMaxPool, QTake
from systolith_host.version import describe
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["SCHEMA", "Experiment", "network_digest"]

SCHEMA = 5
"""Version of the columns of points.csv and of their meaning."""


def network_digest(qgraph: QGraph) -> str:
    """Return a digest of everything in a network that its timing depends on.

    Layers, their order and shapes count; names and values do not, but for a grouped layer's
    weights all being equal, which then stand in memory once.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    numbers = {qgraph.input: 0}
    described: list[object] = [qgraph.tensors[qgraph.input].shape]
    for layer in qgraph.layers:
        facts: tuple[object, ...] = ()
        if isinstance(layer, QConv):
            even = layer.groups > 1 and bool((layer.weight == layer.weight.flat[0]).all())
            facts = (layer.kind, layer.weight.shape, layer.stride, layer.padding)
            facts += (layer.dilation, layer.groups, even)
        elif isinstance(layer, QMaxPool):
            facts = (layer.kernel, layer.stride, layer.padding)
        elif isinstance(layer, QTake):
            facts = (layer.channels, layer.rows, layer.columns)
        inputs = [numbers[name] for name in layer.inputs]
        numbers[layer.output] = len(numbers)
        shape = qgraph.tensors[layer.output].shape
        described.append((type(layer).__name__, inputs, shape, facts))
    described.append(numbers[qgraph.output])
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Experiment:
    """The origin of the rows of a sweep; it stands in each of them.

    Rows of different experiments have no common Pareto front. Values may be added to the axes of
    an experiment, axes may not.

    Parameters
    ----------
    schema : int
        :data:`SCHEMA` of when it was written.
    tool : str
        Version and commit of Systolith.
    network, network_digest : str
        The name is for people; networks of one digest have the same layers and shapes.
    batch : int
    base, base_fingerprint : str
        Name and fingerprint of the configuration of all other fields.
    axes : str
        Names of the varied axes, one space between.
    source : str
        The network as it was named to :meth:`of`: built-in, or a file. No column.
    """

    schema: int
    tool: str
    network: str = field(compare=False)
    network_digest: str
    batch: int
    base: str = field(compare=False)
    base_fingerprint: str
    axes: str
    source: str = field(default="", compare=False)

    @classmethod
    def of(
        cls, network: str, base: AcceleratorConfig, axes: Sequence[str], batch: int = 1
    ) -> "Experiment":
        """Return the experiment of a network, by this version of Systolith.

        Raises
        ------
        SystolithError
            If the network cannot be used.
        """
        return cls(
            schema=SCHEMA,
            tool=describe(),
            network=Path(network).stem if network.endswith(".onnx") else network,
            network_digest=network_digest(shape_network(network, functions=bool(base.functions))),
            batch=batch,
            base=base.name,
            base_fingerprint=f"{base.fingerprint:016x}",
            axes=" ".join(axis for axis in AXES if axis in axes),
            source=network,
        )

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return its columns of a row."""
        return tuple(one.name for one in fields(cls) if one.name != "source")

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> "Experiment":
        """Return the experiment of a row.

        Raises
        ------
        ValueError, KeyError
            If it has none.
        """
        return cls(
            schema=int(row["schema"]),
            tool=row["tool"],
            network=row["network"],
            network_digest=row["network_digest"],
            batch=int(row["batch"]),
            base=row["base"],
            base_fingerprint=row["base_fingerprint"],
            axes=row["axes"],
        )

    @property
    def row(self) -> dict[str, str | int]:
        """The columns of a row."""
        return {name: getattr(self, name) for name in self.columns()}

    def differences(self, wanted: "Experiment") -> str:
        """Return in words the differences from the wanted one; "" if there are none."""
        texts = []
        for name in self.columns():
            has, wants = getattr(self, name), getattr(wanted, name)
            if name in ("network", "base") or has == wants:
                continue
            if name == "network_digest":
                has, wants = f"{self.network} ({has})", f"{wanted.network} ({wants})"
            elif name == "base_fingerprint":
                has, wants = f"{self.base} ({has})", f"{wanted.base} ({wants})"
            texts.append(f"{_LABELS[name]} {has}, not {wants}")
        return "; ".join(texts)


_LABELS = {
    "schema": "columns of schema",
    "tool": "written by",
    "network_digest": "network",
    "batch": "batch",
    "base_fingerprint": "configuration",
    "axes": "axes",
}
