"""The pictures of commands that draw one: the front of a sweep, the model versus the RTL."""

from collections.abc import Sequence

from systolith_host.visual.figures.front import front
from systolith_host.visual.figures.validation import validation
from systolith_host.visual.names import Name
from systolith_host.visual.picture import Picture
from systolith_host.visual.rows import front_rows
from systolith_host.visual.sweep import Sweep

__all__ = ["front_picture", "validation_picture"]


def front_picture(sweep: Sweep) -> Picture:
    """Return the points of a sweep with their Pareto front."""
    return Picture(Name.PARETO, lambda width: front(sweep, width), front_rows(sweep))


def validation_picture(cases: Sequence[tuple[str, int, int]]) -> Picture:
    """Return modelled versus measured cycles.

    Parameters
    ----------
    cases : sequence of (str, int, int)
        The group of each, its cycles in the RTL, and those by the model.
    """
    rows = [
        {"group": group, "rtl_cycles": measured, "model_cycles": modelled}
        for group, measured, modelled in cases
    ]
    return Picture("model-validation", lambda _: validation(cases), rows)
