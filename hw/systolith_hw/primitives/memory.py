"""A memory that is read in two cycles: the block RAM's own output register is the second."""

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, MemoryData, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.primitives.ecp5 import Ecp5, bits

__all__ = ["RegisteredMemory", "block_rams"]

_MODES = {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}
"""Words of a DP16KD to bits of a word."""

_BLOCK_ADDRESS = 14
_HALF = 18


def block_rams(depth: int, width: int) -> int | None:
    """Return the number of DP16KD that ECP5's form takes, or None if Yosys is to make it."""
    mode = next((word for words, word in _MODES.items() if depth <= words), None)
    return None if mode is None else -(-width // mode)


class RegisteredMemory(wiring.Component):
    """One write port, one read port; a read a cycle, LATENCY cycles after its address.

    A word that is read in the cycle in which it is written comes out undefined.

    Parameters
    ----------
    store : MemoryData
        Zeros at the start.

    Members
    -------
    w_addr, w_data, w_en : In
    r_addr : In
    r_data : Out
    """

    w_addr: Signal
    w_data: Any
    w_en: Signal
    r_addr: Signal
    r_data: Any

    LATENCY = 2

    def __init__(self, store: MemoryData) -> None:
        self.store = store
        super().__init__(
            {
                "w_addr": In(range(store.depth)),
                "w_data": In(store.shape),
                "w_en": In(1),
                "r_addr": In(range(store.depth)),
                "r_data": Out(store.shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if isinstance(platform, Ecp5) and block_rams(self.store.depth, len(self.w_data)):
            self._build_ecp5(m)
            return m
        m.submodules.store = store = memory.Memory(self.store)
        write: Any = store.write_port()
        read = store.read_port()
        output = Signal.like(self.r_data, name="output", reset_less=True)
        m.d.comb += [
            write.addr.eq(self.w_addr),
            write.data.eq(self.w_data),
            write.en.eq(self.w_en),
            read.addr.eq(self.r_addr),
            read.en.eq(1),
            self.r_data.eq(output),
        ]
        m.d.sync += output.eq(read.data)
        return m

    def _build_ecp5(self, m: Module) -> None:
        """Blocks side by side, each holding some bits of every word; port A writes, B reads."""
        mode = next(word for words, word in _MODES.items() if self.store.depth <= words)
        shift = {1: 0, 2: 1, 4: 2, 9: 3, 18: 4, 36: 5}[mode]
        outputs = []
        for low in range(0, len(self.w_data), mode):
            piece = self.w_data[low : low + mode]
            data = Cat(piece, Const(0, 2 * _HALF - len(piece)))
            # Of wide words the lowest address bits are byte enables.
            enables = 4 if mode == 36 else 2 if mode == 18 else 0
            w_addr = Cat(self.w_en.replicate(enables), Const(0, shift - enables), self.w_addr)
            r_addr = Cat(Const(0, shift), self.r_addr)
            spare = Const(0, _BLOCK_ADDRESS)
            output = Signal(2 * _HALF, name=f"output_{low}")
            m.submodules[f"block_{low // mode}"] = Instance(
                "DP16KD",
                p_DATA_WIDTH_A=mode,
                p_DATA_WIDTH_B=mode,
                p_REGMODE_A="OUTREG",
                p_REGMODE_B="OUTREG",
                p_RESETMODE="SYNC",
                p_WRITEMODE_A="NORMAL",
                p_WRITEMODE_B="NORMAL",
                p_CSDECODE_A="0b000",
                p_CSDECODE_B="0b000",
                p_GSR="DISABLED",
                i_CLKA=ClockSignal(),
                i_CLKB=ClockSignal(),
                i_CEA=Const(1, 1),
                i_CEB=Const(1, 1),
                i_OCEA=Const(1, 1),
                i_OCEB=Const(1, 1),
                i_WEA=self.w_en,
                i_WEB=Const(0, 1),
                i_RSTA=Const(0, 1),
                i_RSTB=Const(0, 1),
                **{f"i_CS{port}{index}": Const(0, 1) for port in "AB" for index in range(3)},
                **bits("i", "ADA", Cat(w_addr, spare), _BLOCK_ADDRESS),
                **bits("i", "ADB", Cat(r_addr, spare), _BLOCK_ADDRESS),
                **bits("i", "DIA", data, _HALF),
                # Only words of 36 bits use both halves; then both ports' outputs are port B's.
                **(bits("i", "DIB", data[_HALF:], _HALF) if mode == 36 else {}),
                **bits("o", "DOA" if mode == 36 else "DOB", output, _HALF),
                **(bits("o", "DOB", output[_HALF:], _HALF) if mode == 36 else {}),
            )
            outputs.append(output[: len(piece)])
        m.d.comb += self.r_data.eq(Cat(outputs))
