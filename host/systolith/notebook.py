"""How objects show themselves in a notebook: tables, a roofline, data frames."""

import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.extras import is_installed
from systolith_host.flow.report import Report
from systolith_hw.spec.winograd import MACS_PER_PRODUCT

__all__ = ["data_frame", "roofline", "table"]


def table(rows: Sequence[Mapping[str, Any]], caption: str = "") -> str:
    """Return rows as an HTML table; its columns are those of the first row.

    Numbers are grouped by thousands and stand to the right, None is empty, all text is escaped.
    """
    names = list(rows[0]) if rows else []
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_cell(row.get(name)) for name in names)}</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f'<td style="text-align:left">{html.escape(str(value))}</td>'
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f'<td style="text-align:right">{text}</td>'


def data_frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as a pandas DataFrame.

    Raises
    ------
    SystolithError
        If pandas is not installed.
    """
    if not is_installed("pandas"):
        raise SystolithError("to_pandas needs pandas; pip install pandas")
    import pandas  # pyright: ignore[reportMissingImports]  # optional

    return pandas.DataFrame([dict(row) for row in rows])


def roofline(report: Report) -> str:
    """Return a report's roofline as SVG; "" where there is no matplotlib, or nothing to draw.

    Each layer that multiplies is a point, multiply-accumulates per byte of traffic against
    multiply-accumulates per cycle, below the roof of array and memory.
    """
    points = [
        (row.title, row.macs / moved, row.macs / row.cycles)
        for row in report.layers
        if row.macs and row.cycles and (moved := (row.bytes_read or 0) + (row.bytes_written or 0))
    ]
    if not points or report.memory is None or not is_installed("matplotlib"):
        return ""
    from matplotlib.figure import Figure

    peak = report.multipliers
    rate = min(report.memory["bytes_per_cycle"], report.config["bus_bytes"])
    higher = peak * (MACS_PER_PRODUCT if report.config.get("winograd") else 1)
    ends = [peak / rate, higher / rate, *(intensity for _, intensity, _ in points)]
    low, high = min(ends) / 2, max(ends) * 2
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    label = f"roof: {peak:,} MACs, {rate:g} bytes per cycle"
    axes.plot([low, peak / rate, high], [rate * low, peak, peak], color="black", label=label)
    if higher > peak:
        axes.plot(
            [peak / rate, higher / rate, high],
            [peak, higher, higher],
            "k--",
            label=f"Winograd's roof: {higher:,} MACs",
        )
    axes.scatter([point[1] for point in points], [point[2] for point in points], zorder=3)
    for name, intensity, speed in points:
        # Names of layers may hold $, which would begin a formula.
        text = name.replace("$", r"\$")
        axes.annotate(text, (intensity, speed), (3, -9), textcoords="offset points", fontsize=7)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="multiply-accumulates per byte of traffic",
        ylabel="multiply-accumulates per cycle",
    )
    axes.legend(frameon=False)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
