"""What `systolith run --json` wrote, read again and held against what it is wanted for."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["MeasuredRun", "read_fields", "read_run"]

_RATE = re.compile(r"(?:at most )?([\d.e+]+) bytes per cycle")


@dataclass(frozen=True)
class MeasuredRun:
    """A whole network's cycles, counted by the RTL or a board.

    Parameters
    ----------
    path : Path
    device : str
    memory : str
        In words.
    bytes_per_cycle : float
        That the run's memory moved at most.
    cycles, convolution_cycles : int
        Of an image.
    moved : int
        Bytes read and written.
    """

    path: Path
    device: str
    memory: str
    bytes_per_cycle: float
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
        If it cannot be read, or is of another network, accelerator or batch, or has no cycles.
    """
    try:
        fields = json.loads(path.read_text())
        ran = dict(fields["config"])
        about = (fields["network"], fields["batch"])
        uncounted = [row["name"] for row in fields["layers"] if row["cycles"] is None]
        if uncounted:
            raise ValueError("it has no cycles: the emulator does not count them")
    except OSError as error:
        raise SystolithError(f"--measured: {path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _foreign(path, error) from None
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
        whole, wrong = bool(fields["complete"]), int(totals["mismatches"])
        memory, device = str(fields["sources"]["memory"]), str(fields["device"])
        rate = _RATE.search(memory)
        if rate is None:
            raise ValueError(f"its memory is {memory!r}")
        run = MeasuredRun(
            path,
            device,
            memory,
            float(rate[1]),
            int(totals["cycles"]),
            int(totals["convolutions"]["cycles"]),
            int(totals["bytes_read"]) + int(totals["bytes_written"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _foreign(path, error) from None
    if not whole:
        raise SystolithError(f"--measured: {path} is not of the whole network; run all its layers")
    if wrong:
        raise SystolithError(f"--measured: {path}: {wrong} of its values are wrong")
    return run


def _foreign(path: Path, error: Exception) -> SystolithError:
    return SystolithError(
        f"--measured: {path}: is not what `systolith run --device rtl --json` writes ({error})"
    )
