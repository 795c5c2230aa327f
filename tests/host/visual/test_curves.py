"""Bandwidth curves: they fall, and the knee is where more bandwidth no longer helps."""

from itertools import pairwise

import pytest

from systolith_host.errors import SystolithError
from systolith_host.visual.curves import KNEE_SHARE, Curve, bandwidth_curves


@pytest.mark.parametrize(
    ("cycles", "knee"),
    [((100, 50, 25, 24), 2), ((10, 10, 10), 0), ((800, 400, 200, 100), 3), ((105, 100), 0)],
)
def test_knee_is_the_least_bandwidth_near_the_best(cycles, knee):
    assert Curve("layer", cycles, cycles).knee == knee


def test_more_bandwidth_is_not_slower(data):
    curves = data.curves
    assert curves.bandwidths == (1, 2, 4, 8)
    for layer in (*curves.layers, curves.total):
        for slow, fast in pairwise(layer.cycles):
            assert fast <= slow * (1 + KNEE_SHARE)
        assert min(layer.cycles) >= layer.array_cycles
    assert curves.total.cycles[0] == sum(layer.cycles[0] for layer in curves.layers)


def test_bus_is_widened_only_for_more_than_it_has(subject):
    curves = bandwidth_curves(subject, (4, 64), lambda *_: None)
    bus = subject.config.bus_bytes
    assert curves.bus_bytes == (bus, max(bus, 64))


def test_bandwidths_that_cannot_be_built_are_named(subject):
    curves = bandwidth_curves(subject, (1, 5000), lambda *_: None)
    assert curves.bandwidths == (1,)
    assert curves.left_out[0].startswith("5000: ")
    with pytest.raises(SystolithError, match=r"^no bandwidth can be built: 5000: "):
        bandwidth_curves(subject, (5000,), lambda *_: None)
