"""The numbers that each figure shows, as rows: units stand in the names of the columns."""

from collections.abc import Iterator, Sequence

import numpy as np

from systolith_host.visual.activity import Piece
from systolith_host.visual.curves import Curves
from systolith_host.visual.occupancy import Occupancy
from systolith_host.visual.picture import Row
from systolith_host.visual.points import LayerPoint, whole
from systolith_host.visual.sweep import Sweep
from systolith_host.visual.tilings import TilingStudy
from systolith_host.visual.timeline import Timeline
from systolith_hw.spec.isa import Opcode

__all__ = [
    "bandwidth_rows",
    "buffer_rows",
    "energy_rows",
    "front_rows",
    "network_rows",
    "roofline_rows",
    "stall_rows",
    "tiling_rows",
    "timeline_rows",
]

_MJ = 1e9  # pJ


def roofline_rows(
    points: Sequence[LayerPoint],
    measured: Sequence[LayerPoint],
    multipliers: int,
    rate: float,
    higher: int,
) -> list[Row]:
    """Return the layers of a roofline; each row repeats its roofs.

    Parameters
    ----------
    multipliers, higher : int
        Multiply-accumulates per cycle at most, and those of Winograd's convolution.
    rate : float
        Bytes per cycle at most.
    """
    both = [(one, "modelled") for one in points] + [(one, "measured in RTL") for one in measured]
    return [
        {
            "layer": one.title,
            "kind": one.kind,
            "source": source,
            "intensity_macs_per_byte": one.intensity,
            "speed_macs_per_cycle": one.rate,
            "macs": one.macs,
            "traffic_bytes": one.traffic,
            "cycles": one.cycles,
            "roof_macs_per_cycle": multipliers,
            "winograd_roof_macs_per_cycle": higher,
            "roof_bytes_per_cycle": rate,
        }
        for one, source in both
        if one.macs
    ]


def stall_rows(points: Sequence[LayerPoint]) -> list[Row]:
    """Return the array's cycles in each state, layer by layer, then of all."""
    return [
        {
            "layer": one.title,
            "cycles": one.cycles,
            **{f"{state}_cycles": cycles for state, cycles in one.states.items()},
            "busy_multipliers_with_work_percent": 100 * one.used,
            "idle_multipliers_percent": 100 * one.idle,
        }
        for one in (*points, whole(points))
    ]


def energy_rows(points: Sequence[LayerPoint]) -> list[Row]:
    """Return each layer's energy by its parts, then that of all."""
    rows = []
    for one in (*points, whole(points)):
        if one.energy is None:
            continue
        parts = {f"{name}_mJ": part.pj / _MJ for name, part in one.energy.parts.items()}
        total = one.energy.total
        ends = {"low_mJ": total.low / _MJ, "high_mJ": total.high / _MJ}
        rows.append({"layer": one.title, **parts, "all_mJ": total.pj / _MJ, **ends})
    return rows


def bandwidth_rows(curves: Curves, here: tuple[float, int]) -> list[Row]:
    """Return the curves, and the replayed point of the page's memory."""
    rows: list[Row] = [
        {
            "layer": curve.name,
            "source": "estimated",
            "bandwidth_bytes_per_cycle": rate,
            "cycles": curve.cycles[number],
            "times_least_cycles": curve.cycles[number] / min(curve.cycles),
            "traffic_bytes": curve.traffic[number],
            "array_cycles": curve.array_cycles,
            "knee": int(number == curve.knee),
        }
        for curve in (curves.total, *curves.layers)
        for number, rate in enumerate(curves.bandwidths)
    ]
    exact = {"bandwidth_bytes_per_cycle": here[0], "cycles": here[1]}
    return [*rows, {"layer": curves.total.name, "source": "exact", **exact}]


def tiling_rows(study: TilingStudy) -> list[Row]:
    """Return the tile sizes of a layer with their costs."""
    rows: list[Row] = []
    for one in study.maps:
        marks = {(one.chosen.schedule.rows, one.chosen.schedule.columns): "compiler's"}
        marks[one.best.schedule.rows, one.best.schedule.columns] = "best"
        rows += [
            {
                "layer": study.operation.name,
                "bandwidth_bytes_per_cycle": one.bandwidth,
                "tile_rows": size[0],
                "tile_columns": size[1],
                "estimated_traffic_bytes": tiling.traffic,
                "estimated_cycles": tiling.cycles,
                "least_array_cycles": study.array_cycles,
                "mark": marks.get(size, ""),
            }
            for size, tiling in sorted(one.tiles.items())
        ]
    return rows


def timeline_rows(one: Timeline, window: tuple[int, int]) -> list[Row]:
    """Return the instructions of a layer, then how busy engines and bus are, interval by interval.

    Cycles count from 1, the last one of a row belongs to it. Rows wholly outside the window, cycles
    before it and with it, are left out.
    """
    lanes = {Opcode.LOAD: "load", Opcode.CONV: "array", Opcode.STORE: "drain"}
    rows: list[Row] = []
    for number, (instruction, times) in enumerate(zip(one.instructions, one.times, strict=True)):
        passed, begin, end, stored = map(int, times)
        what = {"instruction": number, "opcode": instruction.opcode.name}
        lane = lanes[instruction.opcode]
        rows.append({"lane": lane, **what, "first_cycle": begin, "last_cycle": end})
        if lane == "drain":
            rows.append({"lane": "store", **what, "first_cycle": passed, "last_cycle": stored})
    rows += _samples(one, one.averaged(window))
    return [
        row for row in rows if row["first_cycle"] <= window[1] and row["last_cycle"] > window[0]
    ]


def _samples(one: Timeline, every: int) -> Iterator[Row]:
    bus = one.config.bus_bytes
    for column, lane, unit, factor in (
        ("LOAD busy", "load", "busy_percent", 100),
        ("COMPUTE busy", "array", "busy_percent", 100),
        ("STORE busy", "drain", "busy_percent", 100),
        ("read_beats", "bus, read", "bytes_per_cycle", bus),
        ("write_beats", "bus, written", "bytes_per_cycle", bus),
    ):
        for number, value in enumerate(one.rates(column, every)):
            begin, length = number * one.interval * every, one.interval * every
            cycles = {"first_cycle": begin + 1, "last_cycle": begin + length}
            yield {"lane": lane, **cycles, unit: factor * float(value)}


def network_rows(pieces: Sequence[Piece], names: Sequence[str]) -> list[Row]:
    """Return the busy cycles of each engine in pieces of the network."""
    return [
        {
            "layer": names[one.layer],
            "first_cycle": one.begin + 1,
            "last_cycle": one.end,
            **{f"{lane}_busy_cycles": busy for lane, busy in one.busy.items()},
        }
        for one in pieces
    ]


def buffer_rows(found: Sequence[Occupancy], window: tuple[int, int]) -> list[Row]:
    """Return the bytes in each buffer, from each cycle to the next row's; those of a window."""
    return [
        {
            "buffer": one.name,
            "capacity_bytes": one.capacity,
            "cycle": int(cycle),
            "used_bytes": int(used),
        }
        for one in found
        for cycle, used in _within(one, window)
    ]


def _within(one: Occupancy, window: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Return the changes in a window, begun by what is in use at its first cycle."""
    first = max(0, int(np.searchsorted(one.cycles, window[0] + 1, "right")) - 1)
    for cycle, used in zip(one.cycles[first:], one.used[first:], strict=True):
        if cycle <= window[1]:
            yield int(cycle), int(used)


def front_rows(sweep: Sweep) -> list[Row]:
    """Return the points of a sweep with their costs."""
    best = {result.key for result in sweep.front.results}
    return [
        {
            **{name: result.values.get(name) for name in sweep.axes},
            "cycles": result.known_cycles,
            "multipliers": result.multipliers,
            "buffer_bytes": result.memory_bytes,
            "traffic_bytes": result.known_bytes,
            "energy_mJ": None if result.energy_pj is None else result.energy_pj / _MJ,
            "source": "exact" if result.exact else "estimated",
            "pareto_front": int(result.key in best),
        }
        for result in sweep.points
    ]
