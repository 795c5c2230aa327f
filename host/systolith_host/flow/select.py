"""The choice of a program's layers that run."""

from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram, Program

__all__ = ["select_layers"]


def select_layers(program: Program, text: str | None) -> tuple[LayerProgram, ...]:
    """Return the layers that a text like ``conv1_1,conv3_1..conv4_2`` names, in order.

    A fused pool stands for its convolution.

    Raises
    ------
    SystolithError
        If there is no layer of a name, or a range runs backwards.
    """
    if text is None:
        return program.layers
    index = {name: i for i, layer in enumerate(program.layers) for name in layer.covers}
    index |= {layer.name: i for i, layer in enumerate(program.layers)}
    chosen: set[int] = set()
    for part in text.split(","):
        ends = [end.strip() for end in part.split("..")]
        for end in ends:
            if end not in index:
                raise SystolithError(
                    f"--layers: {program.network} has no layer {end!r}; it has "
                    f"{', '.join(layer.name for layer in program.layers)}"
                )
        if len(ends) > 2:
            raise SystolithError(f"--layers: a range must be first..last, not {part.strip()!r}")
        first, last = index[ends[0]], index[ends[-1]]
        if first > last:
            raise SystolithError(f"--layers: {ends[0]} comes after {ends[-1]}; swap them")
        chosen.update(range(first, last + 1))
    return tuple(program.layers[i] for i in sorted(chosen))
