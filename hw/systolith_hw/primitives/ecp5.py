"""Lattice ECP5 as a platform: handed to ``elaborate``, it turns primitives into the part's own."""

from dataclasses import dataclass
from typing import Any

__all__ = ["SIZES", "Ecp5", "bits", "dsp_sites"]

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

    def site(self, row: int, col: int, *, rows: int, cols: int) -> str | None:
        """Return the site of an array's multiplier, or None where the tools shall choose.

        Four rows of a column share a block; the next four stand in the next row of blocks.
        """
        if not self.floorplan or not self.fits(rows, cols):
            return None
        block_row, place = divmod(row, len(_OFFSETS))
        return dsp_sites(self.size)[block_row][col][place]


def bits(prefix: str, name: str, value: Any, width: int) -> dict[str, Any]:
    """Return the arguments of an Instance whose ports are single bits, as ECP5's are."""
    return {f"{prefix}_{name}{index}": value[index] for index in range(width)}
