"""The requantiser against the specification's rule, bit by bit."""

from itertools import product
from random import Random

import pytest

from systolith_hw.spec.numerics import MAX_SHIFT, requantize
from systolith_hw.store.requantize import Requantizer
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate

OUTPUTS = [(0, -128, 127), (-128, -128, 127), (127, -128, 127), (5, 5, 90), (-20, -100, -3)]


def run(config, cases, output):
    """Return the values that come LATENCY cycles after (sum, bias, multiplier, shift)."""
    dut = Requantizer(config)
    zero_point, low, high = output
    values = []

    async def bench(ctx):
        ctx.set(dut.output, {"zero_point": zero_point, "low": low, "high": high})
        for total, bias, multiplier, shift in [*cases, *[(0, 0, 0, 1)] * Requantizer.LATENCY]:
            ctx.set(dut.sum, total)
            ctx.set(dut.param, {"bias": bias, "multiplier": multiplier, "shift": shift})
            _, _, value = await ctx.tick().sample(dut.value)
            values.append(value)

    simulate(dut, bench, limit=len(cases) + 100)
    return values[Requantizer.LATENCY :]


def check(config, cases, output):
    values = run(config, cases, output)
    for case, value in zip(cases, values, strict=True):
        assert value == requantize(*case, *output), (case, output)


@pytest.mark.parametrize(("acc_width", "multiplier_width"), [(20, 8), (32, 16), (26, 18), (32, 24)])
@pytest.mark.parametrize("output", OUTPUTS)
def test_random_sums_every_cycle(acc_width, multiplier_width, output):
    random = Random(acc_width * multiplier_width + output[0])
    config = small_config(acc_width=acc_width, multiplier_width=multiplier_width)
    limit = 1 << (acc_width - 1)
    cases = []
    for _ in range(400):
        biased = random.randint(-limit, limit - 1) >> random.randrange(acc_width)
        bias = random.randint(max(-limit, biased - limit + 1), min(limit - 1, biased + limit))
        multiplier = random.getrandbits(multiplier_width) >> random.choice([0, 0, 0, 3, 7])
        # Most results near the interesting range, some far off.
        width = max(1, (abs(biased) * multiplier).bit_length())
        shift = random.choice([width - 8, width - 7, width - 6, random.randint(1, MAX_SHIFT)])
        cases.append((biased - bias, bias, multiplier, min(max(shift, 1), MAX_SHIFT)))
    check(config, cases, output)


@pytest.mark.parametrize(("acc_width", "multiplier_width"), [(20, 8), (32, 24)])
def test_extreme_sums_multipliers_and_shifts(acc_width, multiplier_width):
    config = small_config(acc_width=acc_width, multiplier_width=multiplier_width)
    limit = 1 << (acc_width - 1)
    top = (1 << multiplier_width) - 1
    biased = [-limit, -limit + 1, -(1 << 17) - 1, -(1 << 17), -1, 0, 1, (1 << 17) - 1, limit - 1]
    shifts = [1, 2, 7, 8, 9, 16, 17, acc_width, acc_width + multiplier_width - 8, 55, 61, 62]
    cases = [
        (value, 0, multiplier, shift)
        for value, multiplier, shift in product(biased, [0, 1, top - 1, top], shifts)
    ]
    check(config, cases, (0, -128, 127))


def test_halves_round_towards_plus_infinity():
    config = small_config()
    sums = list(range(-12, 13))
    values = run(config, [(value, 0, 1, 3) for value in sums], (0, -128, 127))
    assert values == [(value + 4) // 8 for value in sums]
    assert values[sums.index(-4)] == 0
    assert values[sums.index(4)] == 1


def test_bias_may_lie_far_outside_of_the_sum_of_both():
    config = small_config(acc_width=32)
    cases = [(-(1 << 31), (1 << 31) - 1, 1, 1), ((1 << 31) - 1, -(1 << 31), 3, 1)]
    check(config, cases, (0, -128, 127))


def test_results_around_the_clamps():
    config = small_config()
    for output in OUTPUTS:
        cases = [(value, 0, 1 << 8, 8) for value in range(-300, 301)]
        check(config, cases, output)


def test_a_sum_shows_after_latency_cycles_and_not_before():
    config = small_config()
    cases = [(0, 0, 1, 1)] * 10 + [(100, 0, 2, 1)] + [(0, 0, 1, 1)] * 10
    assert run(config, cases, (0, -128, 127)) == [0] * 10 + [100] + [0] * 10
