"""A network from an ONNX file, and all that is known of the file."""

from dataclasses import dataclass, field

from systolith_host.frontend.form import Form
from systolith_host.frontend.layout import Layout
from systolith_host.frontend.problems import Problem
from systolith_host.frontend.row import Row
from systolith_host.frontend.whole import Whole
from systolith_host.network.graph import Graph, LayerWeights, node_macs
from systolith_host.network.scales import ActivationScale
from systolith_host.program.part import HostEnd

__all__ = ["OnnxModel"]


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A network from an ONNX file.

    Parameters
    ----------
    graph : Graph
    weights : dict of str to LayerWeights
    epilogue : tuple of str
        Operators at the end that the host computes: softmax and the like change no ranking.
    scales : dict of str to ActivationScale
        Of the tensors of a network that was quantised before; empty if it was not.
    integers : dict of str to str
        ONNX's names of those tensors' integers.
    names : dict of str to str
        ONNX's names of tensors of the graph, as far as they are the file's own.
    layouts : dict of str to Layout
        Of ONNX's tensors whose axes have another order than this network's; the input's own, if
        the file wants its images as (N, height, width, channels).
    outputs : dict of str to str
        By ONNX's names of the outputs, the graph's; several may be the same tensor here. Where the
        host makes an output of several tensors, those stand here instead.
    files : tuple of str
        ONNX's names of the file's own outputs, in their order.
    end : HostEnd, optional
        What the host makes of the graph's outputs, where it makes some of the file's.
    form : Form
        What the file tells of the images that it wants.
    form_source : str
        What in it tells that, in words; empty where nothing does.
    hosted : tuple of Problem
        The nodes that the host computes, and why the array does not.
    whole : Whole, optional
        What the input's integers stand for, if the file takes those.
    row : Row, optional
        Where the file has several inputs, or integers for the host: the network's one input is a
        row of all of them.
    """

    graph: Graph
    weights: dict[str, LayerWeights]
    epilogue: tuple[str, ...]
    scales: dict[str, ActivationScale]
    integers: dict[str, str]
    names: dict[str, str]
    layouts: dict[str, Layout]
    outputs: dict[str, str]
    files: tuple[str, ...]
    end: HostEnd | None = None
    form: Form = field(default_factory=Form)
    form_source: str = ""
    hosted: tuple[Problem, ...] = ()
    whole: Whole | None = None
    row: Row | None = None

    @property
    def channels_last(self) -> bool:
        """Whether the file wants its images that way; the network always has channels first."""
        return self.row.channels_last if self.row else self.graph.input in self.layouts

    @property
    def ends(self) -> tuple[str, ...]:
        """ONNX's names of the outputs that the host makes of the network's."""
        return self.end.outputs if self.end is not None else ()

    @property
    def summary(self) -> str:
        """The network in one line."""
        kinds: dict[str, int] = {}
        for node in self.graph.nodes:
            kind = type(node).__name__
            kinds[kind] = kinds.get(kind, 0) + 1
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        shape = "x".join(map(str, self.graph.shapes[self.graph.input]))
        macs = sum(node_macs(self.graph, node) for node in self.graph.nodes)
        ends = f"; the host ends with {', '.join(self.epilogue)}" if self.epilogue else ""
        ends += f"; {len(self.outputs)} outputs" if len(self.outputs) > 1 else ""
        shape = f"input {shape}" if self.row is None else f"inputs {self.row}"
        return f"{shape}, {macs / 1e6:,.1f} million multiply-accumulates: {counts}{ends}"
