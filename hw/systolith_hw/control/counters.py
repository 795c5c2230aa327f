"""Performance counters: each engine's state in each cycle, and the bytes on the bus."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import COUNTER_WIDTH, ENGINE_STATES, Engine, counter_name

__all__ = ["COUNTER_NAMES", "Counters", "STATES_LAYOUT"]

STATES_LAYOUT = data.StructLayout({engine.name: 4 for engine in Engine})
"""Each engine's state: index into ENGINE_STATES (for FETCH: 1 while instructions remain)."""

COUNTER_NAMES = (
    "CYCLES",
    "BYTES_READ",
    "BYTES_WRITTEN",
    *(counter_name(engine, state) for engine, states in ENGINE_STATES.items() for state in states),
)


class Counters(wiring.Component):
    """Counts while a program runs; zero at its start. Values are two cycles old.

    Each engine is in exactly one state in each cycle, so its counters add up to CYCLES.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear, enable : In
    states : In, :data:`STATES_LAYOUT`
    beat_read, beat_written : In, pulses
    values : Out, a counter for each of COUNTER_NAMES
    """

    clear: Signal
    enable: Signal
    states: Any
    beat_read: Signal
    beat_written: Signal
    values: Any

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "clear": In(1),
                "enable": In(1),
                "states": In(STATES_LAYOUT),
                "beat_read": In(1),
                "beat_written": In(1),
                "values": Out(data.StructLayout(dict.fromkeys(COUNTER_NAMES, COUNTER_WIDTH))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Everything is delayed by the same cycle, so the counts stay the same.
        clear, enable = Signal(), Signal()
        now: Any = Signal(STATES_LAYOUT, reset_less=True)
        beat_read, beat_written = Signal(), Signal()
        m.d.sync += [
            clear.eq(self.clear),
            enable.eq(self.enable),
            now.eq(self.states),
            beat_read.eq(self.beat_read),
            beat_written.eq(self.beat_written),
        ]
        increments: dict[str, Any] = {
            "CYCLES": 1,
            "BYTES_READ": Mux(beat_read, self.config.bus_bytes, 0),
            "BYTES_WRITTEN": Mux(beat_written, self.config.bus_bytes, 0),
        }
        for engine, states in ENGINE_STATES.items():
            for index, state in enumerate(states):
                increments[counter_name(engine, state)] = now[engine.name] == index
        for name in COUNTER_NAMES:
            value = Signal(COUNTER_WIDTH, name=name.lower())
            with m.If(clear):
                m.d.sync += value.eq(0)
            with m.Elif(enable):
                m.d.sync += value.eq(value + increments[name])
            m.d.comb += self.values[name].eq(value)
        return m
