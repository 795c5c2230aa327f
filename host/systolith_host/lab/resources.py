"""Synthesises a grid of configurations for ECP5, and keeps their resources as a table."""

import csv
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import systolith_hw
from systolith_host.fpga.estimate import RESOURCES, Sample, error_table, read_grid
from systolith_host.fpga.synthesis import resources, synthesise
from systolith_hw.spec.config import AcceleratorConfig, least_out_depth
from systolith_hw.spec.presets import PRESETS

__all__ = ["CONFIGS", "fill_grid", "gateware_hash", "synthesise_config", "write_grid"]

_AXES = (
    "rows",
    "cols",
    "act_depth",
    "weight_depth",
    "param_depth",
    "acc_depth",
    "acc_width",
    "post_lanes",
    "multiplier_width",
    "bus_bytes",
    "burst_beats",
    "queue_depth",
    "winograd",
)

_POINTS = (
    # rows, cols, act, weight, param, acc, acc bits, lanes, multiplier, bus, burst, queue, winograd
    (2, 2, 512, 128, 32, 16, 32, 1, 16, 4, 16, 4),
    (2, 8, 4096, 1024, 64, 256, 32, 2, 16, 8, 16, 8),
    (3, 6, 2048, 512, 96, 128, 28, 1, 16, 4, 32, 2),
    (4, 4, 2048, 512, 64, 64, 32, 2, 16, 8, 16, 4),
    (4, 4, 16384, 4096, 256, 1024, 32, 4, 16, 16, 32, 16),
    (8, 8, 8192, 2048, 256, 512, 32, 4, 16, 8, 32, 16),
    (4, 4, 8192, 2048, 128, 512, 28, 2, 18, 32, 16, 16),
    (4, 16, 4096, 4096, 512, 256, 32, 4, 16, 16, 16, 8),
    (8, 4, 8192, 1024, 128, 512, 32, 1, 18, 16, 16, 16),
    (6, 6, 4096, 1024, 192, 256, 32, 2, 16, 8, 32, 8),
    (4, 4, 1024, 256, 64, 64, 24, 1, 12, 4, 4, 2),
    (8, 8, 16384, 8192, 512, 1024, 28, 8, 16, 16, 64, 16),
    (16, 8, 4096, 1024, 256, 512, 32, 8, 16, 16, 16, 16),
    (10, 10, 8192, 2048, 320, 512, 32, 2, 16, 16, 32, 16),
    (12, 12, 8192, 2048, 384, 256, 32, 4, 16, 8, 32, 16),
    (8, 8, 4096, 1024, 128, 128, 24, 1, 12, 4, 16, 8),
    (4, 4, 2048, 512, 64, 256, 30, 2, 16, 8, 16, 4, 6),
    (8, 4, 4096, 1024, 128, 512, 28, 4, 16, 16, 16, 8, 10),
)


def _config(values: Sequence[int]) -> AcceleratorConfig:
    fields = dict(zip(_AXES, (*values, 0)[: len(_AXES)], strict=True))
    block = min(fields["rows"], fields["cols"])
    words = least_out_depth(fields["bus_bytes"], fields["burst_beats"], block)
    return AcceleratorConfig(
        name="x".join(map(str, values[:2])),
        out_depth=max(256 * 8 // block, words) if fields["queue_depth"] > 4 else words + 12,
        outstanding_reads=8 if fields["queue_depth"] > 4 else 2,
        outstanding_writes=4 if fields["queue_depth"] > 4 else 1,
        **fields,
    )


CONFIGS = (*(_config(values) for values in _POINTS), PRESETS["ecp5-85f-winograd"])
"""Small to middle arrays that differ in everything that affects resources."""


def gateware_hash() -> str:
    """Return a hash that changes when the gateware does."""
    digest = hashlib.sha256()
    for path in sorted(Path(systolith_hw.__path__[0]).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def synthesise_config(config: AcceleratorConfig) -> tuple[dict[str, int], float]:
    """Return the resources of an accelerator alone on an ECP5, and the seconds of its synthesis."""
    # Amaranth takes a second to import.
    from systolith_hw.accelerator import Accelerator
    from systolith_hw.generate import component_rtlil
    from systolith_hw.primitives.ecp5 import Ecp5

    started = time.monotonic()
    text = component_rtlil(Accelerator(config), "accelerator", Ecp5("85F", floorplan=False))
    with tempfile.TemporaryDirectory() as folder:
        netlist = synthesise(text, "accelerator", Path(folder))
    return resources(netlist.cells), time.monotonic() - started


def write_grid(samples: Iterable[Sample], path: Path) -> None:
    """Write a table of samples."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("gateware", *Sample.FIELDS, *RESOURCES))
        for sample in samples:
            fields = sample.config.to_dict()
            numbers = [fields[name] for name in Sample.FIELDS]
            writer.writerow((sample.gateware, *numbers, *sample.used.values()))


def fill_grid(limit: int, again: bool, grid: Path, say: Callable[[str], None]) -> None:
    """Synthesise configurations that a table lacks, save each at once, and say the fit's errors.

    Parameters
    ----------
    limit : int
        Syntheses at most.
    again : bool
        Also those of an older state of the gateware.
    grid : Path
        The table.
    say : callable
        Takes each line for people.
    """
    now = gateware_hash()
    found = {sample.config.fingerprint: sample for sample in read_grid(grid)}
    wanted = [
        config
        for config in CONFIGS
        if config.fingerprint not in found or (again and found[config.fingerprint].gateware != now)
    ]
    for number, config in enumerate(wanted[:limit], start=1):
        used, seconds = synthesise_config(config)
        found[config.fingerprint] = Sample(config, now, used)
        order = [found[one.fingerprint] for one in CONFIGS if one.fingerprint in found]
        write_grid(order, grid)
        text = ", ".join(f"{name} {count:,}" for name, count in used.items())
        say(f"{number} of {len(wanted)}: {config.name}: {text}; {seconds:.0f} s")
    for line in error_table(read_grid(grid)):
        say(line)
