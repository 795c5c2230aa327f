"""All that a report shows, gathered stage by stage; nothing is drawn here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from systolith_host.compiler import compile_network
from systolith_host.energy.table import TABLES, EnergyTable, load_table
from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram, Program
from systolith_host.progress import ProgressLog
from systolith_host.runtime.rtl.simulate import Progress
from systolith_host.visual.activity import Piece, cut
from systolith_host.visual.curves import BANDWIDTHS, Curves, bandwidth_curves
from systolith_host.visual.occupancy import Occupancy, buffer_use
from systolith_host.visual.points import LayerPoint, Measured, modelled_points, read_measured
from systolith_host.visual.subject import Subject
from systolith_host.visual.sweep import Sweep, read_points
from systolith_host.visual.tilings import TilingStudy, study_tilings
from systolith_host.visual.timeline import Timeline, modelled_timeline, recorded_timeline

__all__ = ["PageData", "PageOptions", "assemble", "studied_layers"]

_STUDY_BANDWIDTHS = (2.0, 4.0, 8.0, 16.0, 32.0)
_USUAL_STUDIES = ("conv1_2", "conv3_2", "conv5_2")
_USUAL_TIMELINE = "conv3_2"


@dataclass(frozen=True)
class PageOptions:
    """The options of a report.

    Parameters
    ----------
    studies : sequence of str
        Layers whose tilings are shown; three of the network if empty.
    timeline : str, optional
        Layer whose timeline is shown.
    cycles : (int, int), optional
        First and last cycle of that layer that are shown; all unless given.
    rtl : bool
        Whether that layer runs in the simulated RTL.
    bandwidths : sequence of float
        Of the curves.
    measured, sweep : Path, optional
        Files of `systolith run --json` and `systolith explore`.
    clock_mhz : float
    energy : EnergyTable
        Of each layer's energy; the one that comes with Systolith unless given.
    """

    studies: Sequence[str] = ()
    timeline: str | None = None
    cycles: tuple[int, int] | None = None
    rtl: bool = False
    bandwidths: Sequence[float] = BANDWIDTHS
    measured: Path | None = None
    sweep: Path | None = None
    clock_mhz: float = 150.0
    energy: EnergyTable = field(default_factory=lambda: load_table(TABLES[0]))


@dataclass(frozen=True, eq=False)
class PageData:
    """The data of a report; see the modules of its parts.

    Parameters
    ----------
    window : (int, int)
        Cycles of the timeline before those that are shown, and with them.
    """

    subject: Subject
    clock_mhz: float
    energy: EnergyTable
    points: tuple[LayerPoint, ...]
    measured: Measured | None
    curves: Curves
    studies: tuple[TilingStudy, ...]
    timeline: Timeline
    window: tuple[int, int]
    occupancy: tuple[Occupancy, ...]
    sweep: Sweep | None
    program: Program

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The whole network, layer after layer, in pieces that a picture can show."""
        return tuple(cut([(point.cycles, point.spans) for point in self.points]))

    @property
    def cycles(self) -> int:
        """Of all layers, modelled."""
        return sum(point.cycles for point in self.points)


def assemble(subject: Subject, options: PageOptions, log: ProgressLog) -> PageData:
    """Gather the data of a report.

    Raises
    ------
    SystolithError
        If a layer or a file is wrong; before any long work.
    """
    measured = read_measured(options.measured, subject) if options.measured else None
    sweep = read_points(options.sweep, subject) if options.sweep else None
    names = studied_layers(subject, options.studies)
    wanted = subject.operation(options.timeline or _default_timeline(subject)).name
    log.stage("compiling")
    program = compile_network(
        subject.qgraph,
        subject.config,
        subject.batch,
        memory=subject.memory,
        progress=log.update,
    )
    layer = next(layer for layer in program.layers if layer.name == wanted)
    timeline = _timeline(subject, program, layer, options.rtl, log)
    window = _window(timeline, options.cycles)
    log.stage("replaying every cycle")
    points = modelled_points(subject, program, options.energy, log.update)
    log.stage("scheduling for each bandwidth")
    curves = bandwidth_curves(subject, options.bandwidths, log.update)
    log.stage("trying tilings")
    studies = []
    for number, name in enumerate(names):
        log.update(name, number, len(names))
        maps = sorted({2.0, subject.rate, 32.0}, key=lambda rate: (rate != subject.rate, rate))
        studies.append(study_tilings(subject, name, _STUDY_BANDWIDTHS, maps))
    log.stage("buffers over time")
    return PageData(
        subject=subject,
        clock_mhz=options.clock_mhz,
        energy=options.energy,
        points=points,
        measured=measured,
        curves=curves,
        studies=tuple(studies),
        timeline=timeline,
        window=window,
        occupancy=buffer_use(timeline),
        sweep=sweep,
        program=program,
    )


def _timeline(
    subject: Subject, program: Program, layer: LayerProgram, rtl: bool, log: ProgressLog
) -> Timeline:
    if not rtl:
        log.stage("timeline")
        return modelled_timeline(program, layer, subject.memory)

    def report(event: Progress) -> None:
        if event.stage == "build":
            log.message(event.text)
        else:
            log.update(event.layer, event.cycles, event.expected_cycles)

    log.stage("simulating the RTL")
    return recorded_timeline(program, layer, subject.memory, progress=report)


def _window(timeline: Timeline, cycles: tuple[int, int] | None) -> tuple[int, int]:
    if cycles is None:
        return 0, timeline.cycles
    first, last = cycles
    if first > timeline.cycles:
        raise SystolithError(
            f"--cycles {first}..{last}: {timeline.layer} takes {timeline.cycles:,} cycles"
        )
    return first - 1, min(last, timeline.cycles)


def studied_layers(subject: Subject, names: Sequence[str]) -> list[str]:
    """Return the layers whose tilings are shown, without doubles.

    Raises
    ------
    SystolithError
        If there is none of a name, or its tiles have one size only.
    """
    if not names:
        known = {operation.name for operation in subject.operations}
        if known.issuperset(_USUAL_STUDIES):
            return list(_USUAL_STUDIES)
        tiled = [op for op in subject.operations if not op.linear and op.out_height > 1]
        # The first, middle and last layer with much work.
        most = max((op.macs for op in tiled), default=0)
        heavy = [op.name for op in tiled if op.macs >= most / 10]
        chosen = [heavy[0], heavy[len(heavy) // 2], heavy[-1]] if heavy else []
        return list(dict.fromkeys(chosen))
    found = []
    for name in names:
        operation = subject.operation(name)
        if operation.linear:
            raise SystolithError(
                f"--layer: {name} is fully connected, its tiles have one size; take a convolution"
            )
        found.append(operation.name)
    return list(dict.fromkeys(found))


def _default_timeline(subject: Subject) -> str:
    names = {operation.name: operation.macs for operation in subject.operations}
    return _USUAL_TIMELINE if _USUAL_TIMELINE in names else max(names, key=lambda n: names[n])
