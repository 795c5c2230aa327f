"""The graph of an ONNX file: whether it is one, and what its outputs need of it."""

import math
from pathlib import Path

import onnx

from systolith_host.errors import SystolithError

__all__ = ["check_structure", "drop_unused", "keep_sides", "reads"]


def reads(node: onnx.NodeProto) -> list[str]:
    """Return the tensors that a node reads, those that its subgraphs take from around it too."""
    found = [name for name in node.input if name]
    for entry in node.attribute:
        for graph in (entry.g, *entry.graphs) if entry.type in _GRAPHS else ():
            inside = {value.name for value in (*graph.input, *graph.initializer)}
            for child in graph.node:
                found += [name for name in reads(child) if name not in inside]
                inside.update(child.output)
            found += [value.name for value in graph.output if value.name not in inside]
    return list(dict.fromkeys(found))


_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def keep_sides(node: onnx.NodeProto, size: int, inferred: dict[str, tuple[int, ...]]) -> None:
    """Let a node's output of so many values have the sides of 1 of an input, if onnx knows none."""
    found = (inferred[name] for name in node.input if name in inferred)
    known = max(found, key=len, default=None)
    if known is not None and math.prod(known) == size:
        inferred.setdefault(node.output[0], known)


def check_structure(path: Path, graph: onnx.GraphProto) -> None:
    """Refuse a file that is no directed graph: missing tensors, cycles, tensors made twice.

    Raises
    ------
    SystolithError
        That names the tensor.
    """
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    makers: dict[str, str] = {}
    for number, node in enumerate(graph.node):
        title = node.name or f"node {number} ({node.op_type})"
        for name in node.output:
            if name and (name in makers or name in known):
                raise SystolithError(f"{path}: tensor {name!r} is made more than once ({title})")
            makers[name] = title
    done = set(known)
    for number, node in enumerate(graph.node):
        title = node.name or f"node {number} ({node.op_type})"
        for name in node.input:
            if name and name not in done:
                reason = (
                    "is used before it is made: the graph has a cycle or is out of order"
                    if name in makers
                    else "is made by no node: the graph is not connected"
                )
                raise SystolithError(f"{path}: {title}: tensor {name!r} {reason}")
        done.update(node.output)
    for value in graph.output:
        if value.name not in done:
            raise SystolithError(f"{path}: output {value.name!r} is made by no node")


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the nodes and inputs that no output depends on."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output) - {""}:
            kept.append(node)
            needed.update(reads(node))
    if len(kept) < len(graph.node):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
        del graph.node[:]
        graph.node.extend(nodes)
    for value in [value for value in graph.input if value.name not in needed]:
        graph.input.remove(value)
