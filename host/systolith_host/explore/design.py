"""The accelerator for a network on an FPGA: the axes of a search, held to what fits there."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from systolith_host.errors import SystolithError
from systolith_host.explore.results import Result
from systolith_host.explore.space import Space
from systolith_host.fpga.parts import Part
from systolith_host.network.qgraph import QConv, QGraph
from systolith_hw.spec.check import MOST_INPUTS
from systolith_hw.spec.config import AcceleratorConfig

__all__ = [
    "FILL",
    "GOALS",
    "Target",
    "dense_inputs",
    "design_space",
    "nearest",
    "order",
    "starts",
]

GOALS = {
    "frames": "most frames per second",
    "traffic": "fewest bytes of memory traffic",
    "energy": "least energy of an image",
    "energy-delay": "least energy times time",
}
"""What may be best; of equals the next one decides."""

FILL = 0.75
"""Largest share of the LUTs and FFs, unless somebody wants another."""

_SIDES = (4, 6, 8, 12, 16, 24, 32, 48, 64)
_PATCHES = (0, 7, 14, 28, 56)
_LANES = (1, 2, 4, 8, 16)
_KIB = {
    "act_buffer": (32, 48, 64, 96, 128, 192, 256, 384, 512),
    "weight_buffer": (8, 12, 16, 24, 32, 48, 64, 96, 128, 192),
}
_WIDEST_BUS = 64
_ARRAYS = 6
"""Arrays with which a search begins, the largest that fit."""
_RAM_FILL = 0.9
"""Largest share of the block RAMs: they stand in columns, and the last ones are far from all."""


@dataclass(frozen=True)
class Target:
    """An FPGA, and the memory that it has.

    Parameters
    ----------
    part : Part
    bandwidth : float
        Bytes that long reads get in a cycle of the accelerator.
    own : mapping of str to int
        Resources that everything beside the accelerator takes.
    fill : float
        Largest share of the part's LUTs and FFs that may be used; what is fuller is routed
        slowly and misses its clock.
    max_dsp : int, optional
        Most multipliers of the accelerator.
    most_burst : int, optional
        Bytes of the longest burst that the memory's port takes.

    Raises
    ------
    SystolithError
        If nothing would be left, or the bandwidth is none.
    """

    part: Part
    bandwidth: float
    own: Mapping[str, int] = field(default_factory=dict)
    fill: float = FILL
    max_dsp: int | None = None
    most_burst: int | None = None

    def __post_init__(self) -> None:
        if not 0.01 <= self.bandwidth <= _WIDEST_BUS:
            raise SystolithError(
                f"the memory must give 0.01 to {_WIDEST_BUS} bytes per cycle, not "
                f"{self.bandwidth:g}: change --bandwidth or --clock"
            )
        if not 0 < self.fill <= 1:
            raise SystolithError(f"--fill must be above 0 and at most 1, not {self.fill:g}")
        if any(count < 1 for count in self.room.resources.values()):
            raise SystolithError(
                f"nothing of {self.part.name} is left for the accelerator; raise --fill"
            )

    @property
    def room(self) -> Part:
        """The part, as large as what is left of it for the accelerator."""
        shares = {"LUT": self.fill, "FF": self.fill, "block RAM": max(_RAM_FILL, self.fill)}
        left = {
            name: int(shares.get(name, 1.0) * count) - self.own.get(name, 0)
            for name, count in self.part.resources.items()
        }
        if self.max_dsp is not None:
            left["DSP"] = min(left["DSP"], self.max_dsp)
        return dataclasses.replace(self.part, resources=left)


def dense_inputs(qgraph: QGraph) -> int:
    """Return the inputs of the largest fully connected layer that may gather its weights.

    They are counted as they stand in memory, in whole blocks of channels of any array of a search;
    0 if there is no such layer.
    """
    found = [0]
    for layer in qgraph.layers:
        if isinstance(layer, QConv) and layer.kind == "fc":
            channels, height, width = qgraph.tensors[layer.inputs[0]].shape
            padded = max(-(-channels // side) * side for side in _SIDES)
            found.append(padded * height * width)
    return max(count for count in found if count <= MOST_INPUTS)


def design_space(
    base: AcceleratorConfig, target: Target, gather: int = 0, density: float = 1.0
) -> Space:
    """Return the space of all accelerators that are searched for a target.

    Parameters
    ----------
    base : AcceleratorConfig
        Its values of the axes are in the space; all its other fields stay.
    target : Target
    gather : int
        Inputs for which accelerators may have units that gather weights; 0 to leave that to the
        base.
    density : float
        Share of the inputs of fully connected layers that are active, 0 to 1.

    Raises
    ------
    SystolithError
        If the memory's port takes no burst of the base's beats.
    """
    room = target.room
    most = room.resources["DSP"]
    sides = [side for side in _SIDES if 4 * side <= most]
    widest = _WIDEST_BUS
    if target.most_burst is not None:
        widest = min(widest, target.most_burst // base.burst_beats)
    bus = 4
    while bus < target.bandwidth:
        bus *= 2
    axes: dict[str, Sequence[float]] = {
        "rows": _with(sides, base.rows),
        "cols": _with(sides, base.cols),
        "bandwidth": (target.bandwidth,),
        "act_buffer": _with((1024 * kib for kib in _KIB["act_buffer"]), base.act_bytes),
        "weight_buffer": _with((1024 * kib for kib in _KIB["weight_buffer"]), base.weight_bytes),
        "winograd": _with(_PATCHES, base.winograd),
        "post_lanes": _with(_LANES, base.post_lanes),
        "bus_bytes": [width for width in (bus, 2 * bus, 4 * bus) if width <= widest],
    }
    if gather:
        axes["gather"] = _with((0, gather), base.gather)
    if density < 1:
        axes["density"] = (density,)
    if not axes["bus_bytes"]:
        raise SystolithError(
            f"{base.name}: bursts of {base.burst_beats} beats are too long for the memory's port, "
            f"which takes {target.most_burst} bytes; lower burst_beats"
        )
    return Space(base, axes, part=room)


def _with(values: Iterable[int], own: int) -> tuple[float, ...]:
    return tuple(sorted({own, *values}))


def nearest(space: Space) -> int:
    """Return the number of the point that is nearest to the space's base."""
    base = space.base
    wanted = {
        "rows": base.rows,
        "cols": base.cols,
        "act_buffer": base.act_bytes,
        "weight_buffer": base.weight_bytes,
        "winograd": base.winograd,
        "post_lanes": base.post_lanes,
        "bus_bytes": base.bus_bytes,
        "gather": base.gather,
    }
    values = {
        axis: min(choices, key=lambda value, axis=axis: abs(value - wanted.get(axis, value)))
        for axis, choices in space.axes.items()
    }
    return space.number(values)


def starts(space: Space) -> list[int]:
    """Return the numbers of points from which a search should begin.

    Arrays, Winograd's tiles and buffers share one FPGA, so from most points every single step
    either does not fit or makes things worse. So there is a point for each of the largest arrays,
    with each size of tiles, and the most that then fits of one buffer and of the other.
    """
    axes = space.axes
    shapes = [
        (rows, cols)
        for rows, cols in product(axes["rows"], axes["cols"])
        if max(rows, cols) % min(rows, cols) == 0
    ]
    shapes.sort(key=lambda shape: -shape[0] * shape[1])
    found: dict[int, None] = {}
    arrays: set[tuple[float, float]] = set()
    for shape in shapes:
        before = len(found)
        for winograd in axes["winograd"]:
            for first, second in (("act_buffer", "weight_buffer"), ("weight_buffer", "act_buffer")):
                number = _largest(space, shape, winograd, first, second)
                if number is not None:
                    found[number] = None
        arrays |= {shape} if len(found) > before else set()
        if len(arrays) == _ARRAYS:
            break
    return [nearest(space), *found]


def _largest(
    space: Space, shape: tuple[float, float], winograd: float, first: str, second: str
) -> int | None:
    """Return the point with the most of one buffer that fits, then of the other."""
    axes = space.axes
    lanes = [n for n in axes["post_lanes"] if min(shape) % n == 0 and n <= space.base.post_lanes]
    if not lanes:
        return None
    rest = {"winograd": winograd, "post_lanes": max(lanes), "bus_bytes": axes["bus_bytes"][0]}
    rest |= {"rows": shape[0], "cols": shape[1], "bandwidth": axes["bandwidth"][0]}
    rest |= {axis: max(axes[axis]) for axis in ("gather", "density") if axis in axes}
    for axis, then in ((first, min(axes[second])), (second, 0)):
        rest |= {second: then}
        sizes = sorted(axes[axis], reverse=True)
        fitting = (size for size in sizes if not space.point(rest | {axis: size}).reason)
        size = next(fitting, None)
        if size is None:
            return None
        rest |= {axis: size}
    return space.number(rest)


def order(goal: str, result: Result, *, replayed: bool = False) -> tuple[int, ...]:
    """Return what a better result has less of, the goal first; exact numbers where known.

    Parameters
    ----------
    goal : str
        Of :data:`GOALS`.
    result : Result
    replayed : bool
        Whether to take the energy that the replay gives. Without it the traffic stands for the
        energy, since DRAM takes most of it.
    """
    cycles, moved = result.known_cycles, result.known_bytes
    spent = moved
    if replayed:
        assert result.energy_pj is not None
        spent = result.energy_pj
    mine = {
        "frames": (cycles, moved),
        "traffic": (moved, cycles),
        "energy": (spent, cycles),
        "energy-delay": (spent * cycles, cycles),
    }[goal]
    return (*mine, result.dsps, result.block_rams, result.luts)
