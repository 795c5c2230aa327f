"""The speed of the explorer: tilings a second in the search, points a second in a sweep."""

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.progress import Progress

from systolith_host.compiler.compile import choose_schedule
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.cost.evaluate import operations_of, places_of
from systolith_host.explore.experiment import Experiment
from systolith_host.explore.results import Results
from systolith_host.explore.space import Space
from systolith_host.explore.sweep import run_sweep
from systolith_host.flow.load import shape_network
from systolith_host.terminal import error_console
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

__all__ = ["measure_speed", "search_speed", "sweep_speed"]

NETWORK = "vgg16"

AXES = {
    "rows": (8.0, 16.0, 32.0),
    "cols": (8.0, 16.0, 32.0),
    "bandwidth": (2.0, 4.0, 8.0, 16.0, 32.0),
    "act_buffer": (65536.0, 131072.0, 262144.0, 524288.0),
    "weight_buffer": (32768.0, 65536.0, 131072.0, 262144.0),
    "acc_depth": (512.0, 1024.0),
}
"""1,440 points, of which a sample runs."""


def search_speed(preset: str) -> tuple[int, float, float]:
    """Return tilings of all layers, and seconds of a core to rank them, and to schedule."""
    config = PRESETS[preset]
    qgraph = shape_network(NETWORK)
    operations = operations_of(NETWORK, config)
    places = [places_of(qgraph, operation, config, 1) for operation in operations]
    choose_schedule(operations[0], config, places[0], 1, Memory())  # triggers all compilation
    count = 0
    started = time.process_time()
    for operation in operations:
        count += len(schedule_candidates(operation, config, 1, Memory()))
    ranked = time.process_time()
    for operation, addresses in zip(operations, places, strict=True):
        choose_schedule(operation, config, addresses, 1, Memory())
    return count, ranked - started, time.process_time() - ranked


def sweep_speed(points: int, workers: int) -> tuple[int, float, float]:
    """Return points of a sweep of whole networks, its wall time, and its CPU time."""
    space = Space(PRESETS["default-direct"], AXES)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time()
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress(console=error_console()) as progress,
    ):
        task = progress.add_task("points", total=min(points, space.size))
        found = run_sweep(
            space.points(points),
            Results(Path(folder), Experiment.of(NETWORK, space.base, list(AXES))),
            workers=workers,
            done=lambda _: progress.advance(task),
        )
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = time.process_time() - own
    cpu += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    good = sum(not result.reason for result in found)
    return good, wall, cpu


def measure_speed(points: int, workers: int, say: Callable[[str], None]) -> None:
    """Measure search and sweep, the sweep with so many points and processes, and say it."""
    for preset in ("default-direct", "large-direct"):
        count, rank, whole = search_speed(preset)
        say(
            f"{NETWORK} on {preset}: {count:,} tilings ranked in {rank:.3f} s of a core, "
            f"{count / rank:,.0f} a second; all layers scheduled in {whole:.3f} s, "
            f"{count / whole:,.0f} tilings a second"
        )
    good, wall, cpu = sweep_speed(points, workers)
    say(
        f"sweep of {good:,} points of {NETWORK} with {workers} processes: {wall:.1f} s, "
        f"{good / wall:.2f} points a second"
    )
    share = cpu / wall / workers
    alone = 1000 * cpu / good / workers
    say(
        f"CPU time: {cpu:.1f} s, {cpu / good:.3f} s a point; each process had {share:.0%} of a "
        f"core. With all of it 1,000 points take {alone:.0f} s"
    )
