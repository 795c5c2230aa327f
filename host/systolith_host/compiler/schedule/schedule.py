"""The schedule of a layer: how it is cut into tiles and in which order they run."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["TRAFFIC_WEIGHT", "LayerSchedule", "Weights"]

TRAFFIC_WEIGHT = 0.1
"""Share of its transfer time that traffic costs even where it hides behind the array."""

Weights = Literal["layer", "tile", "stream"]
"""Lifetime of weights: all stay for the whole layer; those of an output block stay while it goes
over an input tile; or each stays for one CONV only."""


@dataclass(frozen=True)
class LayerSchedule:
    """How a layer runs.

    An input tile (all channels of a region, with halo) stands in the activation buffer; for each
    block of ``cols`` output channels, each of its `stack` accumulator tiles goes through the input
    channels chunk by chunk, one CONV each, and is drained by a STORE.

    Parameters
    ----------
    name : str
    linear : bool
        A fully connected layer: its passes are one long row, its pixels are images. With a
        `stack`, the sums of so many output blocks stand side by side in the accumulators, and each
        chunk of the inputs serves all of them before the next one is loaded.
    images : int
        Images of a tile.
    rows, columns : int
        Outputs of an accumulator tile, windows applied.
    stack : int
        Accumulator tiles, one below the other, of an input tile; output blocks, if `linear`.
    chunk_blocks : int
        Blocks of input channels of a CONV; passes if `linear`; 0 if less than one block.
    chunk_taps : int
        Passes of a CONV if `chunk_blocks` is 0.
    resident : bool
        The input tile stays for all output blocks; else its chunks are loaded for each of them.
    weights : Weights
    pixels : int
        Accumulators of a whole tile: one for each sum, or for each lane of a patch.
    compute_cycles : int
        Cycles that the array needs for all passes.
    read_bytes, write_bytes : int
        Traffic of the layer, instructions excluded.
    estimate : float
        Cycles: of the schedules that the compiler returns by the simulation of the engines, of
        candidates by a rough model.
    winograd : bool
        Winograd's convolution gives the sums: a tile is a rectangle of patches.
    units : int
        Units of the ring of a layer that gathers its weights, else 0. `pixels` are then the blocks
        of output channels of a slice, and all `images` run one after the other.
    group_blocks : int
        Blocks of input channels that are loaded together if `linear`, 0 for all of them.
    """

    name: str
    linear: bool
    images: int
    rows: int
    columns: int
    stack: int
    chunk_blocks: int
    chunk_taps: int
    resident: bool
    weights: Weights
    pixels: int
    compute_cycles: int
    read_bytes: int
    write_bytes: int
    estimate: float
    winograd: bool = False
    units: int = 0
    group_blocks: int = 0
