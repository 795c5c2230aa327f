"""Static pictures of the performance model."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

__all__ = ["scatter"]


def scatter(points: Sequence[tuple[int, int, str]], path: Path) -> None:
    """Draw modelled against measured cycles.

    Parameters
    ----------
    points : sequence of (measured, modelled, group)
    path : Path
        The suffix names the format: .svg, .png, .pdf.
    """
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    for group in dict.fromkeys(name for _, _, name in points):
        mine = [(measured, model) for measured, model, name in points if name == group]
        axes.scatter(*zip(*mine, strict=True), s=14, alpha=0.6, label=group)
    ends = [min(point[0] for point in points), max(point[0] for point in points)]
    axes.plot(ends, ends, color="black", linewidth=0.8, label="equal")
    axes.set(xscale="log", yscale="log", xlabel="cycles in RTL", ylabel="cycles by the model")
    axes.legend(frameon=False)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, metadata=metadata)
