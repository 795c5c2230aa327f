"""The processing element against its contract, cycle by cycle."""

from random import Random

import pytest

from systolith_hw.compute.pe import ProcessingElement
from systolith_sim.testing.streams import simulate, trace


def run(inputs, psum_width=20, extra=8):
    """Return (act_o, swap_o, weight_o, capture_o, psum_o) of every cycle.

    Inputs are (act, swap, weight, capture, psum) of every cycle.
    """
    dut = ProcessingElement(8, 8, psum_width)
    rows = []

    async def drive(ctx):
        for act, swap, weight, capture, psum in inputs:
            ctx.set(dut.act_i, {"value": act, "swap": swap})
            ctx.set(dut.weight_i, {"value": weight, "capture": capture})
            ctx.set(dut.psum_i, psum)
            await ctx.tick()
        ctx.set(dut.act_i, {"value": 0, "swap": 0})
        ctx.set(dut.weight_i, {"value": 0, "capture": 0})

    async def watch(ctx):
        rows.extend(
            await trace(
                ctx,
                len(inputs) + extra,
                dut.act_o.value,
                dut.act_o.swap,
                dut.weight_o.value,
                dut.weight_o.capture,
                dut.psum_o,
            )
        )

    simulate(dut, drive, watch)
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_sum_is_partial_sum_plus_activation_times_weight_in_force(seed):
    random = Random(seed)
    count = 120
    inputs = [
        (
            random.choice([-128, 127, random.randint(-128, 127)]),
            random.random() < 0.3,
            random.choice([-128, 127, random.randint(-128, 127)]),
            random.random() < 0.3,
            random.randint(-(1 << 17), (1 << 17) - 1),
        )
        for _ in range(count)
    ]
    inputs[0] = (5, False, 7, True, 0)
    inputs[1] = (3, True, 0, False, 0)
    rows = run(inputs)

    shadow = force = None
    for cycle, (act, swap, weight, capture, _) in enumerate(inputs[:-4]):
        if swap:
            force = shadow  # what was captured in an earlier cycle
        if capture:
            shadow = weight
        if force is not None:
            psum = inputs[cycle + ProcessingElement.PRODUCT_LATENCY][4]
            got = rows[cycle + ProcessingElement.PRODUCT_LATENCY + 1][4]
            assert got == psum + act * force, cycle


def test_activations_and_weights_pass_in_one_cycle_and_capture_in_two():
    random = Random(9)
    inputs = [
        (
            random.randint(-128, 127),
            random.getrandbits(1),
            random.randint(-128, 127),
            random.getrandbits(1),
            0,
        )
        for _ in range(50)
    ]
    rows = run(inputs)
    for cycle, (act, swap, weight, capture, _) in enumerate(inputs):
        assert rows[cycle + 1][:3] == (act, swap, weight)
        assert rows[cycle + 2][3] == capture


def test_a_captured_weight_changes_nothing_before_its_swap():
    inputs = [(0, 0, 3, 1, 0), (10, 1, 0, 0, 0)]
    inputs += [(10, 0, weight, 1, 0) for weight in (50, 60, 70)]
    inputs += [(10, 1, 0, 0, 0)] + [(10, 0, 0, 0, 0)] * 3
    sums = [row[4] for row in run(inputs, extra=0)]
    assert sums[4:] == [30] * 4 + [700]


@pytest.mark.parametrize("width", [17, 20, 23])
def test_largest_products_fit_the_width_of_one_row_and_more(width):
    inputs = [(0, 0, -128, 1, 0), (-128, 1, 0, 0, 0), (-128, 0, 0, 0, 0), (0, 0, 0, 0, 0)]
    assert run(inputs, width)[4][4] == 128 * 128
