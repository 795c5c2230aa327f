"""Reports: cycles, bytes, stalls and mismatches of each layer, and their totals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from systolith_host.energy.energy import NetworkEnergy
from systolith_host.errors import SystolithError
from systolith_host.flow.triage import Triage
from systolith_host.version import describe

__all__ = ["SCHEMA", "HostReport", "LayerReport", "Report", "Totals"]

SCHEMA = 1
"""Version of the JSON form, which docs/reference/report.schema.json describes."""

BUSY = "busy"
"""The compute engine's state that is no stall."""


@dataclass(frozen=True)
class LayerReport:
    """One row: a layer, with the pool that is fused into it.

    Parameters
    ----------
    name : str
    covers : tuple of str
        The network's layers that the row stands for.
    kind : "conv", "fc", "pool", "add" or "copy"
    macs : int
        Multiply-accumulates that the layer needs, of all images.
    bound_cycles : int
        The least cycles that array and bus allow.
    compulsory_bytes : int
        The least traffic: everything read or written once.
    cycles, bytes_read, bytes_written : int or None
        Counted by the accelerator; None where the device has no such counter.
    states : mapping of str to mapping of str to int
        For each engine (LOAD, COMPUTE, STORE) the cycles it spent in each of its states, which add
        up to `cycles`; empty where the device has no such counters.
    mismatches : int or None
        Values of the output that differ from the golden model's; None if nothing was compared.
    values : int
        Values of the output.
    seconds : float
        Wall time of the device.
    skipped_bytes : int
        Bytes of weights that a layer which gathers did not read, image by image: the inputs that
        they are multiplied by are zero.
    """

    name: str
    covers: tuple[str, ...]
    kind: str
    macs: int
    bound_cycles: int
    compulsory_bytes: int
    cycles: int | None
    bytes_read: int | None
    bytes_written: int | None
    states: Mapping[str, Mapping[str, int]]
    mismatches: int | None
    values: int
    seconds: float
    skipped_bytes: int = 0

    @property
    def stalls(self) -> dict[str, int]:
        """Cycles in which the compute engine is not busy, by cause."""
        compute = self.states.get("COMPUTE", {})
        return {name: cycles for name, cycles in compute.items() if name != BUSY}

    @property
    def busy_cycles(self) -> int | None:
        """Cycles in which the compute engine is busy; None where the device does not count."""
        return self.states.get("COMPUTE", {}).get(BUSY)

    @property
    def title(self) -> str:
        """Name for people: the layers of the row."""
        return " + ".join(self.covers) or self.name


@dataclass(frozen=True)
class HostReport:
    """A part of the network that the host computes between the layers.

    Parameters
    ----------
    name : str
    operators : tuple of str
        ONNX's, of its nodes.
    bytes_read, bytes_written : int
        Of tensors that the host takes from the accelerator's memory and leaves there, all images.
    mismatches : int or None
        Values of the output that differ from the golden model's; None if nothing was compared.
    values : int
        Values of the output.
    seconds : float or None
        Wall time of the host; None if nothing was computed.
    """

    name: str
    operators: tuple[str, ...]
    bytes_read: int
    bytes_written: int
    mismatches: int | None
    values: int
    seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "operators": list(self.operators),
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "mismatches": self.mismatches,
            "values": self.values,
            "seconds": None if self.seconds is None else round(self.seconds, 6),
        }


@dataclass(frozen=True)
class Totals:
    """Sums over rows; None where a row lacks the number.

    Parameters
    ----------
    rows : int
        Rows added up.
    layers : int
        The network's layers in them, a fused pool being one.
    stalls : dict of str to int
        By cause, of all rows that have them.
    others
        As in :class:`LayerReport`.
    """

    rows: int
    layers: int
    macs: int
    bound_cycles: int
    compulsory_bytes: int
    cycles: int | None
    bytes_read: int | None
    bytes_written: int | None
    stalls: dict[str, int]
    mismatches: int | None
    values: int
    seconds: float

    @classmethod
    def of(cls, rows: Sequence[LayerReport]) -> "Totals":
        """Add up some rows."""

        def total(name: str) -> int | None:
            values = [getattr(row, name) for row in rows]
            return None if None in values else sum(values)

        stalls: dict[str, int] = {}
        for row in rows:
            for cause, cycles in row.stalls.items():
                stalls[cause] = stalls.get(cause, 0) + cycles
        return cls(
            rows=len(rows),
            layers=sum(len(row.covers) for row in rows),
            macs=sum(row.macs for row in rows),
            bound_cycles=sum(row.bound_cycles for row in rows),
            compulsory_bytes=sum(row.compulsory_bytes for row in rows),
            cycles=total("cycles"),
            bytes_read=total("bytes_read"),
            bytes_written=total("bytes_written"),
            stalls=stalls,
            mismatches=total("mismatches"),
            values=sum(row.values for row in rows),
            seconds=sum(row.seconds for row in rows),
        )


@dataclass(frozen=True)
class Report:
    """A run.

    Parameters
    ----------
    network : str
    config : mapping
        The accelerator's fields, by name.
    multipliers : int
        Of the array.
    device : str
        "rtl (verilator)", "model", "emulator", ...
    measured : bool
        Whether cycles and bytes were counted by the RTL or a board, and not modelled.
    memory : mapping, optional
        The external memory's numbers, as :meth:`systolith_hw.spec.memory.Memory.to_dict` gives
        them; None where they are not known.
    memory_name : str
        The kind of memory: "simulated", or a board's chip.
    batch : int
    clock_mhz : float
        For the frames per second.
    complete : bool
        Whether every layer of the network ran.
    layers : tuple of LayerReport
    top : tuple of (int, float)
        Class indices and their outputs, best first, of the first image; empty if the last layer
        did not run.
    float_top : tuple of int
        Class indices of the float network, best first, of the first image.
    names : mapping of int to str
        Of these classes, where they have names.
    sources : mapping of str to str
        Where weights, images and names came from, in words.
    wall_seconds : float
        Of the devices and the host's parts, from the first start to the last end.
    host : tuple of HostReport
        What the host computes between the layers; no total includes it.
    energy : NetworkEnergy, optional
        Of the layers, where it was asked for.
    triage : Triage, optional
        Of the first layer with mismatches; None if there is none.
    """

    network: str
    config: Mapping[str, Any]
    multipliers: int
    device: str
    measured: bool
    memory: Mapping[str, Any] | None
    memory_name: str
    batch: int
    clock_mhz: float
    complete: bool
    layers: tuple[LayerReport, ...]
    top: tuple[tuple[int, float], ...] = ()
    float_top: tuple[int, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    wall_seconds: float = 0.0
    host: tuple[HostReport, ...] = ()
    energy: NetworkEnergy | None = None
    triage: Triage | None = None

    @property
    def groups(self) -> dict[str, Totals]:
        """Totals of the convolutions (and pools), of the fully connected layers, and of all."""
        connected = [row for row in self.layers if row.kind == "fc"]
        others = [row for row in self.layers if row.kind != "fc"]
        return {
            "convolutions": Totals.of(others),
            "fully_connected": Totals.of(connected),
            "all": Totals.of(self.layers),
        }

    def utilisation(self, row: LayerReport | Totals) -> float | None:
        """Return multiply-accumulates by multiplier and cycle, at most 1, or 4 with Winograd."""
        return row.macs / (row.cycles * self.multipliers) if row.cycles else None

    @property
    def frames_per_second(self) -> float | None:
        """Images per second at the given clock if every layer was counted; host parts are not."""
        cycles = self.groups["all"].cycles
        if not cycles or not self.complete:
            return None
        return self.batch * self.clock_mhz * 1e6 / cycles

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        groups = {name: self._totals_dict(totals) for name, totals in self.groups.items()}
        everything = groups.pop("all")
        return {
            "schema": SCHEMA,
            "tool": describe(),
            "network": self.network,
            "config": dict(self.config),
            "device": self.device,
            "measured": self.measured,
            "memory": None if self.memory is None else {"name": self.memory_name, **self.memory},
            "batch": self.batch,
            "complete": self.complete,
            "totals": {
                **everything,
                **groups,
                "clock_mhz": self.clock_mhz,
                "frames_per_second": self.frames_per_second,
                "wall_seconds": round(self.wall_seconds, 3),
            },
            "layers": [self._layer_dict(row) for row in self.layers],
            "host": [part.to_dict() for part in self.host],
            "top": [
                {"class": index, "value": value, **self._named(index)} for index, value in self.top
            ],
            "float_top": list(self.float_top),
            "sources": dict(self.sources),
            **({} if self.energy is None else {"energy": self.energy.to_dict()}),
            **({} if self.triage is None else {"triage": self.triage.to_dict()}),
        }

    def save(self, path: Path) -> None:
        """Write :meth:`to_dict` as JSON.

        Raises
        ------
        SystolithError
            If the file cannot be written.
        """
        try:
            path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")
        except OSError as error:
            raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None

    def _named(self, index: int) -> dict[str, str]:
        return {"name": self.names[index]} if index in self.names else {}

    def _common_dict(self, row: LayerReport | Totals) -> dict[str, Any]:
        return {
            "macs": row.macs,
            "cycles": row.cycles,
            "bound_cycles": row.bound_cycles,
            "bound_share": row.bound_cycles / row.cycles if row.cycles else None,
            "utilisation": self.utilisation(row),
            "bytes_read": row.bytes_read,
            "bytes_written": row.bytes_written,
            "compulsory_bytes": row.compulsory_bytes,
            "stalls": row.stalls,
            "mismatches": row.mismatches,
            "values": row.values,
            "seconds": round(row.seconds, 3),
        }

    def _layer_dict(self, row: LayerReport) -> dict[str, Any]:
        head = {"name": row.name, "kind": row.kind, "covers": list(row.covers)}
        states = {engine: dict(cycles) for engine, cycles in row.states.items()}
        more = {"skipped_bytes": row.skipped_bytes, "busy_cycles": row.busy_cycles}
        return {**head, **self._common_dict(row), **more, "states": states}

    def _totals_dict(self, totals: Totals) -> dict[str, Any]:
        return {"layers": totals.layers, "rows": totals.rows, **self._common_dict(totals)}
