"""The active inputs of layers that gather their weights: those that differ from the zero point."""

from collections.abc import Iterable, Mapping

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.program.instructions import kind_of_convs
from systolith_host.program.program import LayerProgram, Place, Program
from systolith_hw.spec.isa import Instruction

__all__ = [
    "Density",
    "check_density",
    "density_of",
    "inactive_weights",
    "input_masks",
    "parse_density",
]

Density = float | Mapping[str, float]
"""Share of the inputs of fully connected layers that are active, 0 to 1: of all of them, or by the
layer's name; of a layer without an entry all are."""


def density_of(density: Density, layer: str) -> float:
    """Return the share of a layer's inputs that are active."""
    return density.get(layer, 1.0) if isinstance(density, Mapping) else density


def parse_density(text: str) -> Density:
    """Return what a text says: a number, or ``LAYER=NUMBER`` for several layers, after commas.

    Raises
    ------
    SystolithError
        If it says neither, or a number is not within 0 to 1.
    """
    named = "=" in text
    found: dict[str, float] = {}
    for part in text.split(",") if named else [text]:
        name, _, number = part.strip().rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = -1.0
        if bool(name) != named or not 0 <= found[name] <= 1:
            raise SystolithError(
                f"--density must be a number from 0 to 1, as 0.108, or one for each of some "
                f"layers, as fc6=0.108,fc7=0.25, not {text!r}"
            )
    return found if named else found[""]


def check_density(density: Density, layers: Mapping[str, str]) -> None:
    """Refuse densities of layers that are not there, or not fully connected.

    Parameters
    ----------
    layers : mapping of str to str
        Names of the layers, and their kinds.

    Raises
    ------
    SystolithError
        It names the layer.
    """
    known = [name for name, kind in layers.items() if kind == "fc"]
    for name in density if isinstance(density, Mapping) else ():
        if name not in known:
            there = ", ".join(known) or "none"
            raise SystolithError(
                f"--density: {name!r} is not a fully connected layer; there are {there}"
            )


def input_masks(
    program: Program,
    layer: LayerProgram,
    instructions: Iterable[Instruction],
    density: Density = 1.0,
) -> list[np.ndarray]:
    """Return, for each scan of a layer, which of its bytes are active; of a dense layer nothing.

    Parameters
    ----------
    instructions : iterable of Instruction
        The layer's.
    density : Density
        As many values are active, spread evenly; what fills up the last block of channels never
        is.

    Returns
    -------
    list of ndarray of bool, shape (bytes,)
    """
    place = program.places[layer.input]
    masks = []
    for one in instructions:
        if one.fields.get("scan"):
            active = _spread(place, density_of(density, layer.name))
            first = (one["addr"] - place.address) % place.image_bytes
            masks.append(active[first : first + one["run_words"] * one["runs"] * place.block])
    return masks


def inactive_weights(
    program: Program,
    layer: LayerProgram,
    tensors: Mapping[str, np.ndarray],
    density: Density = 1.0,
) -> tuple[int, int]:
    """Return the weights that no image of a layer needs, and the products of zeros of all images.

    Of a layer that does not gather its weights both are 0.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        Without the layer's input that many of its values are active, the same of each image.
    density : Density
    """
    if not program.config.gather or kind_of_convs(program, layer) != "gather":
        return 0, 0
    place = program.places[layer.input]
    values = place.channels * place.height * place.width
    if layer.input in tensors:
        active = (tensors[layer.input] != place.zero_point).reshape(program.batch, -1)
        counts, union = active.sum(axis=1).tolist(), int(active.any(axis=0).sum())
    else:
        union = round(density_of(density, layer.name) * values)
        counts = [union] * program.batch
    # One input always counts as active.
    outputs = program.places[layer.output].channels
    products = sum(values - max(1, count) for count in counts)
    return (values - max(1, union)) * outputs, products * outputs


def _spread(place: Place, density: float) -> np.ndarray:
    """Return a mask of the bytes of a tensor that is blocked by channel, bool of shape (bytes,)."""
    shape = (place.blocks, place.height * place.width, place.block)
    channels = np.arange(place.blocks * place.block).reshape(place.blocks, 1, place.block)
    values = np.flatnonzero(np.broadcast_to(channels < place.channels, shape))
    count = round(density * len(values))
    mask = np.zeros(place.data_bytes, bool)
    # The middles of as many equal parts.
    mask[values[(2 * np.arange(count) + 1) * len(values) // max(1, 2 * count)]] = True
    return mask
