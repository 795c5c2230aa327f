"""Folds a float graph into what the accelerator computes: convolutions with ReLU, and pools."""

from dataclasses import dataclass

from systolith_host.errors import SystolithError
from systolith_host.model.graph import Conv, Flatten, Graph, Linear, MaxPool, Node, Relu

__all__ = ["FoldedLayer", "fold"]


@dataclass(frozen=True)
class FoldedLayer:
    """A convolution, linear layer or pool, with the nodes around it taken in.

    Parameters
    ----------
    node : Conv, Linear or MaxPool
    relu : bool
        Whether a ReLU follows.
    input : str
        Tensor that it reads: the output of another folded layer, or the network's input.
    output : str
        Tensor that it makes; the ReLU's if there is one.
    """

    node: Conv | Linear | MaxPool
    relu: bool
    input: str
    output: str


def fold(graph: Graph) -> tuple[FoldedLayer, ...]:
    """Return the layers in order, each ReLU in its convolution and each flattening in its input.

    Needs a graph in order; guarantees that every layer's input is the network's input or an
    earlier layer's output.

    Raises
    ------
    SystolithError
        If a ReLU does not follow a convolution or linear layer, or a tensor that would disappear
        is used elsewhere too.
    """
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    stands_for: dict[str, str] = {graph.input: graph.input}
    layers: list[FoldedLayer] = []
    for node in graph.nodes:
        if isinstance(node, Flatten):
            stands_for[node.output] = stands_for[node.input]
        elif isinstance(node, Conv | Linear | MaxPool):
            layers.append(FoldedLayer(node, False, stands_for[node.input], node.output))
            stands_for[node.output] = node.output
        elif isinstance(node, Relu):
            last = layers[-1] if layers else None
            if last is None or last.output != node.input or isinstance(last.node, MaxPool):
                raise SystolithError(f"{node.name}: a ReLU must follow a convolution or linear")
            if len(users[node.input]) > 1 or node.input == graph.output:
                raise SystolithError(
                    f"{node.name}: {node.input} must not be used beside its ReLU as well"
                )
            layers[-1] = FoldedLayer(last.node, True, last.input, node.output)
            stands_for[node.output] = node.output
        else:
            raise SystolithError(f"{node.name}: {type(node).__name__} is not supported")
    return tuple(layers)
