"""Finds the smallest change of the accelerator with which a layer would run."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Change", "ShortageError", "depth_change", "smallest_change"]


@dataclass(frozen=True)
class Change:
    """A field of the configuration that has to grow.

    Parameters
    ----------
    field : str
    value : int
        The least that suffices.
    buffer : str
        The buffer of that depth, in words.
    there_bytes, needed_bytes : int
    """

    field: str
    value: int
    buffer: str
    there_bytes: int
    needed_bytes: int

    @property
    def missing_bytes(self) -> int:
        """Bytes that are missing."""
        return self.needed_bytes - self.there_bytes


class ShortageError(SystolithError):
    """A layer that an accelerator has no room for.

    Parameters
    ----------
    layer : str
    problem : str
        The obstacle, in words.
    changes : tuple of Change
        Sufficient together; none can be left out or be smaller. Empty if no change suffices.
    """

    def __init__(self, layer: str, problem: str, changes: tuple[Change, ...]) -> None:
        missing = ", ".join(
            f"the {change.buffer} has {change.there_bytes:,} bytes and needs "
            f"{change.missing_bytes:,} more"
            for change in changes
        )
        fields = " and ".join(f"{change.field} {change.value}" for change in changes)
        way_out = f"{missing}; build with {fields}" if changes else "no depth of buffers suffices"
        super().__init__(f"{layer}: {problem}; {way_out}")
        self.layer = layer
        self.changes = changes


_LIMITS = {"acc_depth": 1 << 15, "weight_depth": 1 << 20, "act_depth": 1 << 20}
"""Of :class:`AcceleratorConfig`."""


def smallest_change(
    config: AcceleratorConfig, runs: Callable[[AcceleratorConfig], bool]
) -> tuple[Change, ...]:
    """Return the buffer whose growth costs the fewest bytes and makes a layer run.

    If one is not enough, all grow together, and each is then made as small as it may be.

    Parameters
    ----------
    runs : callable
        Whether the layer runs on a configuration.
    """
    alone = []
    for field in _LIMITS:
        value = _least(config, field, runs)
        if value is not None:
            alone.append(depth_change(config, field, value))
    if alone:
        return (min(alone, key=lambda change: change.missing_bytes),)
    large = config
    while not runs(large):
        depths = {field: min(2 * getattr(large, field), limit) for field, limit in _LIMITS.items()}
        if all(getattr(large, field) == depth for field, depth in depths.items()):
            return ()
        large = replace(large, **depths)
    for field in _LIMITS:
        value = _least(replace(large, **{field: getattr(config, field)}), field, runs)
        assert value is not None
        large = replace(large, **{field: value})
    return tuple(
        depth_change(config, field, getattr(large, field))
        for field in _LIMITS
        if getattr(large, field) > getattr(config, field)
    )


def depth_change(config: AcceleratorConfig, field: str, value: int) -> Change:
    """Return the change of a depth to a value."""
    buffer, size = {
        "act_depth": ("activation buffer", "act_bytes"),
        "weight_depth": ("weight buffer", "weight_bytes"),
        "acc_depth": ("accumulator memory", "acc_bytes"),
    }[field]
    other = replace(config, **{field: value})
    return Change(field, value, buffer, getattr(config, size), getattr(other, size))


def _least(
    config: AcceleratorConfig, field: str, runs: Callable[[AcceleratorConfig], bool]
) -> int | None:
    """Return the least value of a field with which it runs: by doubling, then by bisection."""

    def works(value: int) -> bool:
        return runs(replace(config, **{field: value}))

    limit = _LIMITS[field]
    low = getattr(config, field)
    high = low
    while not works(high):
        if high >= limit:
            return None
        low, high = high, min(2 * high, limit)
    while high - low > 1:
        middle = (low + high) // 2
        if works(middle):
            high = middle
        else:
            low = middle
    return high
