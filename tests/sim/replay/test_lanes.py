"""Winograd's CONVs in the replay, cycle by cycle next to the gateware's core."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect
from numba import njit

from systolith_hw.compute.winograd.core import WinogradCore
from systolith_hw.spec.isa import Instruction, Opcode
from systolith_hw.spec.legal import broken_rule
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.winograd import LANES, PATCH
from systolith_hw.stream.queue import Queue
from systolith_sim.replay import compute, control, fetch, gather, lanes
from systolith_sim.replay.facts import make_facts
from systolith_sim.replay.parts import ITEMS, zeroed
from systolith_sim.replay.table import make_table
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.cores import payload
from systolith_sim.testing.streams import simulate

TOKENS = ("after_loaded_act", "after_loaded_weight", "after_drained")


def config_of(rows, patches, **changes):
    cols = 3 if rows == 3 else 2
    depths = {"acc_depth": LANES * patches + 3, "act_depth": 4096, "weight_depth": 96 * rows}
    return small_config(rows, cols, winograd=patches, acc_width=30, **depths, **changes)


def random_fields(config, random, direct):
    """Return the fields of a CONV: its shape is random, its addresses are zero."""
    if random.random() < direct:
        counts = [random.randint(1, 6) for _ in range(4)]
        names = [*random.sample(["x", "y", "s", "r"], 2), "n", "c"]
        found = dict.fromkeys((f"{level}_count" for level in "xynsrc"), 1)
        pixels = 1
        for name, count in zip(names, counts, strict=True):
            if name in "xyn":
                count = min(count, max(1, config.acc_depth // pixels))
                pixels *= count
            found[f"{name}_count"] = count
        return found
    shape = [1, 1, 1]
    for _ in range(8):
        level = random.randrange(3)
        if np.prod(shape) // shape[level] * (shape[level] + 1) <= config.winograd:
            shape[level] += 1
    if random.random() < 0.3:
        shape = [random.randint(1, config.winograd), 1, 1]
        random.shuffle(shape)
    counts = (PATCH, PATCH, *shape, random.choice([1, 1, 2, 3]))
    found = {f"{level}_count": count for level, count in zip("xynsrc", counts, strict=True)}
    return found | {"winograd": 1, "patches": int(np.prod(shape))}


def random_convs(config, random, count, direct, tokens):
    """Return CONVs, and up to which counts their tokens make them wait."""
    wanted = {"loaded": 0, "drained": 0}
    convs = []
    for _ in range(count):
        fields = random_fields(config, random, direct) | {"clear": 1}
        for field in TOKENS:
            counter = field.split("_")[1]
            wanted[counter] += tokens * random.randint(0, 2)
            fields[field] = max(0, wanted[counter] - random.choice([0, 0, 1]))
        convs.append(Instruction(Opcode.CONV, fields))
        assert broken_rule(convs[-1], config) is None
    return convs, wanted


class QueuedCore(wiring.Component):
    """The core behind its queue of instructions."""

    def __init__(self, config):
        self.core = WinogradCore(config)
        self.queue = Queue(self.core.conv.p.shape(), config.queue_depth)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = self.core
        m.submodules.queue = self.queue
        connect(m, self.queue.o, self.core.conv)
        return m


def simulated(config, convs, random, wanted, stall, late):
    """Run CONVs on the gateware; return a row for each cycle.

    Its columns are: instruction pushed, counters loaded and drained, state, done.
    """
    bench = QueuedCore(config)
    core, queue = bench.core, bench.queue
    payloads = [payload({"fields": one.fields}, config) for one in convs]
    rows = []

    async def drive(ctx):
        now = dict.fromkeys(wanted, 0)
        sent = ended = quiet = 0
        while quiet < 20:
            for counter, most in wanted.items():
                now[counter] += now[counter] < most and random.random() < late
            ctx.set(core.progress, dict(now))
            offers = sent < len(payloads) and random.random() >= stall
            ctx.set(queue.i.valid, offers)
            if sent < len(payloads):
                ctx.set(queue.i.p, payloads[sent])
            taken = ctx.get(queue.i.valid) and ctx.get(queue.i.ready)
            _, _, state, done = await ctx.tick().sample(core.status.state, core.status.done)
            rows.append((taken, now["loaded"], now["drained"], state, done))
            sent += taken
            ended += done
            quiet += ended == len(convs)

    simulate(bench, drive, limit=200_000)
    return np.array(rows, np.int64)


@njit
def replayed(table, facts, mine, rows, times, units):
    """Run the same CONVs, pushed in the same cycles, on the replay's engine; return its rows.

    `units` of gathered weights are there for a CONV that is still to come.
    """
    f = facts[0]
    items, core, passes = zeroed(ITEMS), zeroed(compute.COMPUTE), zeroed(lanes.PASSES)
    fetches, tokens = zeroed(fetch.FETCH), zeroed(control.CONTROL)
    gathered = zeroed(gather.GATHER)
    gathered.units = units
    compute.start(core)
    found = np.zeros_like(rows)
    for now in range(len(rows)):
        fetches.sent_conv = rows[now, 0] != 0
        tokens.loaded, tokens.drained = rows[now, 1], rows[now, 2]
        compute.offer(core, passes, gathered, f, table, items, tokens, now)
        found[now, :3] = rows[now, :3]
        found[now, 3] = core.state
        found[now, 4] = core.computed
        compute.step(core, passes, f, table, items, mine, fetches, times, now)
    return found


def check(config, convs, random, wanted, stall=0.0, late=1.0, units=0):
    rows = simulated(config, convs, random, wanted, stall, late)
    table = make_table(convs, config, 0).rows
    facts = make_facts(config, Memory(), 0, len(convs), 0)
    times = np.full((len(convs), 4), -1, np.int64)
    found = replayed(table, facts, compute.mine(table), rows, times, units)
    differ = np.flatnonzero((found != rows).any(axis=1))
    assert len(differ) == 0, (len(rows), differ[:5], rows[differ[:5]], found[differ[:5]])
    assert (np.diff(times[:, :3], axis=1) >= 0).all()
    return rows


@pytest.mark.parametrize(
    ("rows", "patches", "seed"), [(2, 4, 0), (3, 14, 1), (4, 4, 2), (6, 5, 3), (12, 7, 4)]
)
def test_states_and_ends_are_those_of_the_gateware(rows, patches, seed):
    random = Random(f"{rows} {patches} {seed}")
    config = config_of(rows, patches, queue_depth=random.choice([1, 2, 4]))
    direct = (0.0, 0.0, 0.3, 0.6)[seed % 4]
    convs, wanted = random_convs(config, random, 5, direct, tokens=seed >= 2)
    stall, late = ((0.0, 1.0), (0.97, 0.02), (0.5, 0.004))[seed % 3]
    check(config, convs, random, wanted, stall, late)


def test_a_direct_conv_waits_behind_patches_of_which_only_the_gate_knows():
    # The patches wait for a STORE; their pixels are gathered, and their kernels are on the way from
    # the tap reader to the ring.
    config = config_of(6, 4)
    patches = {f"{level}_count": PATCH if level in "xy" else 1 for level in "xynsrc"}
    waits = {**patches, "clear": 1, "winograd": 1, "patches": 1, "after_drained": 1}
    direct = {f"{level}_count": 1 for level in "xynsrc"} | {"clear": 1}
    convs = [Instruction(Opcode.CONV, fields) for fields in (waits, direct)]
    rows = check(config, convs, Random(0), {"loaded": 0, "drained": 1}, late=0.0005)
    assert np.flatnonzero(rows[:, 2])[0] > 8 * LANES


def test_units_of_weights_for_a_later_conv_keep_no_other_kind_waiting():
    random = Random(0)
    config = config_of(4, 4)
    convs, wanted = random_convs(config, random, 8, 0.5, tokens=False)
    assert len({bool(one.fields.get("winograd")) for one in convs}) == 2
    check(config, convs, random, wanted, units=1)
