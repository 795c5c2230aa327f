"""The text next to the timeline of the whole network."""

from systolith_host.visual.activity import LANES
from systolith_host.visual.assemble import PageData
from systolith_host.visual.paragraphs import how_to_read, learn, listed

__all__ = ["network_text"]


def network_text(data: PageData) -> str:
    """Return the text of the whole network's timeline."""
    total = data.cycles
    busy = {lane: sum(piece.busy[lane] for piece in data.pieces) for lane in LANES}
    text = (
        f"Of the {total:,} cycles of all {len(data.points)} layers, "
        + listed(
            [
                f"{lane} is busy in {cycles:,} ({cycles / total:.1%})"
                for lane, cycles in busy.items()
            ]
        )
        + "."
    )
    how = (
        "Each layer is modelled on its own; they are drawn one after the other, in two shades in "
        "turn, without the host's time between them. The height is the share of a pixel's cycles "
        "in which an instruction is under way, so that areas are busy cycles. A store is under "
        "way until the memory acknowledges it. Names stand above layers with room for them; the "
        "pointer tells all."
    )
    return learn(text) + how_to_read(how)
