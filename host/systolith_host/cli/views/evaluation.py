"""An evaluation as a table for people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from systolith_host.flow.evaluate import Evaluation

__all__ = ["evaluation_table"]


def evaluation_table(evaluation: Evaluation) -> RenderableType:
    """Return a row for each computation of the network, and what they were computed on."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for name in ("top 1", "top 5", "class as in floats"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("by", no_wrap=True)
    images = evaluation.images
    compared = "float" in evaluation.scores
    for name, score in evaluation.scores.items():
        agree = f"{score.agree / images:.2%}" if compared else "-"
        top1, top5 = (f"{count / images:.2%}" for count in (score.top1, score.top5))
        table.add_row(name, top1, top5, agree, score.by)
    lines = [
        f"{evaluation.network}, batch {evaluation.batch}, on {evaluation.config}: {images:,} "
        f"images of {evaluation.source}"
    ]
    if evaluation.left_out:
        lines.append(f"{evaluation.left_out:,} images could not be read and were left out")
    if evaluation.mismatches is not None:
        lines.append(
            f"{evaluation.mismatches} images whose integers on the device differ from the golden "
            "model's"
        )
    if evaluation.cycles is not None:
        lines.append(f"{evaluation.cycles:,} cycles")
    lines.append(f"{evaluation.seconds:,.1f} s")
    return Group(table, Text(), *map(Text, lines))
