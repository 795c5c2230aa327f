"""Triage of a layer that differs from the golden model: which value, tile and instruction is first.

A program says for each byte of a tensor which STORE writes it, and for each STORE which CONVs made
the sums that it drains. So outputs alone lead to the instructions that are to be looked at.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from systolith_host.program.instructions import layer_instructions
from systolith_host.program.program import LayerProgram, Place, Program
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Instruction, Opcode
from systolith_sim.emulator.access import walk

__all__ = ["Span", "Tile", "Triage", "find_first_wrong", "feeding_convs"]

Span = tuple[int, int]
"""The first and the last of a range of images, channels, rows or columns."""


@dataclass(frozen=True)
class Tile:
    """The values that a STORE writes.

    Parameters
    ----------
    instruction : int
        The STORE's number among all instructions of the layer, from 0.
    store : int
        Its number among the layer's STOREs, from 0.
    images, channels, rows, columns : (int, int)
        First and last, of the output tensor.
    convs : tuple of int
        Numbers of the CONVs that made its sums, in their order.
    """

    instruction: int
    store: int
    images: Span
    channels: Span
    rows: Span
    columns: Span
    convs: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        spans = {name: list(getattr(self, name)) for name in _AXES}
        numbers = {"instruction": self.instruction, "store": self.store}
        return {**numbers, **spans, "convs": list(self.convs)}


_AXES = ("images", "channels", "rows", "columns")


@dataclass(frozen=True)
class Triage:
    """The first wrong value of a layer: first by the STORE that wrote it, then by its address.

    Parameters
    ----------
    layer : str
    differing, values : int
        Values of the output that differ, and all.
    image, channel, row, column : int
        Where the first one is in the output tensor.
    found, wanted : int
        What it is, and what it is in the golden model.
    wrong_tiles, tiles : int
        STOREs that wrote a wrong value, and all.
    tile : Tile, optional
        Of the STORE that wrote it; None if no STORE of the layer writes there.
    """

    layer: str
    differing: int
    values: int
    image: int
    channel: int
    row: int
    column: int
    found: int
    wanted: int
    wrong_tiles: int
    tiles: int
    tile: Tile | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        made = dict(vars(self))
        return {**made, "tile": None if self.tile is None else self.tile.to_dict()}


def find_first_wrong(
    program: Program, layer: LayerProgram, found: np.ndarray, wanted: np.ndarray
) -> Triage | None:
    """Return the first wrong value of a layer's output, or None if all are right.

    Parameters
    ----------
    program : Program
    layer : LayerProgram
        One of its layers.
    found, wanted : ndarray, shape (N, K, P, Q)
        The output by the device, and by the golden model.
    """
    wrong = np.argwhere(found != wanted)
    if not len(wrong):
        return None
    place = program.places[layer.output]
    offsets = _offsets(place)
    instructions = layer_instructions(program, layer)
    owners = _owners(instructions, place)[offsets]
    stores = [number for number, one in enumerate(instructions) if one.opcode is Opcode.STORE]
    where = tuple(wrong.T)
    writers = owners[where]
    # Values that no STORE writes come last.
    order = np.lexsort((offsets[where], np.where(writers < 0, len(instructions), writers)))
    first, writer = tuple(map(int, wrong[order[0]])), int(writers[order[0]])
    tile = None
    if writer >= 0:
        held = np.argwhere(owners == writer)
        spans = {
            name: (int(axis.min()), int(axis.max()))
            for name, axis in zip(_AXES, held.T, strict=True)
        }
        convs = feeding_convs(instructions, writer, program.config)
        tile = Tile(writer, stores.index(writer), **spans, convs=convs)
    return Triage(
        layer.name,
        len(wrong),
        int(wanted.size),
        *first,
        found=int(found[first]),
        wanted=int(wanted[first]),
        wrong_tiles=len(np.unique(writers[writers >= 0])),
        tiles=len(stores),
        tile=tile,
    )


def feeding_convs(
    instructions: Sequence[Instruction], store: int, config: AcceleratorConfig
) -> tuple[int, ...]:
    """Return the numbers of the CONVs whose sums a STORE drains, in their order.

    Parameters
    ----------
    instructions : sequence of Instruction
        Of a layer.
    store : int
        Number of the STORE.
    config : AcceleratorConfig
    """
    wanted = np.zeros(1 << 16, bool)
    wanted[_drained_sums(instructions[store], config)] = True
    bank = instructions[store]["bank"]
    found: list[int] = []
    for number in range(store - 1, -1, -1):
        one = instructions[number]
        if one.opcode is not Opcode.CONV or one["bank"] != bank:
            continue
        made = slice(one["acc_base"], one["acc_base"] + _pixels(one))
        if wanted[made].any():
            found.append(number)
            if one["clear"]:  # earlier sums in these places belong to another tile
                wanted[made] = False
                if not wanted.any():
                    break
    return tuple(reversed(found))


def _pixels(conv: Instruction) -> int:
    """Return the sums that a CONV makes, in places one after the other."""
    if conv["gather"]:
        return conv["s_count"]
    levels = "xynsr" if conv["winograd"] else "xyn"
    return math.prod(conv[f"{level}_count"] for level in levels)


def _drained_sums(store: Instruction, config: AcceleratorConfig) -> np.ndarray:
    """Return the places of the sums that a STORE drains."""
    if store["stacked"]:
        return store["acc_base"] + np.arange(-(-store["blocks"] * config.block // config.cols))
    names = ("dx", "dy", "x", "y", "n")
    levels = [(store[f"{name}_count"], store[f"{name}_step"]) for name in names]
    windows = walk(store["acc_base"], levels[2:], 16).reshape(-1, 1)
    return np.unique((windows + walk(0, levels[:2], 16).reshape(-1)) & 0xFFFF)


def _offsets(place: Place) -> np.ndarray:
    """Return where each value stands in a tensor's memory, in bytes; of the tensor's shape."""
    image, channel, row, column = np.ogrid[tuple(map(slice, place.shape))]
    if place.pixel_bytes:
        return (
            image * place.image_bytes
            + row * place.row_bytes
            + (column * place.pixel_bytes + channel)
        )
    block, lane = np.divmod(channel, place.block)
    return (
        image * place.image_bytes
        + block * place.plane_bytes
        + row * place.row_bytes
        + column * place.pixel_step
        + lane
    )


def _owners(instructions: Sequence[Instruction], place: Place) -> np.ndarray:
    """Return the number of the last STORE that writes each byte of a tensor's memory, or -1."""
    owners = np.full(place.size, -1, np.int32)
    for number, one in enumerate(instructions):
        if one.opcode is not Opcode.STORE:
            continue
        planes = np.arange(one["planes"]) * one["plane_pitch"]
        runs = np.arange(one["runs"]) * one["run_pitch"]
        first = one["addr"] - place.address
        starts = (first + planes[:, None] + runs).reshape(-1, 1)
        owners[(starts + np.arange(one["run_words"] * place.block)).reshape(-1)] = number
    return owners
