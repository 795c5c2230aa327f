"""CONVs that gather on both cores: sums, the ring's credits, and activations of nine bits."""

from itertools import pairwise
from random import Random

import numpy as np
import pytest

from systolith_hw.compute.core import DirectCore
from systolith_hw.compute.winograd.core import WinogradCore
from systolith_hw.interface.core import DrainRead
from systolith_hw.spec.isa import Opcode, fields_of
from systolith_hw.spec.timing import least_pass
from systolith_sim.emulator.gather import gather_sums, gather_units, ring_places, scan
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.cores import STATES, CoreBench, contents, conv, payload
from systolith_sim.testing.gathered import random_layer
from systolith_sim.testing.streams import simulate, stream_put


def run(core, layer, gap, seed):
    """Run a layer's CONVs; a unit is written every `gap` cycles at most.

    Returns the sums of each CONV, and the states.
    """
    config, rng = core.config, Random(seed)
    rows, cols, lanes = config.rows, config.cols, config.post_lanes
    found = scan(layer.inputs, layer.zero, rows)
    act = np.zeros((config.act_depth, rows), int)
    act[layer.act_dest :][: len(found.words)] = found.words
    numbers = np.random.default_rng(seed)
    bench = CoreBench(core, act, numbers.integers(-128, 128, (config.weight_depth, cols)))
    active = np.flatnonzero(found.mask)
    units = []  # (ring, places, weights) of all CONVs, in order
    for first, blocks in layer.slices:
        part = layer.weight[first * cols : (first + blocks) * cols].T[active]
        runs = part.reshape(len(active), blocks, cols)
        places = ring_places(len(active), (layer.weight_dest, layer.units, blocks), rows)
        units.append(
            [(places[i : i + rows], runs[i : i + rows]) for i in range(0, len(active), rows)]
        )
    states, sums, credit = [], [], [0]
    convs = [one for one in layer.program() if one.opcode is Opcode.CONV]
    dones = [0]

    async def feed(ctx):
        for one in convs:
            fields = {f.name: one[f.name] for f in fields_of(Opcode.CONV, config)}
            fields |= dict.fromkeys(("after_loaded_act", "after_loaded_weight", "after_drained"), 0)
            await stream_put(ctx, core.conv, [fields])

    async def load(ctx):
        ctx.set(core.gathering.active, {"inputs": len(active), "words": len(found.words)})
        for number, those in enumerate(units):
            while dones[0] < number:
                await ctx.tick()
            credit[0] = layer.units
            for places, weights in those:
                while credit[0] == 0:
                    await ctx.tick()
                credit[0] -= 1
                for _ in range(rng.randint(0, gap)):
                    await ctx.tick()
                for place, word in zip(places.reshape(-1), weights.reshape(-1, cols), strict=True):
                    for lane, bank in enumerate(bench.weight.banks):
                        ctx.set(bank[int(place)], int(word[lane]) & 255)
                ctx.set(core.gathering.complete, 1)
                await ctx.tick()
                ctx.set(core.gathering.complete, 0)

    async def watch(ctx):
        quiet = 0
        while quiet < 20:
            _, _, state, done, free, fault = await ctx.tick().sample(
                core.status.state, core.status.done, core.gathering.free, core.status.fault
            )
            assert not fault
            states.append(STATES[state])
            credit[0] += free
            if done:
                sums.append(await read(ctx, convs[dones[0]]))
                dones[0] += 1
            quiet = quiet + 1 if dones[0] == len(convs) else 0
        assert ctx.get(core.status.rest)

    async def read(ctx, conv):
        values = np.zeros((conv["s_count"], cols), np.int64)
        places = [(a, g) for a in range(conv["s_count"]) for g in range(cols // lanes)]
        rows_read = []
        for addr, group in places + [(0, 0)] * (lanes + 4):
            ctx.set(core.drain.place, {"bank": conv["bank"], "addr": conv["acc_base"] + addr})
            ctx.set(core.drain.group, group)
            _, _, lane_sums = await ctx.tick().sample(core.drain.sum)
            rows_read.append([lane_sums[lane] for lane in range(lanes)])
        for cycle, (addr, group) in enumerate(places):
            for lane in range(lanes):
                values[addr, group * lanes + lane] = rows_read[cycle + 4 + lane][lane]
        return values

    simulate(bench, feed, load, watch, limit=30_000)
    return sums, states


def wanted(layer):
    config = layer.config
    found = scan(layer.inputs, layer.zero, config.rows)
    act = found.words.astype(np.int64)
    if layer.unsigned:
        act &= 255
    for first, blocks in layer.slices:
        part = layer.weight[first * config.cols : (first + blocks) * config.cols].T[found.mask]
        runs = np.ascontiguousarray(part).reshape(-1, blocks, config.cols)
        units = gather_units(runs, (0, 1, blocks), config.rows)
        yield gather_sums(np.repeat(act[:, None], blocks, axis=1), units.weights)


@pytest.mark.parametrize("winograd", [0, 4])
@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (3, 6)])
def test_gathered_sums_are_exact(rows, cols, winograd):
    rng = Random(f"{rows}x{cols}")
    depth = 150 if winograd else 64
    config = small_config(
        rows, cols, gather=64 * min(rows, cols), winograd=winograd, acc_depth=depth
    )
    seen = set()
    for number in range(6):
        layer = random_layer(rng, config, rng.choice([0, 0.1, 0.5]))
        core = (WinogradCore if winograd else DirectCore)(config)
        sums, _ = run(core, layer, rng.choice([0, 3, 100]), number)
        for found, right in zip(sums, wanted(layer), strict=True):
            np.testing.assert_array_equal(found, right)
        seen.add(layer.unsigned)
    assert seen == {False, True}


@pytest.mark.parametrize("make", [DirectCore, WinogradCore])
def test_a_conv_right_behind_one_that_gathers_takes_its_own_weights(make):
    winograd = {"winograd": 4, "acc_depth": 150} if make is WinogradCore else {}
    config = small_config(4, 4, gather=64, **winograd)
    core = make(config)
    act, weight = contents(config, 5)
    bench = CoreBench(core, act, weight)
    level = (1,) * 6, (0,) * 6
    gathers = conv(*level, weight_base=8, gather=1, units=1, clear=1)
    direct = conv(*level, act_base=3, weight_base=20, acc_base=1, clear=1)
    found = []

    async def drive(ctx):
        ctx.set(core.gathering.active, {"inputs": 4, "words": 1})
        for job in (gathers, direct):
            await stream_put(ctx, core.conv, [payload(job, config)])
        ctx.set(core.gathering.complete, 1)
        await ctx.tick()
        ctx.set(core.gathering.complete, 0)
        for _ in range(2):
            await ctx.tick().until(core.status.done)
        lanes = config.post_lanes
        reads = [(addr, group) for addr in range(2) for group in range(config.cols // lanes)]
        for addr, group in (*reads, *((0, 0),) * (lanes + 4)):
            ctx.set(core.drain.place, {"bank": 0, "addr": addr})
            ctx.set(core.drain.group, group)
            _, _, sums = await ctx.tick().sample(core.drain.sum)
            found.append(sums)

    simulate(bench, drive, limit=3000)
    lanes = config.post_lanes
    for addr, (row, base) in enumerate(((0, 8), (3, 20))):
        wanted = act[row] @ weight[base : base + 4]
        for column in range(config.cols):
            group, lane = divmod(column, lanes)
            cycle = addr * (config.cols // lanes) + group + DrainRead.LATENCY + lane
            assert found[cycle][lane] == wanted[column], (addr, column)


def test_units_that_are_there_in_time_keep_the_array_busy():
    config = small_config(4, 8, gather=256)
    rng = Random(7)
    while (layer := random_layer(rng, config, 0.5)).units < 3 or len(layer.slices) > 1:
        pass
    _, states = run(DirectCore(config), layer, 0, 1)
    busy = [cycle for cycle, state in enumerate(states) if state == "busy"]
    passes = -(-layer.active // 4) * layer.slices[0][1]
    assert len(busy) == passes
    assert {after - before for before, after in pairwise(busy)} == {least_pass(4)}
