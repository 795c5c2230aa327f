"""Refuses quantised files where a tensor is used in a wider range than its QuantizeLinear's."""

from collections.abc import Iterable

import onnx

from systolith_host.frontend.problems import Problem
from systolith_host.frontend.reader import Reader
from systolith_host.network.graph import Add, AveragePool, Clip, Concat, MaxPool, Mosaic, Relu, Take
from systolith_host.network.scales import ActivationScale

__all__ = ["narrowed", "never_negative"]


def narrowed(
    nodes: Iterable[onnx.NodeProto], outputs: Iterable[str], reader: Reader
) -> list[Problem]:
    """Return the nodes whose input a quantisation on another branch would clip.

    On the accelerator a tensor has one scale, that of its first QuantizeLinear. Another node that
    takes the tensor itself sees it rounded, too, which is as good as any rounding. But behind the
    range of a ReLU it would see no negative value, and another QuantizeLinear would see nothing
    beyond the first one's range.

    Parameters
    ----------
    nodes : iterable of NodeProto
        All of the file, in order.
    outputs : iterable of str
        The file's.
    reader : Reader
        That has read them.
    """
    problems = []
    behind: set[str] = set()
    """ONNX's names of quantised tensors."""
    for node in nodes:
        name = node.output[0]
        if name not in reader.alias:
            continue
        made = reader.root(reader.alias[name])
        reason = None
        for source in node.input:
            if source not in reader.alias:
                continue
            root = reader.root(reader.alias[source])
            if source in behind:
                if made == root:
                    behind.add(name)
            elif node.op_type == "QuantizeLinear" and made != root:
                if made in reader.scales:  # not that of one that cannot run
                    reason = _cut(reader, root, reader.scales[made])
            elif made != root and _loses_sign(reader, root):
                reason = "takes a tensor that is quantised behind a ReLU in another branch"
        if node.op_type == "QuantizeLinear" or reader.integers.get(made) == name:
            behind.add(name)
        if reason:
            problems.append(Problem(node.name or name, node.op_type, f"{reason}; {_WAY_OUT}"))
    for name in outputs:
        if name in reader.alias and name not in behind:
            if _loses_sign(reader, reader.root(reader.alias[name])):
                problems.append(Problem(name, "output", f"has a ReLU in its scale; {_WAY_OUT}"))
    return problems


_WAY_OUT = "quantise the tensor once, in its whole range, for all that use it"


def _cut(reader: Reader, root: str, wanted: ActivationScale) -> str | None:
    """Return what is wrong with quantising a tensor in some range after its first scale."""
    first = reader.scales[root]
    low, high = ((end - first.zero_point) * first.scale for end in (first.low, first.high))
    least = (wanted.low - wanted.zero_point) * wanted.scale
    most = (wanted.high - wanted.zero_point) * wanted.scale
    if not _may_be_negative(reader, root):
        least = 0.0
    if low <= least + wanted.scale and high >= most - wanted.scale:
        return None
    return (
        f"quantises {root} from {least:.3g} to {most:.3g}, which another node quantises from "
        f"{low:.3g} to {high:.3g}"
    )


def _loses_sign(reader: Reader, root: str) -> bool:
    scale = reader.scales.get(root)
    return scale is not None and scale.zero_point == scale.low and _may_be_negative(reader, root)


def _may_be_negative(reader: Reader, root: str) -> bool:
    """Return whether a tensor may hold negative values before it is quantised."""
    node = next((node for node in reader.nodes if node.output == root), None)
    if isinstance(node, Relu):
        return False
    if isinstance(node, Clip):
        return node.low < 0
    if isinstance(node, MaxPool | AveragePool | Concat | Mosaic | Add | Take):
        return not all(never_negative(reader, name) for name in node.inputs)
    return True


def never_negative(reader: Reader, tensor: str) -> bool:
    """Return whether a tensor holds nothing below 0, as far as can be told."""
    found = {name for name, scale in reader.scales.items() if scale.zero_point == scale.low}
    for node in reader.nodes:
        passes = isinstance(node, MaxPool | AveragePool | Concat | Mosaic | Add | Take)
        if (
            isinstance(node, Relu)
            or (isinstance(node, Clip) and node.low >= 0)
            or (passes and found.issuperset(node.inputs))
        ):
            found.add(node.output)
    return tensor in found
