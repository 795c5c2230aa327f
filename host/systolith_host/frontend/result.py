"""What a reader has found, when it has read every node: outputs, names and the network."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from systolith_host.frontend.host_model import host_end, host_part
from systolith_host.frontend.problems import Problem
from systolith_host.frontend.reader import Reader
from systolith_host.network.graph import Flatten, Graph, Host, Node
from systolith_host.program.part import HostEnd

__all__ = ["build", "end_of", "finish", "own_names"]


def finish(reader: Reader, outputs: Sequence[str]) -> None:
    """Note the network's outputs."""
    for output in outputs:
        if reader.hosted is not None and reader.hosted.holds(reader, output):
            row = {reader.input} if reader.hosted.front else set()
            made_of = [cut for cut in reader.hosted.cuts(reader, output) if cut not in row]
            alone = len(made_of) == 1
            reader.epilogue += [n.op_type for n in reader.hosted.own(reader, [output])]
            reader.outputs |= {output if alone else cut: reader.alias[cut] for cut in made_of}
        elif output in reader.padded:
            reason = f"is padded by {reader.padded[output].node}; padding needs a layer behind it"
            reader.problems.append(Problem(output, "output", reason))
        elif output in reader.factored:
            reason = "has channels in several axes; reshape them to an image again"
            reader.problems.append(Problem(output, "output", reason))
        elif output in reader.alias:
            reader.outputs[output] = reader.alias[output]
        elif not reader.problems:
            reader.problems.append(Problem(output, "output", "does not depend on the input"))
    if not reader.outputs and not reader.problems:  # the host makes all of them of the row
        reader.outputs[reader.input] = reader.input


def end_of(reader: Reader, outputs: Sequence[str]) -> HostEnd | None:
    """Return what the host makes behind the last layers; None if all outputs are the array's."""
    hosted = reader.hosted
    ends = [] if hosted is None else [name for name in outputs if hosted.holds(reader, name)]
    return host_end(reader, hosted, ends) if hosted is not None and ends else None


def own_names(reader: Reader, own: Collection[str]) -> dict[str, str]:
    """Return ONNX's name of each tensor's values, where it has one among a file's own names.

    A layer that took in what follows it has the values of the last of its names.
    """
    hidden = reader.ended.keys() | reader.padded.keys() | reader.factored.keys()
    found = {t: name for name, t in reader.alias.items() if name in own and name not in hidden}
    for node in reader.nodes:  # the values of a vector are those of its image
        if isinstance(node, Flatten) and node.input in found:
            found.setdefault(node.output, found[node.input])
    return found


def build(reader: Reader) -> Graph:
    """Return the network, without nodes that its outputs do not need."""
    needed = set(reader.outputs.values())
    nodes: list[Node] = []
    for node in reversed(reader.nodes):
        if node.output in needed:
            if isinstance(node, Host) and reader.hosted is not None:
                node = replace(node, part=host_part(reader, reader.hosted, node.output))
            nodes.append(node)
            needed.update(node.inputs)
    nodes.reverse()
    shapes = {name: shape for name, shape in reader.shapes.items() if name in needed}
    first, *more = dict.fromkeys(reader.outputs.values())
    graph = Graph(reader.name, shapes, tuple(nodes), reader.input, first, tuple(more))
    users = [node for node in nodes if reader.input in node.inputs]
    alone = all(isinstance(node, Host) for node in users) and reader.input not in graph.outputs
    return replace(graph, real=alone and reader.input not in reader.scales)
