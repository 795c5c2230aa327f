"""The source of each number of the page, and the table of the layers."""

from html import escape

from systolith_host.visual.assemble import PageData
from systolith_host.visual.citation import citation
from systolith_host.visual.paragraphs import how_to_read
from systolith_host.visual.points import LayerPoint, whole

__all__ = ["IDLE", "origins"]

IDLE = (
    "Multipliers times cycles, less the products that the layer needs: one for each "
    "multiply-accumulate, or one for four where Winograd's convolution computes them."
)
"""What counts as idle."""


def origins(data: PageData) -> str:
    """Return the source of each number, and a table of the layers."""
    products = "multiply-accumulates"
    if data.subject.config.winograd:
        products += " (a quarter where Winograd's convolution may give them)"
    text = how_to_read(
        "Layers: the performance model replays each layer's finished instructions cycle by cycle "
        "with the gateware's queues and state machines; docs/model-validation.md checks it against "
        "the RTL, and `systolith estimate` prints the same cycles. Curves and tilings, which say "
        "estimated or ~: the compiler's own simulation of the engines, by which it chooses "
        "(about 1 % off on large layers). A sweep has both. Bound: the larger one of "
        f"{products} by multipliers and least bytes by bandwidth. Multipliers idle: {IDLE}"
    )
    head = (
        "layer",
        "MMACs",
        "cycles",
        "of bound",
        "MACs of array",
        "multipliers idle",
        "bytes read",
        "bytes written",
        "times least bytes",
    )
    cells = "".join(f'<th class="{"text" if h == "layer" else ""}">{h}</th>' for h in head)
    multipliers = data.subject.config.multipliers
    rows = "".join(_row(point, multipliers) for point in data.points)
    total = _row(whole(data.points), multipliers, "total")
    table = f"<div class='scroll'><table><tr>{cells}</tr>{rows}{total}</table></div>"
    return f"{text}{table}{citation()}"


def _row(point: LayerPoint, multipliers: int, look: str = "") -> str:
    reads = sum(point.read_bytes.values())
    return (
        f'<tr class="{look}"><td class="text">{escape(point.title)}</td>'
        f"<td>{point.macs / 1e6:,.2f}</td><td>{point.cycles:,}</td>"
        f"<td>{point.bound_cycles / point.cycles:.1%}</td><td>{point.rate / multipliers:.1%}</td>"
        f"<td>{point.idle:.1%}</td><td>{reads:,}</td><td>{point.write_bytes:,}</td>"
        f"<td>{point.traffic / point.compulsory_bytes:.3f}</td></tr>"
    )
