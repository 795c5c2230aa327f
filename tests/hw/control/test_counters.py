"""The performance counters."""

from random import Random

from systolith_hw.control.counters import COUNTER_NAMES, STATES_LAYOUT, Counters
from systolith_hw.spec.registers import ENGINE_STATES, REGISTERS, Engine, counter_name
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.streams import simulate


def test_every_counter_is_a_register():
    assert set(COUNTER_NAMES) <= set(REGISTERS)
    assert all(REGISTERS[name].width == 64 for name in COUNTER_NAMES)


def test_every_state_fits_the_layout():
    for engine, states in ENGINE_STATES.items():
        assert len(states) <= 1 << STATES_LAYOUT[engine.name].width


def test_counters_count_states_and_beats_while_enabled():
    random = Random(1)
    config = small_config(bus_bytes=16)
    dut = Counters(config)
    expected = dict.fromkeys(COUNTER_NAMES, 0)

    async def bench(ctx):
        for cycle in range(200):
            enable, clear = random.random() < 0.7, cycle in (0, 50)
            read, written = random.getrandbits(1), random.getrandbits(1)
            states = {
                engine: random.randrange(len(names)) for engine, names in ENGINE_STATES.items()
            }
            ctx.set(dut.enable, enable)
            ctx.set(dut.clear, clear)
            ctx.set(dut.beat_read, read)
            ctx.set(dut.beat_written, written)
            for engine, state in states.items():
                ctx.set(dut.states[engine.name], state)
            await ctx.tick()
            values = {name: ctx.get(dut.values[name]) for name in COUNTER_NAMES}
            assert values == expected, "what went in is counted a cycle later"
            if clear:
                expected.update(dict.fromkeys(expected, 0))
            elif enable:
                expected["CYCLES"] += 1
                expected["BYTES_READ"] += 16 * read
                expected["BYTES_WRITTEN"] += 16 * written
                for engine, state in states.items():
                    expected[counter_name(engine, ENGINE_STATES[engine][state])] += 1

    simulate(dut, bench)
    for engine in (Engine.LOAD, Engine.COMPUTE, Engine.STORE):
        total = sum(expected[counter_name(engine, state)] for state in ENGINE_STATES[engine])
        assert total == expected["CYCLES"]
