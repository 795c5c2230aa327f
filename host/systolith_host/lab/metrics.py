"""The golden metrics: cycles, bytes, resources and clocks of the presets, in one file.

Cycles, bytes and resources are exact, so that any change of them is a difference of the file.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from systolith_host.cost.estimate import estimate_network
from systolith_host.errors import SystolithError
from systolith_host.lab.program_metrics import program_metrics
from systolith_host.lab.resources import synthesise_config
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.presets import PRESETS

__all__ = [
    "DRAWN",
    "NETWORKS",
    "SYNTHESISED",
    "board_metrics",
    "differences",
    "measure",
    "network_metrics",
    "read_metrics",
    "write_metrics",
]

NETWORKS = dict.fromkeys(PRESETS, "vgg16") | {"tiny": "mini"}
"""The network of each preset; VGG-16 would take a billion cycles of the smallest."""

SYNTHESISED = ("tiny", "ecp5-85f", "ecp5-85f-winograd")
"""Presets whose resources are counted; the others are meant for larger FPGAs than an ECP5."""

DRAWN = 12
"""Random networks of a configuration."""

Metrics = dict[str, dict[str, Any]]


def network_metrics(preset: str) -> dict[str, int]:
    """Return what the replay counts of a preset's network, with a memory as fast as its bus.

    Returns
    -------
    dict of str to int
        Cycles in all, of the convolutions and of the fully connected layers, those in which the
        array is busy, and the bytes read and written.
    """
    report = estimate_network(NETWORKS[preset], PRESETS[preset])
    totals = report.to_dict()["totals"]
    return {
        "cycles": totals["cycles"],
        "convolution_cycles": totals["convolutions"]["cycles"],
        "fully_connected_cycles": totals["fully_connected"]["cycles"],
        "busy_cycles": sum(layer.busy_cycles or 0 for layer in report.layers),
        "bytes_read": totals["bytes_read"],
        "bytes_written": totals["bytes_written"],
    }


def board_metrics(report: Path) -> tuple[str, dict[str, Any]]:
    """Return a build's name, board and configuration, and its clocks.

    Parameters
    ----------
    report : Path
        The `report.json` of `systolith build`.

    Raises
    ------
    SystolithError
        If it is not the report of a build.
    """
    try:
        saved = json.loads(report.read_text())
        name = f"{saved['board']['name']} {saved['config']['name']}"
        clocks = {
            clock["name"]: {"reached": round(clock["mhz"], 1), "wanted": clock["wanted"]}
            for clock in saved["clocks"]
        }
        return name, {"build": saved["build"], "seed": saved["best"]["seed"], "clocks": clocks}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SystolithError(f"{report}: not the report of a build: {error}") from error


def measure(
    presets: Iterable[str],
    synthesised: Iterable[str],
    boards: Iterable[Path],
    stage: Callable[[str], None],
    drawn: Iterable[AcceleratorConfig] = (),
) -> Metrics:
    """Return the metrics of presets: of the network, of synthesis for an ECP5, and of builds.

    They come with those of random networks on small configurations.

    Parameters
    ----------
    presets : iterable of str
        Presets on which their networks are counted.
    synthesised : iterable of str
        Presets that Yosys synthesises; minutes each.
    boards : iterable of Path
        Reports of builds.
    stage : callable
        Told what is measured next.
    drawn : iterable of AcceleratorConfig
        Configurations on which random networks are compiled and counted; a second each.
    """
    found: Metrics = {"networks": {}, "resources": {}, "random": {}}
    found["boards"] = dict(map(board_metrics, boards))
    for preset in presets:
        name = f"{NETWORKS[preset]} on {preset}"
        stage(name)
        found["networks"][name] = network_metrics(preset)
    for config in drawn:
        stage(f"random networks on {config.name}")
        found["random"][config.name] = program_metrics(config, DRAWN)
    for preset in synthesised:
        stage(f"synthesising {preset}")
        found["resources"][preset] = synthesise_config(PRESETS[preset])[0]
    return found


def read_metrics(path: Path) -> Metrics:
    """Return the metrics of a file.

    Raises
    ------
    SystolithError
        If it cannot be read.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SystolithError(f"{path}: no metrics can be read: {error}") from error


def write_metrics(metrics: Metrics, path: Path) -> None:
    """Write metrics, a line each, so that a change of one is a change of one line."""
    path.write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n")


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], where: str = "") -> list[str]:
    """Return a line for each figure that was measured and differs from the file's.

    What was not measured is not compared; what the file does not have differs.
    """
    lines = []
    for name, value in found.items():
        path = f"{where}{name}"
        if isinstance(value, Mapping):
            lines += differences(wanted.get(name, {}), value, f"{path}, ")
        elif wanted.get(name) != value:
            lines.append(f"{path}: {_number(value)}, not {_number(wanted.get(name))}")
    return lines


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
