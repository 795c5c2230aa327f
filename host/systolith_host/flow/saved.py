"""Reads a saved report and checks that it matches the request."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.flow.report import SCHEMA
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory

__all__ = ["MeasuredRun", "compared", "foreign", "memory_of", "read_fields", "read_run"]

_NUMBERS = [field.name for field in dataclasses.fields(Memory)]


@dataclass(frozen=True)
class MeasuredRun:
    """A whole network's cycles, counted by the RTL or a board.

    Parameters
    ----------
    path : Path
    device : str
    memory : Memory
    memory_name : str
        The kind of memory.
    cycles, convolution_cycles : int
        Of an image.
    moved : int
        Bytes read and written.
    """

    path: Path
    device: str
    memory: Memory
    memory_name: str
    cycles: int
    convolution_cycles: int
    moved: int


def read_fields(
    path: Path, network: str, config: AcceleratorConfig, batch: int
) -> Mapping[str, Any]:
    """Return the file's fields.

    Raises
    ------
    SystolithError
        If it cannot be read, or is of another network, accelerator or batch, or was not measured.
    """
    try:
        fields = json.loads(path.read_text("utf-8"))
        schema = fields.get("schema")
        if schema != SCHEMA:
            raise ValueError(f"its form is {schema}, not {SCHEMA}: run it again")
        ran = dict(fields["config"])
        about = (fields["network"], fields["batch"])
        if not fields["measured"]:
            raise ValueError(f"{fields['device']} models cycles, it does not measure them")
    except OSError as error:
        raise SystolithError(f"--measured: {path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise foreign(path, error) from None
    if about != (network, batch):
        raise SystolithError(
            f"--measured: {path} is of {about[0]}, batch {about[1]}, not of {network}, "
            f"batch {batch}"
        )
    for field, value in config.to_dict().items():
        if field != "name" and ran.get(field) != value:
            raise SystolithError(
                f"--measured: {path} ran on {ran.get('name')}, whose {field} is "
                f"{ran.get(field)!r}, not {value!r}; give its --config"
            )
    return fields


def read_run(path: Path, network: str, config: AcceleratorConfig) -> MeasuredRun:
    """Return a run of a whole network, an image, without a single wrong value.

    Raises
    ------
    SystolithError
        As :func:`read_fields`, or if layers are missing, or values differ from the golden model's.
    """
    fields = read_fields(path, network, config, 1)
    try:
        totals = fields["totals"]
        whole, wrong = bool(fields["complete"]), compared(totals)
        device = str(fields["device"])
        memory, name = memory_of(fields)
        run = MeasuredRun(
            path,
            device,
            memory,
            name,
            int(totals["cycles"]),
            int(totals["convolutions"]["cycles"]),
            int(totals["bytes_read"]) + int(totals["bytes_written"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise foreign(path, error) from None
    if not whole:
        raise SystolithError(f"--measured: {path} is not of the whole network; run all its layers")
    if wrong:
        raise SystolithError(f"--measured: {path}: {wrong} of its values are wrong")
    return run


def memory_of(fields: Mapping[str, Any]) -> tuple[Memory, str]:
    """Return the memory of a saved run, and its name.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the run did not know its memory, or the fields are no report's.
    """
    told = fields["memory"]
    if told is None:
        raise ValueError(f"{fields['device']} does not know its memory")
    return Memory(**{name: told[name] for name in _NUMBERS}), str(told["name"])


def compared(totals: Mapping[str, Any]) -> int:
    """Return how many values of a saved run are wrong.

    Raises
    ------
    ValueError, KeyError, TypeError
        If nothing was compared, or the totals are no report's.
    """
    if totals["mismatches"] is None:
        raise ValueError("it was not compared with the golden model")
    return int(totals["mismatches"])


def foreign(path: Path, error: Exception) -> SystolithError:
    """Return the error of a file that is not a report which was measured."""
    return SystolithError(
        f"--measured: {path}: is not a report of `systolith run --device rtl --json` ({error})"
    )
