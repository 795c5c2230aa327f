"""Lattice ECP5 as a platform: handed to ``elaborate``, it turns primitives into the part's own."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value

from systolith_hw.primitives.ecp5_blocks import bits_per_word

__all__ = ["SIZES", "Ecp5", "dsp_sites"]

SIZES = ("25F", "45F", "85F")

_DSP_ROWS = {"85F": (10, 34, 58)}
"""Tile rows that hold multipliers, where they are known."""

_DSP_BLOCKS = {"85F": (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)}
"""Tile columns at which the blocks of four multipliers begin."""

_OFFSETS = (0, 1, 4, 5)
"""Of the four multipliers of a block."""


def dsp_sites(size: str) -> list[list[list[str]]]:
    """Return the part's multiplier sites as [row of blocks][block][multiplier], if known."""
    return [
        [[f"X{x + k}/Y{y}/MULT18_{k}" for k in _OFFSETS] for x in _DSP_BLOCKS[size]]
        for y in _DSP_ROWS.get(size, ())
    ]


_FACTOR_BITS = 18
"""Of a MULT18X18D."""

_BLOCK_ADDRESS = 14
_HALF = 18


@dataclass(frozen=True)
class Ecp5:
    """A platform for ``elaborate``: MULT18X18D and DP16KD with their registers in use.

    Yosys infers neither the multiplier's registers nor the block RAM's output register, and
    nextpnr finds no good places for a hundred multipliers by itself.

    Parameters
    ----------
    size : str
        "25F", "45F" or "85F".
    floorplan : bool
        Whether the array's multipliers are bound to sites; the array must fit, see :meth:`site`.
    """

    size: str = "85F"
    floorplan: bool = True

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"Ecp5 size must be one of {', '.join(SIZES)}, not {self.size!r}")

    def fits(self, rows: int, cols: int) -> bool:
        """Whether an array's columns can stand on columns of blocks of four multipliers."""
        sites = dsp_sites(self.size)
        return -(-rows // len(_OFFSETS)) <= len(sites) and cols <= len(sites[0])

    def get_multiplier_site(self, row: int, col: int, rows: int, cols: int) -> str | None:
        """Return the site of an array's multiplier, or None to let the tools choose.

        Four rows of a column share a block; the next four stand in the next row of blocks.
        """
        if not self.floorplan or not self.fits(rows, cols):
            return None
        block_row, place = divmod(row, len(_OFFSETS))
        return dsp_sites(self.size)[block_row][col][place]

    def get_multiplier(self, multiplier: Any) -> Module | None:
        """Return a MULT18X18D with its input and output registers, if the factors fit.

        The factors are left-aligned: sign extension would cost routing for every upper bit.
        """
        if any(shape.width > _FACTOR_BITS for shape in multiplier.shapes):
            return None
        m = Module()
        result = Signal(2 * _FACTOR_BITS)
        ports: dict[str, Any] = {}
        factors = (multiplier.a, multiplier.b)
        for name, factor, shape in zip("AB", factors, multiplier.shapes, strict=True):
            aligned = Cat(Const(0, _FACTOR_BITS - shape.width), factor)
            ports |= _bits("i", name, aligned, _FACTOR_BITS)
            ports[f"i_SIGNED{name}"] = Const(shape.signed, 1)
            ports[f"i_SOURCE{name}"] = Const(0, 1)
            # Both input registers or neither: else nextpnr takes the multiplier for unregistered.
            ports[f"p_REG_INPUT{name}_CLK"] = "CLK0"
            ports[f"p_REG_INPUT{name}_CE"] = "CE0"
            ports[f"p_REG_INPUT{name}_RST"] = "RST0"
        if multiplier.site is not None:
            ports["a_BEL"] = multiplier.site
        m.submodules.hard = Instance(
            "MULT18X18D",
            **ports,
            **_bits("o", "P", result, 2 * _FACTOR_BITS),
            p_REG_OUTPUT_CLK="CLK0",
            p_REG_OUTPUT_CE="CE0",
            p_REG_OUTPUT_RST="RST0",
            i_CLK0=ClockSignal(),
            i_CE0=Const(1, 1),
            i_RST0=Const(0, 1),
        )
        m.d.comb += multiplier.product.eq(result[2 * _FACTOR_BITS - len(multiplier.product) :])
        return m

    def get_registered_memory(self, memory: Any) -> Module | None:
        """Return parallel DP16KD, each holding some bits of every word, if one is deep enough.

        Port A writes, port B reads.
        """
        depth, word = memory.store.depth, Value.cast(memory.w_data)
        width = len(word)
        mode = bits_per_word(depth)
        if mode is None:  # Yosys makes it of several
            return None
        m = Module()
        shift = {1: 0, 2: 1, 4: 2, 9: 3, 18: 4, 36: 5}[mode]
        outputs = []
        for low in range(0, width, mode):
            piece = word[low : low + mode]
            data = Cat(piece, Const(0, 2 * _HALF - len(piece)))
            # In wide words the lowest address bits are byte enables.
            enables = 4 if mode == 36 else 2 if mode == 18 else 0
            w_addr = Cat(memory.w_en.replicate(enables), Const(0, shift - enables), memory.w_addr)
            r_addr = Cat(Const(0, shift), memory.r_addr)
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
                i_WEA=memory.w_en,
                i_WEB=Const(0, 1),
                i_RSTA=Const(0, 1),
                i_RSTB=Const(0, 1),
                **{f"i_CS{port}{index}": Const(0, 1) for port in "AB" for index in range(3)},
                **_bits("i", "ADA", Cat(w_addr, spare), _BLOCK_ADDRESS),
                **_bits("i", "ADB", Cat(r_addr, spare), _BLOCK_ADDRESS),
                **_bits("i", "DIA", data, _HALF),
                # Only words of 36 bits use both halves; then both ports' outputs are port B's.
                **(_bits("i", "DIB", data[_HALF:], _HALF) if mode == 36 else {}),
                **_bits("o", "DOA" if mode == 36 else "DOB", output, _HALF),
                **(_bits("o", "DOB", output[_HALF:], _HALF) if mode == 36 else {}),
            )
            outputs.append(output[: len(piece)])
        m.d.comb += Value.cast(memory.r_data).eq(Cat(outputs))
        return m


def _bits(prefix: str, name: str, value: Any, width: int) -> dict[str, Any]:
    """Return the arguments of an Instance whose ports are single bits, as ECP5's are."""
    return {f"{prefix}_{name}{index}": value[index] for index in range(width)}
