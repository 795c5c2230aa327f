"""What the commands on many points share: progress, the search, and the RTL's word on the best."""

from collections.abc import Sequence
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.explore.results import Result
from systolith_host.explore.search import search_front
from systolith_host.explore.space import Space
from systolith_host.explore.sweep import Runner
from systolith_host.flow.load import shape_network
from systolith_host.network.weight_bits import narrow_network
from systolith_host.terminal import SafeConsole, error_console

__all__ = ["WIDTH", "check_confirm", "confirm_points", "point_progress", "search_points"]

WIDTH = 150
"""Of the tables where the output is no terminal."""


def point_progress() -> Progress:
    """Return a bar that counts points, with the time left."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=error_console())


def search_points(runner: Runner, space: Space, budget: int, seed: int, **how: Any) -> list[Result]:
    """Run a search for the Pareto front, with its progress; `how` goes to search_front."""
    with point_progress() as progress:
        task = progress.add_task("points", total=min(budget, space.size))

        def report(result: Result) -> None:
            progress.advance(task, 0 if result.reason else 1)

        return search_front(space, lambda some: runner.run(some, report), budget, seed=seed, **how)


def check_confirm(space: Space) -> None:
    """Refuse what the RTL could not confirm, before the work.

    Raises
    ------
    SystolithError
        If points may gather weights.
    """
    if space.base.gather or max(space.axes.get("gather", (0,))) > 0:
        raise SystolithError(
            "--confirm runs on tensors of zeros, and how many weights are gathered depends on "
            "them: leave out --confirm, or run a configuration by `systolith run` on an image"
        )


def confirm_points(
    console: SafeConsole,
    network: str,
    batch: int,
    space: Space,
    found: Sequence[Result],
    count: int,
) -> None:
    """Run the fastest points in the RTL and print its cycles next to the expected ones."""
    from systolith_host.cost.confirm import compare  # takes a second to import

    good = sorted((result for result in found if not result.reason), key=lambda r: r.costs)
    qgraph = shape_network(network, functions=bool(space.base.functions))
    table = Table(box=None, pad_edge=False)
    for name in ("point", "layer", "estimate", "replay", "RTL", "estimate's error", "traffic"):
        table.add_column(name, justify="right")
    for result in good[:count]:
        point = space.point(result.values)
        assert point.config is not None
        label = ", ".join(f"{axis} {value:g}" for axis, value in point.values.items())
        program = compile_network(
            narrow_network(qgraph, point.weight_bits),
            point.config,
            batch,
            memory=point.memory,
            density=point.density,
        )
        cases = compare(program, point.memory)
        rows = [
            (layer.name, layer.predicted_cycles, case.model.cycles, case.measured.cycles)
            for layer, case in zip(program.layers, cases, strict=True)
        ]
        totals = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
        rows.append(("all", totals[0], totals[1], totals[2]))
        equal = all(case.traffic_equal for case in cases)
        for name, expected, modelled, measured in rows:
            table.add_row(
                label,
                name,
                f"~{expected:,}",
                f"{modelled:,}",
                f"{measured:,}",
                f"{100 * (expected / measured - 1):+.2f}%",
                "equal" if equal else "differs",
            )
    console.print(table)
