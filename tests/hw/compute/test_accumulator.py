"""A column of accumulators: sums at full rate in one bank while the other drains."""

from random import Random
from typing import Any

import pytest

from systolith_hw.compute.accumulator import AccumulatorColumn
from systolith_hw.spec.isa import SHIFT_BITS
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate

READ, UPDATE = AccumulatorColumn.READ_LATENCY, AccumulatorColumn.UPDATE_LATENCY


def wrap(value, width):
    half = 1 << (width - 1)
    return (value + half) % (1 << width) - half


def run(config, commands, drains=None):
    """Return what `sum` is in every cycle, and the outputs for the next column.

    A command is (valid, overwrite, shift, bank, addr, psum), a drain (bank, addr).
    """
    dut = AccumulatorColumn(config)
    drains = drains or [(0, 0)] * len(commands)
    sums, passed = [], []

    async def bench(ctx):
        for cycle, (command, drain) in enumerate(zip(commands, drains, strict=True)):
            valid, overwrite, shift, bank, addr, _ = command
            ctx.set(
                dut.accumulate,
                {
                    "valid": valid,
                    "overwrite": overwrite,
                    "shift": shift,
                    "bank": bank,
                    "addr": addr,
                },
            )
            ctx.set(dut.psum, commands[cycle - READ][5] if cycle >= READ else 0)
            ctx.set(dut.drain, {"bank": drain[0], "addr": drain[1]})
            _, _, total, accumulate, following = await ctx.tick().sample(
                dut.sum, dut.accumulate_next, dut.drain_next
            )
            sums.append(total)
            passed.append(
                (
                    (accumulate.valid, accumulate.bank, accumulate.addr),
                    (following.bank, following.addr),
                )
            )

    simulate(dut, bench)
    return sums, passed


NOTHING = (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("acc_width", [20, 32])
@pytest.mark.parametrize("seed", range(3))
def test_one_bank_fills_every_cycle_while_the_other_is_read(acc_width, seed):
    random = Random(seed)
    config = small_config(acc_depth=8, acc_width=acc_width)
    model: list[list[Any]] = [[None] * 8, [None] * 8]  # None: never written
    commands, drains, expected = [], [], {}
    recent = []
    for phase in range(6):
        bank = phase % 2
        for _ in range(40):
            # The same address comes again after UPDATE_LATENCY cycles at the earliest.
            addr = random.choice([a for a in range(8) if a not in recent[-(UPDATE - 1) :]])
            recent.append(addr)
            valid = random.random() < 0.8
            overwrite = model[bank][addr] is None or random.random() < 0.2
            shift = not overwrite and random.random() < 0.1
            psum = random.randint(-(1 << 17), (1 << 17) - 1)
            commands.append((valid, overwrite, shift, bank, addr, psum))
            place = (1 - bank, random.randrange(8))
            drains.append(place)
            expected[len(drains) - 1 + READ] = model[place[0]][place[1]]
            if valid:
                old = 0 if overwrite else model[bank][addr] << (SHIFT_BITS if shift else 0)
                model[bank][addr] = wrap(old + psum, acc_width)
        # Let the last sums arrive before the banks change roles.
        commands += [NOTHING] * UPDATE
        drains += [(0, 0)] * UPDATE
    sums, passed = run(config, commands, drains)
    for cycle, value in expected.items():
        if value is not None:
            assert sums[cycle] == value, cycle
    for cycle, (command, drain) in enumerate(zip(commands[:-1], drains[:-1], strict=True)):
        valid, _, _, bank, addr, _ = command
        assert passed[cycle + 1] == ((valid, bank, addr), drain)


def test_a_sum_is_there_after_update_latency_cycles_and_not_before():
    config = small_config(acc_depth=8)
    write = [(1, 1, 0, 0, 3, 5), *[NOTHING] * (UPDATE - 1), (1, 1, 0, 0, 3, 1000)]
    commands = write + [NOTHING] * 12
    drains = [(0, 3)] * len(commands)
    sums, _ = run(config, commands, drains)
    first = UPDATE + UPDATE + READ
    assert sums[first] == 1000
    assert sums[first - 1] == 5


def test_the_same_address_may_come_again_after_update_latency_cycles():
    config = small_config(acc_depth=8)
    commands = [(1, 1, 0, 1, 2, 100)]
    for _ in range(9):
        commands += [NOTHING] * (UPDATE - 1) + [(1, 0, 0, 1, 2, 10)]
    commands += [NOTHING] * 10
    sums, _ = run(config, commands, [(1, 2)] * len(commands))
    assert sums[-1] == 190


def test_a_shift_makes_room_for_the_next_byte():
    config = small_config(acc_depth=8)
    commands = [
        (1, 1, 0, 0, 1, -3),
        *[NOTHING] * (UPDATE - 1),
        (1, 0, 1, 0, 1, 200),
        *[NOTHING] * 8,
    ]
    sums, _ = run(config, commands, [(0, 1)] * len(commands))
    assert sums[-1] == -3 * 256 + 200


def test_a_sum_wraps_at_the_accumulators_width():
    config = small_config(acc_depth=8, acc_width=20)
    step = (1 << 17) - 1
    commands = [(1, 1, 0, 0, 0, step)]
    for _ in range(5):
        commands += [NOTHING] * (UPDATE - 1) + [(1, 0, 0, 0, 0, step)]
    commands += [NOTHING] * 8
    sums, _ = run(config, commands, [(0, 0)] * len(commands))
    assert sums[-1] == wrap(6 * step, 20) < 0
