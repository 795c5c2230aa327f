"""The check that a program file matches the request."""

from pathlib import Path

from systolith_host.errors import SystolithError
from systolith_host.network.qgraph import QConcat, QGraph, QHost, QMosaic, QTake
from systolith_host.program.program import Program
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["check_network", "check_program"]


def check_program(
    program: Program, path: Path, qgraph_name: str, batch: int, config: AcceleratorConfig | None
) -> None:
    """Refuse a program file that was made for another request.

    Raises
    ------
    SystolithError
        If network, batch or configuration differ.
    """
    if program.network != qgraph_name:
        raise SystolithError(f"{path}: is a program of {program.network}, not {qgraph_name}")
    if program.batch != batch:
        raise SystolithError(
            f"{path}: is a program for a batch of {program.batch}; run it with "
            f"--batch {program.batch}"
        )
    if config is not None and config.fingerprint != program.config.fingerprint:
        raise SystolithError(
            f"{path}: was compiled for configuration {program.config.name} "
            f"({program.config.fingerprint:016x}), not for {config.name} "
            f"({config.fingerprint:016x}); compile it again"
        )


def check_network(program: Program, path: Path, qgraph: QGraph) -> None:
    """Refuse a program file whose tensors and layers are not those of the network it is run for.

    Raises
    ------
    SystolithError
        If shapes, types or layers differ.
    """
    wrong = f"{path}: does not fit {qgraph.name}"
    for name, place in program.places.items():
        tensor = qgraph.tensors.get(name)
        if tensor is None:
            raise SystolithError(f"{wrong}, which has no tensor {name}")
        if (place.shape[1:], place.unsigned) != (tensor.shape, tensor.unsigned):
            raise SystolithError(
                f"{wrong}: tensor {name} is {place.dtype} of {place.shape[1:]}, there "
                f"{'uint8' if tensor.unsigned else 'int8'} of {tensor.shape}"
            )
    if (program.input, program.output) != (qgraph.input, qgraph.output):
        raise SystolithError(f"{wrong}: its input or output is another tensor")
    covered = [name for layer in program.layers for name in layer.covers]
    there = {layer.name for layer in qgraph.layers if not isinstance(layer, QHost)}
    # Concatenations, mosaics and parts of tensors take no work where they are ranges of memory.
    least = there - {
        layer.name for layer in qgraph.layers if isinstance(layer, QConcat | QMosaic | QTake)
    }
    parts = [(layer.name, layer.output) for layer in qgraph.layers if isinstance(layer, QHost)]
    if [(step.name, step.output) for step in program.host] != parts:
        raise SystolithError(f"{wrong}: the host computes other parts of it")
    if not least <= set(covered) <= there or len(set(covered)) != len(covered):
        other = sorted((set(covered) - there) | (least - set(covered))) or sorted(covered)
        raise SystolithError(f"{wrong}: it computes other layers ({', '.join(other[:3])})")
    outputs = {layer.name: layer.output for layer in qgraph.layers}
    for layer in program.layers:
        if layer.output not in {outputs[name] for name in layer.covers}:
            raise SystolithError(f"{wrong}: {layer.name} makes another tensor, {layer.output}")
