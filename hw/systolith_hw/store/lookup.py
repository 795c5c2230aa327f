"""Functions by table: each lane looks its results up in a memory of its own."""

from typing import Any

from amaranth.hdl import MemoryData, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.buffers import BufferWrite, buffer_shape
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.memory import RegisteredMemory
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import TABLE_ENTRIES, Buffer

__all__ = ["Lookup"]


class Lookup(wiring.Component):
    """Replaces one value per lane and cycle by its entry of the table, LATENCY cycles later.

    The tables of all lanes are equal: a write travels from lane to lane, one cycle each. Without
    `use` values pass with the same latency.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    write : In, the tables' write side; entry i is for the value i - 128
    use : In, whether values are looked up; must not change while any are on their way
    i : In, for each lane
    o : Out, for each lane
    """

    write: Any
    use: Signal
    i: Any
    o: Any

    LATENCY = RegisteredMemory.LATENCY + 1

    def __init__(self, config: AcceleratorConfig) -> None:
        values = data.ArrayLayout(signed(8), config.post_lanes)
        self.tables = [
            MemoryData(shape=signed(8), depth=TABLE_ENTRIES, init=[])
            for _ in range(config.post_lanes)
        ]
        super().__init__(
            {
                "write": In(BufferWrite(buffer_shape(Buffer.TABLE, config))),
                "use": In(1),
                "i": In(values),
                "o": Out(values),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        addr, entry, enable = self.write.addr, self.write.data[0], self.write.en
        for lane, table in enumerate(self.tables):
            m.submodules[f"table_{lane}"] = store = RegisteredMemory(table)
            value = self.i[lane].as_unsigned()
            passed = delay(m, value, RegisteredMemory.LATENCY, f"passed_{lane}")
            result = Signal(8, name=f"result_{lane}", reset_less=True)
            m.d.sync += result.eq(Mux(self.use, store.r_data, passed))
            m.d.comb += [
                store.w_addr.eq(addr),
                store.w_data.eq(entry),
                store.w_en.eq(enable),
                store.r_addr.eq(value ^ (TABLE_ENTRIES // 2)),
                self.o[lane].eq(result),
            ]
            addr = delay(m, addr, 1, f"addr_to_{lane + 1}")
            entry = delay(m, entry, 1, f"entry_to_{lane + 1}")
            enable = delay(m, enable, 1, f"enable_to_{lane + 1}", reset=True)
        return m
