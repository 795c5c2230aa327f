"""A layer as a point: cycles, traffic, stalls; modelled, or measured in a run."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.cost.replay import replay_layer
from systolith_host.energy.energy import Energy
from systolith_host.energy.table import EnergyTable
from systolith_host.errors import SystolithError
from systolith_host.flow.saved import compared, foreign, memory_of, read_fields
from systolith_host.program.program import Program
from systolith_host.visual.activity import spans_of
from systolith_host.visual.subject import Subject
from systolith_hw.spec.winograd import MACS_PER_PRODUCT
from systolith_sim.replay.accesses import Accesses

__all__ = ["LayerPoint", "Measured", "modelled_points", "read_measured", "share_at_work", "whole"]


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
        Share of the multipliers that have work while the array works, 0 to 1. A layer with fewer
        channels than the array has rows or columns leaves some without, and so do Winograd's
        patches that reach beyond the map. 1 if measured.
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
    def at_work(self) -> float:
        """Cycles of the array times the share of its multipliers that have work in them."""
        return self.states.get("busy", 0) * self.used

    @property
    def idle(self) -> float:
        """Share of multipliers times cycles without work for the layer, 0 to 1."""
        return 1 - self.at_work / self.cycles

    @property
    def stalls(self) -> dict[str, int]:
        """Cycles in which the array does not work, by cause."""
        return {name: cycles for name, cycles in self.states.items() if name != "busy"}


def whole(points: Sequence[LayerPoint]) -> LayerPoint:
    """Return all layers as one, which takes the cycles of all of them."""

    def total(field: str) -> int:
        return sum(getattr(point, field) for point in points)

    states: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for point in points:
        states.update(point.states)
        read.update(point.read_bytes)
    spent = [point.energy for point in points if point.energy is not None]
    return LayerPoint(
        name="all layers",
        title="all layers",
        kind="all",
        macs=total("macs"),
        products=total("products"),
        cycles=total("cycles"),
        bound_cycles=total("bound_cycles"),
        compulsory_bytes=total("compulsory_bytes"),
        read_bytes=read,
        write_bytes=total("write_bytes"),
        states=states,
        buffer_words={},
        energy=Energy.of(spent) if spent else None,
        used=sum(point.at_work for point in points) / states["busy"] if states["busy"] else 1.0,
    )


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
        states = found.counters.states["COMPUTE"]
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
                states=states,
                buffer_words=found.buffer_words,
                energy=found.energy(program.config, table),
                used=share_at_work(
                    layer.macs, found.accesses, states["busy"] * program.config.multipliers
                ),
                spans=spans_of(found.opcodes, found.times),
            )
        )
    return tuple(points)


def share_at_work(macs: int, accesses: Accesses, places: int) -> float:
    """Return the share of multipliers that have work while the array works, 0 to 1.

    Parameters
    ----------
    macs : int
        That the layer needs.
    accesses : Accesses
        With the products that the array computes for it: direct ones are worth a
        multiply-accumulate each, those of Winograd's convolution MACS_PER_PRODUCT.
    places : int
        Multipliers times the cycles in which the array works.
    """
    done = accesses.products + accesses.lane_products
    worth = accesses.products + MACS_PER_PRODUCT * accesses.lane_products
    if not places or not worth:
        return 1.0
    # Products with zeros that a gathered layer skips take no place.
    return min(1.0, macs / worth * done / places)


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
