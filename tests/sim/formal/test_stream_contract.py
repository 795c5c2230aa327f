"""The contract of a handshake says in each cycle whether its rule is broken."""

from random import Random

import pytest
from amaranth.hdl import Signal
from amaranth.sim import Simulator

from systolith_sim.formal.stream_contract import StreamContract


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_each_breach_is_seen_in_its_cycle_and_nothing_else(parts):
    valid, ready = Signal(), Signal()
    payload = [Signal(2, name=f"payload_{index}") for index in range(parts)]
    contract = StreamContract(valid, ready, *payload)
    random = Random(parts)
    breaches = {"withdrawn": 0, "changed": 0}

    async def bench(ctx):
        waiting = None
        for _ in range(500):
            now = tuple(random.choice([1, 1, 2]) for _ in payload)
            offered, taken = random.random() < 0.7, random.random() < 0.4
            for signal, value in zip(payload, now, strict=True):
                ctx.set(signal, value)
            ctx.set(valid, offered)
            ctx.set(ready, taken)
            withdrawn = waiting is not None and not offered
            changed = waiting is not None and offered and waiting != now
            assert ctx.get(contract.withdrawn) == withdrawn
            assert ctx.get(contract.changed) == changed
            assert ctx.get(contract.kept) == (not withdrawn and not changed)
            breaches["withdrawn"] += withdrawn
            breaches["changed"] += changed
            waiting = now if offered and not taken else None
            await ctx.tick()

    simulator = Simulator(contract)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert breaches["withdrawn"]
    assert bool(breaches["changed"]) == bool(parts)
