"""A layer as a point: cycles, traffic, stalls; modelled, or measured in a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.cost.replay import LayerPerformance, replay_layer
from systolith_host.energy.energy import Energy
from systolith_host.energy.table import EnergyTable
from systolith_host.errors import SystolithError
from systolith_host.flow.saved import compared, foreign, memory_of, read_fields
from systolith_host.program.program import LayerProgram, Program
from systolith_host.visual.activity import spans_of
from systolith_host.visual.subject import Subject
from systolith_hw.spec.winograd import MACS_PER_PRODUCT

__all__ = ["LayerPoint", "Measured", "modelled_points", "read_measured"]


@dataclass(frozen=True)
class LayerPoint:
    """The costs of a layer.

    Parameters
    ----------
    name, title : str
        The title names fused pools, too.
    kind : str
    macs, products, cycles, bound_cycles : int
        `products`: the fewest multiplications; a measurement knows the MACs only.
        `bound_cycles`: the least that array and memory allow.
    compulsory_bytes : int
        The least traffic: everything read or written once.
    read_bytes : mapping of str to int
        By kind of data; a measurement knows the sum only.
    write_bytes : int
    states : mapping of str to int
        Cycles of the array in each of its states; they add up to `cycles`.
    buffer_words : mapping of str to int
        High-water marks; empty if measured.
    energy : Energy, optional
        None if measured.
    used : float
        Share of the multipliers that have work while the array works, 0 to 1: a layer with fewer
        channels than the array has rows or columns leaves some without. 1 if measured.
    spans : mapping of str to ndarray of shape (spans, 2)
        When each engine has an instruction under way (visual.activity); empty if measured.
    """

    name: str
    title: str
    kind: str
    macs: int
    products: int
    cycles: int
    bound_cycles: int
    compulsory_bytes: int
    read_bytes: Mapping[str, int]
    write_bytes: int
    states: Mapping[str, int]
    buffer_words: Mapping[str, int]
    energy: Energy | None = None
    used: float = 1.0
    spans: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def traffic(self) -> int:
        """Bytes read and written."""
        return sum(self.read_bytes.values()) + self.write_bytes

    @property
    def intensity(self) -> float:
        """Multiply-accumulates per byte of traffic."""
        return self.macs / self.traffic

    @property
    def rate(self) -> float:
        """Multiply-accumulates by cycle."""
        return self.macs / self.cycles

    @property
    def stalls(self) -> dict[str, int]:
        """Cycles in which the array does not work, by cause."""
        return {name: cycles for name, cycles in self.states.items() if name != "busy"}


def modelled_points(
    subject: Subject,
    program: Program,
    table: EnergyTable,
    progress: Callable[[str, float, float], None],
) -> tuple[LayerPoint, ...]:
    """Return every layer of a program as the performance model replays it, each on its own."""
    total = sum(layer.predicted_cycles for layer in program.layers)
    done = 0
    points = []
    for layer in program.layers:
        progress(layer.name, done, total)
        found = replay_layer(program, layer, subject.memory)
        done += layer.predicted_cycles
        points.append(
            LayerPoint(
                name=layer.name,
                title=" + ".join(layer.covers) or layer.name,
                kind=layer.kind,
                macs=layer.macs,
                products=layer.products,
                cycles=found.cycles,
                bound_cycles=found.bound_cycles,
                compulsory_bytes=layer.compulsory_bytes,
                read_bytes=found.read_bytes,
                write_bytes=found.write_bytes,
                states=found.counters.states["COMPUTE"],
                buffer_words=found.buffer_words,
                energy=found.energy(program.config, table),
                used=_used(layer, found, program.config.multipliers),
                spans=spans_of(found.opcodes, found.times),
            )
        )
    return tuple(points)


def _used(layer: LayerProgram, found: LayerPerformance, multipliers: int) -> float:
    """Return the share of multipliers that have work while the array works."""
    products = layer.macs
    if found.accesses.lane_products:
        products /= MACS_PER_PRODUCT
    places = found.counters.states["COMPUTE"]["busy"] * multipliers
    # Products with zeros that a gathered layer skips take no place.
    return min(1.0, products / places) if places else 1.0


@dataclass(frozen=True)
class Measured:
    """The measurements of a run of the RTL.

    Parameters
    ----------
    path : Path
    device : str
    points : tuple of LayerPoint
    mismatches, values : int
        Values that differ from the golden model's, of those compared.
    """

    path: Path
    device: str
    points: tuple[LayerPoint, ...]
    mismatches: int
    values: int


def read_measured(path: Path, subject: Subject) -> Measured:
    """Read a file of `systolith run --json`.

    Raises
    ------
    SystolithError
        If it cannot be read, or is of another network, accelerator or batch, or has no cycles.
    """
    fields = read_fields(path, subject.name, subject.config, subject.batch)
    try:
        points = tuple(_point(row) for row in fields["layers"])
        device, totals = str(fields["device"]), fields["totals"]
        counted = (compared(totals), int(totals["values"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise foreign(path, error) from None
    _same_memory(path, fields, subject)
    return Measured(path, device, points, *counted)


def _same_memory(path: Path, fields: Mapping[str, Any], subject: Subject) -> None:
    bus = subject.config.bus_bytes
    try:
        memory, _ = memory_of(fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise foreign(path, error) from None
    wanted = subject.memory
    found = (memory.rate(bus), memory.latency, memory.turnaround)
    if found != (wanted.rate(bus), wanted.latency, wanted.turnaround):
        raise SystolithError(
            f"--measured: {path} ran with a memory of {memory.described(bus)}, the page is for "
            f"{wanted.described(bus)}; give its --bandwidth, --latency and --turnaround"
        )


def _point(row: Mapping[str, Any]) -> LayerPoint:
    states = dict(row["states"]["COMPUTE"])
    covers: Sequence[str] = row["covers"]
    return LayerPoint(
        name=row["name"],
        title=" + ".join(covers) or row["name"],
        kind=row["kind"],
        macs=row["macs"],
        products=row["macs"],
        cycles=row["cycles"],
        bound_cycles=row["bound_cycles"],
        compulsory_bytes=row["compulsory_bytes"],
        read_bytes={"all": row["bytes_read"]},
        write_bytes=row["bytes_written"],
        states=states,
        buffer_words={},
    )
