"""The transform in one dimension against its matrix."""

from itertools import product
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.compute.winograd.points import PointTransform, point_control
from systolith_hw.spec.winograd import B_T, PATCH
from systolith_sim.testing.streams import simulate


class Harness(wiring.Component):
    """The transform with its control."""

    first: Signal
    i: Signal
    o: Signal

    def __init__(self, low, high):
        self.transform = PointTransform(low, high)
        super().__init__(
            {
                "first": In(1),
                "i": In(self.transform.i.shape()),
                "o": Out(self.transform.o.shape()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.transform = transform = self.transform
        m.d.comb += [
            transform.i.eq(self.i),
            transform.control.eq(point_control(m, self.first, "test")),
            self.o.eq(transform.o),
        ]
        return m


def run(low, high, groups, pause, seed):
    """Return the points of groups of six words, with noise in the pauses."""
    random = Random(seed)
    dut = Harness(low, high)
    starts = [3]
    for _ in groups[1:]:
        starts.append(starts[-1] + PATCH + random.randint(0, pause))
    words = {
        start + k: int(group[k])
        for start, group in zip(starts, groups, strict=True)
        for k in range(PATCH)
    }
    seen = []

    async def bench(ctx):
        for cycle in range(starts[-1] + PATCH + PointTransform.LATENCY + 2):
            ctx.set(dut.i, words.get(cycle, random.randint(low, high)))
            ctx.set(dut.first, cycle - 1 in starts)
            _, _, value = await ctx.tick().sample(dut.o)
            seen.append(value)

    simulate(dut, bench)
    first = [start + PointTransform.LATENCY for start in starts]
    return np.array([seen[place : place + PATCH] for place in first])


@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-1275, 1278), (0, 1)])
@pytest.mark.parametrize("pause", [0, 1, 9])
def test_points_are_those_of_the_matrix_at_any_pause(low, high, pause):
    rng = np.random.default_rng(pause)
    groups = rng.integers(low, high + 1, (60, PATCH))
    got = run(low, high, groups, pause, seed=pause)
    assert np.array_equal(got, groups @ np.array(B_T).T)


def test_all_extreme_words_give_exact_points():
    groups = np.array(list(product((-128, 127), repeat=PATCH)))
    assert np.array_equal(run(-128, 127, groups, 0, seed=1), groups @ np.array(B_T).T)


def test_the_range_of_the_points_is_attained_and_no_wider():
    groups = np.array(list(product((-128, 127), repeat=PATCH)))
    points = groups @ np.array(B_T).T
    transform = PointTransform(-128, 127)
    assert (transform.out_low, transform.out_high) == (points.min(), points.max())
