"""The space of a sweep: axes, their values, and the accelerators that they make of a base."""

import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.fpga.estimate import estimate
from systolith_host.fpga.parts import Part, check_fits
from systolith_host.network.weight_bits import BITS, WeightBits
from systolith_hw.spec.compat import tomllib
from systolith_hw.spec.config import AcceleratorConfig, ConfigError, least_out_depth
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.winograd import LANES, LEAST_PATCHES

__all__ = ["AXES", "Point", "Space", "parse_values", "read_sweep"]

AXES = {
    "rows": "rows of the array",
    "cols": "columns of the array",
    "bandwidth": "bytes per cycle of the memory; the bus becomes wide enough for it",
    "act_buffer": "bytes of the activation buffer",
    "weight_buffer": "bytes of the weight buffer",
    "acc_depth": "pixels of an accumulator bank",
    "winograd": "patches of the largest Winograd tile, 0 for none; acc_depth goes with it",
    "gather": "inputs of the largest layer that gathers its weights, 0 to leave the units out",
    "post_lanes": "channels requantised per cycle",
    "bus_bytes": "width of the bus in bytes",
    "latency": "cycles from the address of a read to its first data",
    "turnaround": "cycles in which no data moves between reading and writing",
    "outstanding": "bursts of reads under way at once; half as many writes",
    "density": "share of the inputs of fully connected layers that are active, 0 to 1; it counts "
    "where weights are gathered",
    "weight_bits": "bits of the weights of fully connected layers in memory, 4 or 8; with 4 the "
    "accelerator has the unit for them",
}
"""Axes that a sweep may vary, in the order in which points are counted, the last fastest."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([KM]?)i?B?", re.IGNORECASE)
_MOST_VALUES = 10_000
_LARGEST = 1 << 40
_FROM_ZERO = ("turnaround", "winograd", "gather", "density")
_FRACTIONS = ("bandwidth", "density")


def _number(text: str, axis: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    if not match:
        raise SystolithError(f"--{_option(axis)}: not a number: {text.strip()!r}")
    number = float(match[1]) * _UNITS[match[2].upper()]
    if number > _LARGEST:
        raise SystolithError(f"--{_option(axis)}: must be at most 1,048,576M, not {text.strip()}")
    return number


def _option(axis: str) -> str:
    return axis.replace("_", "-")


def parse_values(axis: str, text: str) -> tuple[float, ...]:
    """Return the values that a text like ``8,16,32``, ``32K..512K`` or ``4..64 step 4`` names.

    A range doubles from its first to its last value unless it has a step.

    Raises
    ------
    SystolithError
        If the text is no list of positive numbers (turnaround, winograd, gather and density may be
        0), or names none.
    """
    if not text.strip():
        raise SystolithError(f"--{_option(axis)}: no values; give some, e.g. 8,16,32")
    found: dict[float, None] = {}
    steps = 0
    for part in text.split(","):
        ends, _, step_text = part.partition("step")
        low_text, dots, high_text = ends.partition("..")
        low = _number(low_text, axis)
        if low == 0 and axis in _FROM_ZERO and not dots and not step_text:
            found[low] = None
            continue
        high = _number(high_text, axis) if dots else low
        step = _number(step_text, axis) if step_text else 0.0
        if not 0 < low <= high or (step_text and step <= 0):
            raise SystolithError(
                f"--{_option(axis)}: a range must rise from a positive number, not {part.strip()!r}"
            )
        value = low
        while value <= high:
            found[value] = None
            value = value + step if step else 2 * value
            steps += 1  # a step may be too small to change the value
            if steps > _MOST_VALUES:
                raise SystolithError(f"--{_option(axis)}: more than {_MOST_VALUES:,} values")
    if axis not in _FRACTIONS and any(value != int(value) for value in found):
        raise SystolithError(f"--{_option(axis)}: must be whole numbers, not {text!r}")
    if axis == "density" and max(found) > 1:
        raise SystolithError(f"--density: must be 0 to 1, not {text!r}")
    if axis == "weight_bits" and not set(found) <= set(BITS):
        raise SystolithError(f"--weight-bits: must be 4 or 8, not {text!r}")
    return tuple(found)


def read_sweep(path: Path) -> dict[str, tuple[float, ...]]:
    """Return the axes in a TOML file: a number, a list of numbers or a text for each axis.

    Raises
    ------
    SystolithError
        If it cannot be read, or has an unknown axis.
    """
    try:
        fields = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SystolithError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SystolithError(f"{path}: not TOML: {error}") from None
    unknown = sorted(set(fields) - set(AXES))
    if unknown:
        raise SystolithError(f"{path}: no such axis: {unknown[0]}; there are {', '.join(AXES)}")
    axes = {}
    for axis, value in fields.items():
        values = value if isinstance(value, list) else [value]
        text = ",".join(str(one) for one in values)
        try:
            axes[axis] = parse_values(axis, text)
        except SystolithError as error:
            raise SystolithError(f"{path}: {error}") from None
    return axes


@dataclass(frozen=True)
class Point:
    """An accelerator and a memory, or why there is none.

    Parameters
    ----------
    values : mapping of str to float
        The axes' values.
    config : AcceleratorConfig, optional
    bandwidth : float
        Bytes per cycle.
    reason : str
        Why it cannot be built; "" if it can.
    latency, turnaround : int
        Cycles of the memory.
    """

    values: Mapping[str, float]
    config: AcceleratorConfig | None
    bandwidth: float
    reason: str = ""
    latency: int = Memory().latency
    turnaround: int = 0

    @property
    def density(self) -> float:
        """Share of the inputs of fully connected layers that are active."""
        return self.values.get("density", 1.0)

    @property
    def weight_bits(self) -> WeightBits:
        """Bits of weights in memory, where not 8."""
        return {"fc": 4} if self.values.get("weight_bits") == 4 else {}

    @property
    def memory(self) -> Memory:
        """The memory, as simulation and replay take it."""
        return Memory(
            bytes_per_cycle=self.bandwidth, latency=self.latency, turnaround=self.turnaround
        )

    @property
    def resources(self) -> dict[str, int]:
        """LUTs, FFs, DSPs and block RAMs of an ECP5, estimated."""
        assert self.config is not None
        return estimate(self.config)

    @property
    def multipliers(self) -> int:
        """Those of the array and of the lanes that requantise."""
        assert self.config is not None
        return self.config.dsps()

    @property
    def memory_bytes(self) -> int:
        """Bytes of all buffers: inputs, accumulators, output; with Winograd what is transformed."""
        assert self.config is not None
        config = self.config
        inputs = config.act_bytes + config.weight_bytes + config.param_bytes
        return inputs + config.acc_bytes + config.out_bytes + config.transformed_bytes


@dataclass(frozen=True)
class Space:
    """The points of a sweep.

    Parameters
    ----------
    base : AcceleratorConfig
        All other fields.
    axes : mapping of str to sequence of float
    max_multipliers, max_memory : int, optional
        Limits; points beyond them are not run.
    part : Part, optional
        An FPGA that points have to fit, by their estimated resources.

    Raises
    ------
    SystolithError
        If an axis is unknown or has no values.
    """

    base: AcceleratorConfig
    axes: Mapping[str, Sequence[float]]
    max_multipliers: int | None = None
    max_memory: int | None = None
    part: Part | None = None

    def __post_init__(self) -> None:
        for axis, values in self.axes.items():
            if axis not in AXES:
                raise SystolithError(f"axis must be one of {', '.join(AXES)}, not {axis!r}")
            if not values:
                raise SystolithError(f"--{_option(axis)}: no values")

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(len(values) for values in self.axes.values())

    def points(self, sample: int | None = None, seed: int = 0) -> Iterator[Point]:
        """Yield all points, or `sample` of them at random, in order."""
        numbers: Sequence[int] = range(self.size)
        if sample is not None and sample < self.size:
            numbers = sorted(random.Random(seed).sample(numbers, sample))
        for number in numbers:
            yield self.point(self.values(number))

    def values(self, number: int) -> dict[str, float]:
        """Return the axes' values of a point by its number, 0 to :attr:`size` - 1."""
        values = {}
        for axis in reversed([name for name in AXES if name in self.axes]):
            number, index = divmod(number, len(self.axes[axis]))
            values[axis] = self.axes[axis][index]
        return values

    def number(self, values: Mapping[str, float]) -> int:
        """Return the number of the point of these values, all of which are in the axes."""
        number = 0
        for axis in (name for name in AXES if name in self.axes):
            number = number * len(self.axes[axis]) + list(self.axes[axis]).index(values[axis])
        return number

    def point(self, values: Mapping[str, float]) -> Point:
        """Return the point of these values."""
        bandwidth = values.get("bandwidth", float(values.get("bus_bytes", self.base.bus_bytes)))
        latency = int(values.get("latency", Memory().latency))
        turnaround = int(values.get("turnaround", 0))
        try:
            config = self._config(values, bandwidth)
            point = Point(values, config, bandwidth, latency=latency, turnaround=turnaround)
            _ = point.memory
        except ValueError as error:
            return Point(values, None, bandwidth, str(error), latency, turnaround)
        if self.max_multipliers is not None and point.multipliers > self.max_multipliers:
            reason = f"{point.multipliers:,} multipliers, more than {self.max_multipliers:,}"
            return replace(point, reason=reason)
        if self.max_memory is not None and point.memory_bytes > self.max_memory:
            reason = f"{point.memory_bytes:,} bytes of buffers, more than {self.max_memory:,}"
            return replace(point, reason=reason)
        if self.part is not None:
            try:
                check_fits("it", point.resources, self.part)
            except SystolithError as error:
                return replace(point, reason=str(error))
        return point

    def _config(self, values: Mapping[str, float], bandwidth: float) -> AcceleratorConfig:
        base = self.base
        rows, cols = int(values.get("rows", base.rows)), int(values.get("cols", base.cols))
        block = max(min(rows, cols), 1)
        if "bus_bytes" in values:
            bus = int(values["bus_bytes"])
            if bandwidth > bus:
                raise ConfigError(f"bus_bytes must be at least the bandwidth {bandwidth:g}")
        else:
            bus = base.bus_bytes
            while bus < bandwidth:
                bus *= 2
        # Fields that follow from the array, unless they are axes.
        lanes = int(values.get("post_lanes", 0))
        if not lanes:
            lanes = base.post_lanes
            while lanes > 1 and block % lanes:
                lanes //= 2
        winograd = int(values.get("winograd", base.winograd))
        sums = int(values.get("acc_depth", base.acc_depth))
        if "acc_depth" not in values:
            sums = max(sums, LANES * winograd)
        elif "winograd" not in values:
            winograd = min(winograd, sums // LANES)
            winograd = winograd if winograd >= LEAST_PATCHES else 0
        inputs = -(-int(values.get("gather", base.gather)) // block) * block
        outstanding = int(values.get("outstanding", 0))
        beats = base.burst_beats
        while beats > 1 and beats * bus > 4096:
            beats //= 2
        fields = {
            **base.to_dict(),
            "name": f"{rows}x{cols}",
            "rows": rows,
            "cols": cols,
            "act_depth": int(values.get("act_buffer", base.act_bytes)) // max(rows, 1),
            "weight_depth": int(values.get("weight_buffer", base.weight_bytes)) // max(cols, 1),
            "param_depth": -(-base.param_depth // max(cols, 1)) * cols,
            "acc_depth": sums,
            "winograd": winograd,
            "gather": inputs,
            "nibbles": int(base.nibbles or values.get("weight_bits") == 4),
            "post_lanes": lanes,
            "bus_bytes": bus,
            "burst_beats": beats,
            "outstanding_reads": outstanding or base.outstanding_reads,
            "outstanding_writes": -(-outstanding // 2) or base.outstanding_writes,
            "out_depth": max(base.out_depth, least_out_depth(bus, beats, block)),
        }
        return AcceleratorConfig(**fields)
