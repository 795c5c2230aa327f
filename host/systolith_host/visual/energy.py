"""The page's text next to the energies."""

from systolith_host.energy.energy import Energy
from systolith_host.visual.assemble import PageData
from systolith_host.visual.paragraphs import how_to_read, learn, listed

__all__ = ["energy_text"]


def energy_text(data: PageData) -> str:
    """Return what takes the energy, and what the figures rest on."""
    spent = {point.title: point.energy for point in data.points if point.energy is not None}
    everything = Energy.of(spent.values())
    total = everything.total
    parts = sorted(everything.parts, key=lambda name: -everything.parts[name].pj)
    shares = [f"{everything.parts[name].pj / total.pj:.0%} {name}" for name in parts[:3]]
    layers = sorted(spent, key=lambda name: -spent[name].total.pj)[:3]
    macs = sum(point.macs for point in data.points)
    batch = data.subject.batch
    text = (
        f"{total.pj / 1e9 / batch:,.2f} mJ an image, {total.low / 1e9 / batch:,.2f} to "
        f"{total.high / 1e9 / batch:,.2f} by the range of the figures: {total.pj / macs:.2f} pJ "
        f"for a multiply-accumulate. It is {listed(shares)}. "
        f"Most of it goes to {listed(layers)}."
    )
    table = data.energy
    how = (
        "Accesses as the replay counts them, times the energy of each by the table "
        f"{table.name} ({table.technology}): {table.source}. A memory on the chip is taken as its "
        "banks, at the far end of the range as one memory of their size; the range of DRAM is the "
        "table's. Clocks, control, shifting in the array, transforms, requantisation and leakage "
        "are not counted."
    )
    return learn(text) + how_to_read(how)
