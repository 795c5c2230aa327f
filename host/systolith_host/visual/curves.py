"""Cycles over the memory's bandwidth, layer by layer, and the knee of each curve."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from systolith_host.compiler.compile import choose_schedule
from systolith_host.errors import SystolithError
from systolith_host.visual.subject import Subject
from systolith_hw.spec.isa import INSTRUCTION_BYTES

__all__ = ["BANDWIDTHS", "KNEE_SHARE", "Curve", "Curves", "bandwidth_curves"]

BANDWIDTHS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)

KNEE_SHARE = 0.05
"""At the knee a curve is within this share of its least value."""


@dataclass(frozen=True)
class Curve:
    """One layer, or all: a value for each bandwidth.

    Parameters
    ----------
    name : str
    cycles, traffic : tuple of int
        Traffic in bytes.
    array_cycles : int
        Least cycles of the array; 0 if unknown.
    """

    name: str
    cycles: tuple[int, ...]
    traffic: tuple[int, ...]
    array_cycles: int = 0

    @property
    def knee(self) -> int:
        """Index of the least bandwidth at which cycles are within KNEE_SHARE of the least."""
        limit = min(self.cycles) * (1 + KNEE_SHARE)
        return next(i for i, cycles in enumerate(self.cycles) if cycles <= limit)


@dataclass(frozen=True)
class Curves:
    """The curves of a network; every point is scheduled anew for its bandwidth.

    Parameters
    ----------
    bandwidths : tuple of float
        In bytes per cycle, rising.
    bus_bytes : tuple of int
        The bus at each of them: that of the accelerator, or wider where that is too narrow.
    layers : tuple of Curve
    total : Curve
    left_out : tuple of str
        Bandwidths that cannot be built, with the reason.
    """

    bandwidths: tuple[float, ...]
    bus_bytes: tuple[int, ...]
    layers: tuple[Curve, ...]
    total: Curve
    left_out: tuple[str, ...]


def bandwidth_curves(
    subject: Subject,
    bandwidths: Sequence[float],
    progress: Callable[[str, float, float], None],
) -> Curves:
    """Schedule the network for each bandwidth; cycles are those of the compiler's simulation.

    Raises
    ------
    SystolithError
        If none of them can be built.
    """
    operations = subject.operations
    used, buses, left_out = [], [], []
    cycles: list[list[int]] = [[] for _ in operations]
    traffic: list[list[int]] = [[] for _ in operations]
    for number, bandwidth in enumerate(sorted(bandwidths)):
        progress(f"{bandwidth:g} bytes per cycle", number, len(bandwidths))
        point = subject.at(bandwidth)
        if point.config is None:
            left_out.append(f"{bandwidth:g}: {point.reason}")
            continue
        try:
            found = [
                choose_schedule(
                    operation,
                    point.config,
                    subject.addresses(operation),
                    subject.batch,
                    subject.memory_of(bandwidth),
                )
                for operation in operations
            ]
        except SystolithError as error:
            left_out.append(f"{bandwidth:g}: {error}")
            continue
        used.append(bandwidth)
        buses.append(point.config.bus_bytes)
        for index, (schedule, instructions, taken) in enumerate(found):
            cycles[index].append(taken)
            moved = schedule.read_bytes + schedule.write_bytes
            traffic[index].append(moved + instructions * INSTRUCTION_BYTES)
    if not used:
        raise SystolithError(f"no bandwidth can be built: {left_out[0]}")
    multipliers = subject.config.multipliers
    layers = tuple(
        Curve(
            operation.name,
            tuple(cycles[index]),
            tuple(traffic[index]),
            -(-subject.batch * operation.products(subject.config) // multipliers),
        )
        for index, operation in enumerate(operations)
    )
    total = Curve(
        "all layers",
        tuple(map(sum, zip(*cycles, strict=True))),
        tuple(map(sum, zip(*traffic, strict=True))),
        sum(layer.array_cycles for layer in layers),
    )
    return Curves(tuple(used), tuple(buses), layers, total, tuple(left_out))
