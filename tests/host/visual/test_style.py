"""Axes: numbers that are few, round and inside."""

import math

import pytest

from systolith_host.visual.figures.style import log_axis


@pytest.mark.parametrize(
    ("low", "high"), [(1, 2), (1, 16), (80, 1040), (266, 844), (36e6, 260e6), (1e-3, 1e5)]
)
def test_a_logarithmic_axis_has_some_round_numbers_inside(low, high):
    found = log_axis("cycles", low, high)
    first, last = (10**end for end in found["range"])
    assert first <= low < high <= last
    assert 2 <= len(found["tickvals"]) <= 12
    assert all(first <= value <= last for value in found["tickvals"])
    digits = {round(value / 10 ** math.floor(math.log10(value)), 6) for value in found["tickvals"]}
    assert digits <= {1, 1.5, 2, 3, 4, 5, 6, 8}
    assert len(found["ticktext"]) == len(set(found["ticktext"])) == len(found["tickvals"])


def test_a_short_axis_is_left_to_plotly():
    assert "tickvals" not in log_axis("traffic", 160, 190)
