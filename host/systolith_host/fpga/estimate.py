"""Estimates the ECP5 resources of a configuration: partly counted, partly fitted to syntheses."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from systolith_host.errors import SystolithError
from systolith_hw.primitives.ecp5_blocks import block_rams
from systolith_hw.spec.config import DISTRIBUTED_BITS, AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES, PARAM_BYTES, TABLE_ENTRIES, Opcode, fields_of

__all__ = [
    "GRID_FILE",
    "RESOURCES",
    "Errors",
    "Sample",
    "error_table",
    "estimate",
    "fit_errors",
    "fit_note",
    "read_grid",
]

RESOURCES = ("LUT", "FF", "DSP", "block RAM")

GRID_FILE = Path(__file__).parent / "ecp5_grid.csv"
"""Synthesised configurations; `make resources` makes it."""


@dataclass(frozen=True)
class Sample:
    """A synthesised configuration.

    Parameters
    ----------
    config : AcceleratorConfig
    gateware : str
        Hash of the gateware it was made of.
    used : mapping of str to int
        By the names of RESOURCES.
    """

    config: AcceleratorConfig
    gateware: str
    used: Mapping[str, int]

    FIELDS: ClassVar = tuple(
        name for name in AcceleratorConfig.__dataclass_fields__ if name != "name"
    )


@dataclass(frozen=True)
class Errors:
    """Relative errors of a resource's estimates, each sample left out of its own fit."""

    median: float
    worst: float


def read_grid(path: Path = GRID_FILE) -> list[Sample]:
    """Return the samples of a table; none if there is no table.

    Raises
    ------
    SystolithError
        If it cannot be read.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="") as file:
            return [
                Sample(
                    AcceleratorConfig.from_dict({name: int(row[name]) for name in Sample.FIELDS}),
                    row["gateware"],
                    {name: int(row[name]) for name in RESOURCES},
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, ValueError) as error:
        raise SystolithError(f"{path}: not a table of syntheses: {error}") from None


def _bits(values: int) -> int:
    """Return the bits of a register that holds 0 to `values` - 1."""
    return max(values - 1, 1).bit_length()


def _shifted(beat: int, word: int) -> float:
    """Return the bytes that a gearbox holds, by the stages of a shifter over their units."""
    units = (beat + word) // math.gcd(beat, word)
    return (beat + word) * math.log2(units)


def _features(resource: str, config: AcceleratorConfig) -> list[float]:
    """Return the terms whose weighted sums estimate LUTs and FFs outside queues."""
    rows, cols = config.rows, config.cols
    address = _bits(config.acc_depth)
    return [
        1.0,
        # Partial sums and weights of the array.
        rows * cols * config.psum_width,
        # Its edges: addresses that travel from bank to bank, sums that are added up.
        rows * _bits(config.act_depth)
        + cols * (_bits(config.weight_depth) + 2 * address + config.sum_width),
        # Requantisers.
        config.post_lanes * (config.acc_width + config.multiplier_width),
        # Between the bus and the buffers' words: registers, and the shifters that align bytes.
        config.bus_bytes * (rows + cols),
        _shifted(config.bus_bytes, config.block) + _shifted(config.bus_bytes, cols),
        # The transforms of Winograd's convolution, with what surrounds them.
        _in_transforms(resource, config),
    ]


def _fit(resource: str, configs: Sequence[AcceleratorConfig], counts: np.ndarray) -> np.ndarray:
    """Return coefficients, none negative, of the features with the least relative errors."""
    features = np.array([_features(resource, config) for config in configs]) / counts[:, None]
    known = np.array([_in_queues(config)[resource] for config in configs]) / counts
    found = np.zeros(features.shape[1])
    used = list(range(len(found)))
    while used:
        numbers = np.linalg.lstsq(features[:, used], 1 - known, rcond=None)[0]
        if numbers.min() >= 0:
            found[used] = numbers
            break
        del used[int(numbers.argmin())]
    return found


def _fitted(resource: str, coefficients: np.ndarray, config: AcceleratorConfig) -> float:
    return float(coefficients @ _features(resource, config)) + _in_queues(config)[resource]


@cache
def _coefficients(resource: str) -> np.ndarray:
    samples = read_grid()
    counts = np.array([sample.used[resource] for sample in samples], float)
    return _fit(resource, [sample.config for sample in samples], counts)


def _queue(depth: int, width: int) -> int:
    """Return the block RAMs of a queue: none if it is small, or where Yosys finds that cheaper.

    Yosys' costs are 128 for a block RAM, 4 for 16 words of 4 bits, and a half for each bit that
    is chosen from one more of these.
    """
    words = depth - 1  # the last one stands in the output register
    pieces = -(-words // 16)
    distributed = 4 * pieces * -(-width // 4) + width * (pieces - 1) / 2
    blocks = block_rams(words, width)
    return blocks if words * width > DISTRIBUTED_BITS and 128 * blocks < distributed else 0


def _queue_shapes(config: AcceleratorConfig) -> list[tuple[int, int]]:
    """Return depth and bits of the queues: of beats read and written, and of instructions."""
    bits = 8 * config.bus_bytes
    beats = 2 * max(config.burst_beats, INSTRUCTION_BYTES // config.bus_bytes)
    written = config.out_bytes // config.bus_bytes
    instructions = [
        (config.queue_depth, sum(f.bits(config.addr_width) for f in fields_of(opcode, config)))
        for opcode in Opcode
    ]
    return [(beats, bits), (written, bits + config.bus_bytes), *instructions]


def _in_queues(config: AcceleratorConfig) -> dict[str, float]:
    """Return LUTs and FFs that hold the words of queues outside block RAMs."""
    found = {"LUT": 0.0, "FF": 0.0}
    for depth, width in _queue_shapes(config):
        if depth <= 2:  # at most a single word next to the output register
            found["FF"] += width * (depth - 1)
        elif _queue(depth, width) == 0:
            pieces = -(-(depth - 1) // 16)
            # 16 words of 4 bits take six; then the choice among the pieces.
            found["LUT"] += 6 * pieces * -(-width // 4) + width * (pieces - 1) / 2
    return found


def _block_rams(config: AcceleratorConfig) -> int:
    return (
        sum(_queue(depth, width) for depth, width in _queue_shapes(config))
        + config.rows * block_rams(config.act_depth, 8)
        + config.cols * block_rams(config.weight_depth, 8)
        + config.post_lanes * block_rams(config.param_depth // config.post_lanes, 8 * PARAM_BYTES)
        + 2 * config.cols * block_rams(config.acc_depth, config.sum_width)
        + config.functions * config.post_lanes * block_rams(TABLE_ENTRIES, 8)
        + _transformed_rams(config)
        + (block_rams(config.mask_words, config.block) if config.gather else 0)
    )


def _transformed_rams(config: AcceleratorConfig) -> int:
    """Return the block RAMs of the memories that only Winograd's convolution needs."""
    if not config.winograd:
        return 0
    groups = config.block // config.post_lanes
    return (
        config.rows * block_rams(config.patch_ring, config.act_width)
        + config.cols * block_rams(config.kernel_ring, config.weight_width)
        + groups * block_rams(config.strip_words, 8 * config.post_lanes)
    )


_TRANSFORMS = {"LUT": (297, 205, 1500), "FF": (361, 188, 1115)}
"""LUTs and FFs of the transforms, for each row, column and requantiser: syntheses of the units
alone. The fit scales their sum."""


def _in_transforms(resource: str, config: AcceleratorConfig) -> int:
    if not config.winograd:
        return 0
    lanes = (config.rows, config.cols, config.post_lanes)
    return sum(each * count for each, count in zip(_TRANSFORMS[resource], lanes, strict=True))


_TABLES = {"LUT": (9, 135), "FF": (37, 102)}
"""LUTs and FFs of the tables of functions, for each requantiser and at all: syntheses of the units
alone. The grid has no configuration with them."""


def _in_tables(resource: str, config: AcceleratorConfig) -> int:
    lane, writer = _TABLES[resource]
    return config.functions * (lane * config.post_lanes + writer)


_GATHERS = {"LUT": 138, "FF": 81}
"""LUTs and FFs of the units that gather weights, and of a ninth bit in the array, for each row:
what they add to `ecp5-85f`. The grid has no configuration with them."""


def _in_gathers(resource: str, config: AcceleratorConfig) -> int:
    return _GATHERS[resource] * config.rows if config.gather else 0


_NIBBLES = {"LUT": (9, 4), "FF": (0, 2)}
"""LUTs and FFs of the unit that takes weights of 4 bits apart, for each column and at all: what it
adds to syntheses of the writer of weights alone. The grid has no configuration with it."""


def _in_nibbles(resource: str, config: AcceleratorConfig) -> int:
    column, rest = _NIBBLES[resource]
    return config.nibbles * (column * config.cols + rest)


_COUNTED: Mapping[str, Callable[[AcceleratorConfig], int]] = {
    "DSP": AcceleratorConfig.dsps,
    "block RAM": _block_rams,
}


def counted(config: AcceleratorConfig) -> dict[str, int]:
    """Return the DSPs and block RAMs of a configuration on an ECP5."""
    return {resource: count(config) for resource, count in _COUNTED.items()}


def estimate(config: AcceleratorConfig) -> dict[str, int]:
    """Return the ECP5 resources of a configuration, by the names of RESOURCES.

    DSPs and block RAMs are counted; LUTs and FFs are fitted, see :func:`fit_errors`.
    """
    found = {}
    for resource in RESOURCES:
        if resource in _COUNTED:
            found[resource] = _COUNTED[resource](config)
        else:
            fitted = round(_fitted(resource, _coefficients(resource), config))
            units = (_in_tables, _in_gathers, _in_nibbles)
            found[resource] = fitted + sum(unit(resource, config) for unit in units)
    return found


def fit_errors(samples: Sequence[Sample]) -> dict[str, Errors]:
    """Return the errors of each resource, every sample predicted by a fit to all others."""
    found = {}
    for resource in RESOURCES:
        counts = np.array([sample.used[resource] for sample in samples], float)
        configs = [sample.config for sample in samples]
        predicted = []
        for number, config in enumerate(configs):
            if resource in _COUNTED:
                predicted.append(_COUNTED[resource](config))
                continue
            others = configs[:number] + configs[number + 1 :]
            numbers = _fit(resource, others, np.delete(counts, number))
            predicted.append(_fitted(resource, numbers, config))
        errors = np.abs(np.array(predicted) / counts - 1)
        found[resource] = Errors(float(np.median(errors)), float(errors.max()))
    return found


def fit_note() -> str:
    """Return one line on how far LUTs and FFs may be off."""
    errors = fit_errors(read_grid())
    parts = [
        f"{name} {100 * errors[name].median:.0f} % (at worst {100 * errors[name].worst:.0f} %)"
        for name in RESOURCES
        if name not in _COUNTED
    ]
    return f"LUTs and FFs are fitted, error in the median: {', '.join(parts)}"


def error_table(samples: Sequence[Sample]) -> list[str]:
    """Return lines of a table of the errors."""
    lines = [f"{len(samples)} configurations; errors with each left out of its own fit:"]
    if len(samples) > 2:
        for resource, errors in fit_errors(samples).items():
            median, worst = 100 * errors.median, 100 * errors.worst
            lines.append(f"  {resource}: median {median:.1f} %, worst {worst:.1f} %")
    return lines
