"""The energy of single operations and accesses, as a TOML file gives them with their source."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_hw.spec.compat import tomllib

__all__ = ["TABLES", "EnergyTable", "Memories", "load_table"]

TABLES = ("45nm",)
"""Tables that come with Systolith."""

_TEXTS = ("name", "technology", "source")


@dataclass(frozen=True)
class Memories:
    """Points of a curve: what an access takes in memories of some sizes.

    Parameters
    ----------
    bytes : tuple of float
        Sizes, ascending.
    pj_per_bit : tuple of float
    """

    bytes: tuple[float, ...]
    pj_per_bit: tuple[float, ...]

    def of(self, size: float) -> float:
        """Return pJ per bit in a memory of `size` bytes.

        Between two points and beyond the ends it is a power of the size.
        """
        return _power(self.bytes, self.pj_per_bit, size)


@dataclass(frozen=True)
class EnergyTable:
    """Energies in pJ.

    Parameters
    ----------
    name, technology, source : str
    multiply, add : dict of int to float
        By bits: of both factors, and of the sum.
    memory : Memories
    dram : (float, float)
        Least and most per bit.
    """

    name: str
    technology: str
    source: str
    multiply: Mapping[int, float]
    add: Mapping[int, float]
    memory: Memories
    dram: tuple[float, float]

    def product(self, bits: int, other: int) -> float:
        """Return pJ of a product of two numbers, which grows as a power of the product of bits."""
        sizes = sorted(self.multiply)
        points = [size * size for size in sizes], [self.multiply[size] for size in sizes]
        return _power(*points, bits * other)

    def sum(self, bits: int) -> float:
        """Return pJ of an addition."""
        sizes = sorted(self.add)
        return _power(sizes, [self.add[size] for size in sizes], bits)


def _power(sizes: Sequence[float], values: Sequence[float], size: float) -> float:
    """Return the value at `size` of the power law through the two nearest points."""
    if len(sizes) == 1:
        return values[0]
    last = next((i for i, each in enumerate(sizes) if each >= size), len(sizes) - 1)
    first = max(last, 1) - 1
    ratio = math.log(values[first + 1] / values[first]) / math.log(sizes[first + 1] / sizes[first])
    return values[first] * (size / sizes[first]) ** ratio


def load_table(name_or_path: str) -> EnergyTable:
    """Return the table of that name, or the one in that TOML file.

    Raises
    ------
    SystolithError
        If it is neither, or the file lacks something: the field is named.
    """
    if name_or_path in TABLES:
        text = files("systolith_host.energy").joinpath(f"{name_or_path}.toml").read_text("utf-8")
        return _read(text, name_or_path)
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.exists():
        raise SystolithError(
            f"energy table must be one of {', '.join(TABLES)} or a TOML file, not {name_or_path!r}"
        )
    try:
        return _read(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SystolithError(f"{path}: cannot be read: {error}") from None


def _read(text: str, where: str) -> EnergyTable:
    try:
        fields = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SystolithError(f"{where}: not TOML: {error}") from None
    known = {*_TEXTS, "multiply", "add", "memory", "dram"}
    for name in fields.keys() - known:
        raise SystolithError(f"{where}: no field {name!r}; there are {', '.join(sorted(known))}")
    for name in _TEXTS:
        if not isinstance(fields.get(name), str) or not fields[name].isprintable():
            raise SystolithError(f"{where}: {name} must be a line of text")
    memory = _points(fields, "memory", ("bytes", "bits", "pj"), where)
    dram = _entry(fields.get("dram"), "dram", ("bits", "pj_low", "pj_high"), where)
    if dram["pj_low"] > dram["pj_high"]:
        raise SystolithError(f"{where}: dram: pj_low must not be more than pj_high")
    return EnergyTable(
        name=fields["name"],
        technology=fields["technology"],
        source=fields["source"],
        multiply=_by_bits(fields, "multiply", where),
        add=_by_bits(fields, "add", where),
        memory=Memories(
            tuple(point["bytes"] for point in memory),
            tuple(point["pj"] / point["bits"] for point in memory),
        ),
        dram=(dram["pj_low"] / dram["bits"], dram["pj_high"] / dram["bits"]),
    )


def _by_bits(fields: Mapping[str, Any], name: str, where: str) -> dict[int, float]:
    points = _points(fields, name, ("bits", "pj"), where)
    return {int(point["bits"]): point["pj"] for point in points}


def _points(
    fields: Mapping[str, Any], name: str, keys: Sequence[str], where: str
) -> list[dict[str, float]]:
    """Return the entries of an array, by the first of `keys`, which all differ in it."""
    given = fields.get(name)
    if not isinstance(given, list) or not given:
        raise SystolithError(f"{where}: {name} must be an array of tables with {', '.join(keys)}")
    found = [_entry(one, name, keys, where) for one in given]
    found.sort(key=lambda point: point[keys[0]])
    if len({point[keys[0]] for point in found}) < len(found):
        raise SystolithError(f"{where}: {name}: two entries have the same {keys[0]}")
    return found


def _entry(given: Any, name: str, keys: Sequence[str], where: str) -> dict[str, float]:
    if not isinstance(given, dict) or set(given) != set(keys):
        raise SystolithError(f"{where}: {name} must have {', '.join(keys)} and nothing else")
    for key, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < math.inf:
            raise SystolithError(f"{where}: {name}: {key} must be a positive number, not {value!r}")
    return {key: float(value) for key, value in given.items()}
