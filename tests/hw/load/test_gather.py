"""Scans and gathering LOADs on the load engine: buffers, unit by unit, and the credits."""

from collections import deque
from random import Random

import numpy as np
import pytest

from systolith_hw.load.engine import LoadEngine
from systolith_hw.spec.isa import Opcode, fields_of
from systolith_hw.spec.registers import ENGINE_STATES, Engine
from systolith_sim.emulator.gather import ring_places, scan
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.gathered import random_layer
from systolith_sim.testing.streams import simulate, stream_put

STATES = ENGINE_STATES[Engine.LOAD]


class Bench:
    """A load engine and its memory; whoever takes its units frees them after a while."""

    def __init__(self, layer, seed, stall):
        self.layer, self.config = layer, layer.config
        self.dut = LoadEngine(layer.config)
        self.random = Random(seed)
        self.stall = stall
        self.memory = np.pad(layer.memory(), (0, 64))
        self.pending: deque[int] = deque()
        self.act = np.zeros((self.config.act_depth, self.config.rows), np.uint8)
        self.weight = np.zeros((self.config.weight_depth, self.config.cols), np.uint8)
        self.done = 0
        self.states: list[str] = []
        self.units: list[np.ndarray] = []  # weight buffers at the ends of units
        self.held = 0  # units that are complete or on their way, and not free
        self.most_held = 0
        self.freed = 0

    async def reads(self, ctx):
        dut, bus = self.dut, self.config.bus_bytes
        while True:
            ctx.set(dut.burst.ready, self.random.random() >= self.stall)
            if not ctx.get(dut.beat.valid) and self.pending and self.random.random() >= self.stall:
                raw = self.memory[self.pending.popleft() :][:bus].tobytes()
                ctx.set(dut.beat.p, int.from_bytes(raw, "little"))
                ctx.set(dut.beat.valid, 1)
            _, _, asked, burst, given = await ctx.tick().sample(
                dut.burst.valid & dut.burst.ready, dut.burst.p, dut.beat.valid & dut.beat.ready
            )
            if asked:
                self.pending.extend(burst.addr + i * bus for i in range(burst.length + 1))
            if given:
                ctx.set(dut.beat.valid, 0)

    async def writes(self, ctx):
        dut, config = self.dut, self.config
        free_at: deque[int] = deque()
        cycle = 0
        while True:
            ctx.set(dut.gathering.free, bool(free_at) and free_at[0] <= cycle)
            if free_at and free_at[0] <= cycle:
                free_at.popleft()
                self.freed += 1
            _, _, done, state, fault, miscount = await ctx.tick().sample(
                dut.status.done, dut.status.state, dut.status.fault, dut.status.miscount
            )
            assert not fault
            assert not miscount
            cycle += 1
            self.states.append(STATES[state])
            self.done += done
            ctx.set(dut.progress.loaded, self.done)
            act = ctx.get(dut.act.en)
            if act:
                word = ctx.get(dut.act.data.as_value()).to_bytes(config.block, "little")
                first = (act.bit_length() - 1) * config.block
                self.act[ctx.get(dut.act.addr), first : first + config.block] = list(word)
            if ctx.get(dut.weight.en):
                word = ctx.get(dut.weight.data.as_value()).to_bytes(config.cols, "little")
                self.weight[ctx.get(dut.weight.addr)] = list(word)
            if ctx.get(dut.gathering.complete):
                self.units.append(self.weight.copy())
                # Units are taken one after the other.
                begin = max(cycle, free_at[-1] if free_at else 0)
                free_at.append(begin + self.random.randint(1, 60))

    def run(self, jobs):
        dut = self.dut

        async def feed(ctx):
            for number, job in enumerate(jobs):
                fields = {f.name: job[f.name] for f in fields_of(Opcode.LOAD, self.config)}
                fields |= {"after_computed": 0, "after_drained": 0}
                # As the tokens have it: all units of the gathering LOAD before are free.
                while job["gather"] and self.freed < self.wanted_before(number, jobs):
                    await ctx.tick()
                await stream_put(ctx, dut.load, [fields])
            while self.done < len(jobs) or self.freed < self.wanted_before(len(jobs), jobs):
                await ctx.tick()
            for _ in range(20):
                await ctx.tick()
            assert ctx.get(dut.status.rest)
            assert ctx.get(dut.gathering.active.inputs) == self.layer.active

        simulate(dut, feed, background=[self.reads, self.writes], watch=[dut.burst], limit=40_000)

    def wanted_before(self, number, jobs):
        each = -(-self.layer.active // self.config.rows)
        return each * sum(bool(job["gather"]) for job in jobs[:number])


@pytest.mark.parametrize("density", [0, 0.1, 0.4, 1])
@pytest.mark.parametrize(
    ("rows", "cols", "bus", "nibbles"),
    [(4, 4, 8, 0), (3, 6, 4, 0), (8, 4, 16, 0), (4, 4, 8, 1), (2, 6, 4, 1), (8, 4, 16, 1)],
)
def test_gathered_weights_arrive_unit_by_unit_as_the_ring_has_room(
    rows, cols, bus, nibbles, density
):
    rng = Random(f"{rows}x{cols} {density}")
    depths = {"out_depth": 128, "param_depth": 8 * cols}
    gather = 24 * min(rows, cols)
    config = small_config(rows, cols, bus_bytes=bus, gather=gather, nibbles=nibbles, **depths)
    stall = rng.choice([0.0, 0.3])
    layer = random_layer(rng, config, density)
    jobs = [one for one in layer.program() if one.opcode is Opcode.LOAD]
    bench = Bench(layer, rng.random(), stall)
    bench.run(jobs)
    found = scan(layer.inputs, layer.zero, rows)
    words = bench.act[layer.act_dest : layer.act_dest + len(found.words)]
    np.testing.assert_array_equal(words.view(np.int8), found.words)
    active = np.flatnonzero(found.mask)
    units = iter(bench.units)
    for first, blocks in layer.slices:
        part = layer.weight[first * cols : (first + blocks) * cols].T[active]
        runs = part.reshape(len(active), blocks, cols)
        ring = (layer.weight_dest, layer.units, layer.held(blocks))
        places = ring_places(len(active), ring, rows)
        for start in range(0, len(active), rows):
            held = next(units)[places[start : start + rows]].view(np.int8)
            np.testing.assert_array_equal(held[:, :blocks], runs[start : start + rows])
    assert next(units, None) is None
    assert density < 0.4 or layer.units > 2 or "wait_compute" in bench.states
