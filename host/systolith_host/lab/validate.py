"""The replay against the RTL: random layers, configurations, tilings and memories, and a table."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from systolith_host.compiler import compile_network
from systolith_host.cost.confirm import Case, compare
from systolith_host.frontend.vgg import build_network
from systolith_host.lab.fuzz.cases import CONFIGS, kind_of, random_cases
from systolith_host.network.shapes import timing_network
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

__all__ = ["Outcome", "summary", "validate"]


@dataclass(frozen=True)
class Outcome:
    """The cases that were compared.

    Parameters
    ----------
    cases, network : sequence of Case
        Random ones, and the layers of VGG-16.
    """

    cases: Sequence[Case]
    network: Sequence[Case]

    @property
    def exact(self) -> bool:
        """Whether every counter of every case is the RTL's."""
        return all(case.exact for case in (*self.cases, *self.network))

    @property
    def points(self) -> list[tuple[str, int, int]]:
        """Of each case: its group, its cycles in the RTL, and those by the model."""
        named = [(case.config, case) for case in self.cases]
        named += [("VGG-16", case) for case in self.network]
        return [(group, case.measured.cycles, case.model.cycles) for group, case in named]


def summary(cases: Sequence[Case]) -> list[tuple[str, str]]:
    """Return the summary of cases: names and values."""
    errors = np.abs([case.error for case in cases]) * 100
    cycles = [case.measured.cycles for case in cases]
    return [
        ("cases", f"{len(cases)}"),
        ("of them Winograd's convolution", f"{sum(c.kind == 'winograd' for c in cases)}"),
        ("with gathered weights", f"{sum(c.kind == 'gather' for c in cases)}"),
        ("with a turnaround of the memory", f"{sum(c.memory.turnaround > 0 for c in cases)}"),
        ("cycles of a case", f"{min(cycles):,} to {max(cycles):,}"),
        ("traffic equal to the RTL's counters", f"{sum(c.traffic_equal for c in cases)}"),
        ("cycles and every engine's states equal", f"{sum(c.exact for c in cases)}"),
        ("error of the cycles, median", f"{np.median(errors):.3f} %"),
        ("95th percentile", f"{np.percentile(errors, 95):.3f} %"),
        ("worst", f"{errors.max():.3f} %"),
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _network_rows(cases: Sequence[Case]) -> list[list[str]]:
    return [
        [
            case.config,
            case.layer,
            f"{case.measured.cycles:,}",
            f"{case.model.cycles:,}",
            f"{100 * case.error:+.4f} %",
            f"{case.measured.bytes_read + case.measured.bytes_written:,}",
            "equal" if case.traffic_equal else "differs",
        ]
        for case in cases
    ]


def _write(
    folder: Path, picture: Path | None, cases: Sequence[Case], network: Sequence[Case]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = dict.fromkeys(case.config for case in cases)
    parts = [[case for case in cases if case.config == name] for name in names]
    columns = [dict(summary(part)) for part in (*parts, list(cases))]
    rows = [[key, *(column[key] for column in columns)] for key in columns[0]]
    text = ["# The performance model against the RTL", ""]
    text += [
        "`make validate-model` writes this page: random layers, tilings, memories. The model is the"
    ]
    text += ["replay (`systolith_host.cost.replay`); the RTL ran under Verilator.", ""]
    text += _table(["", *names, "all"], rows)
    text += [""]
    if picture is not None:
        place = Path(os.path.relpath(picture, folder)).as_posix()
        text += [f"![modelled versus measured cycles]({place})", ""]
    if network:
        text += ["## VGG-16, layer by layer", ""]
        header = ["accelerator", "layer", "RTL cycles", "model", "error", "bytes moved", "traffic"]
        text += [*_table(header, _network_rows(network)), ""]
    (folder / "model-validation.md").write_text("\n".join(text))


def validate(
    counts: Mapping[str, int],
    seed: int,
    turnarounds: Sequence[int],
    presets: Sequence[str],
    folder: Path,
    picture: Path | None,
    say: Callable[[str], None],
) -> Outcome:
    """Compare random cases and all of VGG-16, and write a page on them.

    Parameters
    ----------
    counts : mapping of str to int
        Random cases of each of KINDS, at least.
    seed : int
    turnarounds : sequence of int
        Of the memories, in cycles; chosen among these.
    presets : sequence of str
        On which all layers of VGG-16 run.
    folder : Path
        Of the page.
    picture : Path, optional
        That the page shows; :mod:`systolith_host.visual` draws it afterwards.
    say : callable
        Takes each line for people.

    """
    cases: list[Case] = []
    for config in CONFIGS:
        kind = kind_of(config)
        share = -(-counts[kind] // sum(kind_of(one) == kind for one in CONFIGS))
        if share:
            cases += random_cases(config, share, seed, turnarounds)
        say(f"{config.name}: {len(cases)} cases so far")
    network: list[Case] = []
    _write(folder, picture, cases, network)
    for name in presets:
        qgraph = timing_network(build_network("vgg16"))
        network += compare(compile_network(qgraph, PRESETS[name]), Memory())
        _write(folder, picture, cases, network)
        say(f"vgg16 on {name}: done")
    for key, value in summary(cases):
        say(f"{key}: {value}")
    for row in _network_rows(network):
        say("  ".join(row))
    for case in (*cases, *network):
        if not case.exact:
            say(f"differs: {case.config}, {case.layer}, {case.memory}")
    return Outcome(cases, network)
