"""Reads ONNX files: checks them, folds constants, and lists all that is not supported at once."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from systolith_host.errors import SystolithError
from systolith_host.frontend.absorb import absorb
from systolith_host.frontend.entry import input_shape, wants_channels_last
from systolith_host.frontend.forks import narrowed
from systolith_host.frontend.form import Form
from systolith_host.frontend.functions import FUNCTIONS, final_sigmoids, tabulate
from systolith_host.frontend.host import end
from systolith_host.frontend.hosted import WEIGHTED, Hosted
from systolith_host.frontend.inference import infer
from systolith_host.frontend.integer_input import FLOATS, take_integers
from systolith_host.frontend.layout import CHANNELS_LAST, Layout
from systolith_host.frontend.loading import OnnxFile, one_line, open_onnx
from systolith_host.frontend.operators import OPERATORS
from systolith_host.frontend.opsets import READ, opset_version
from systolith_host.frontend.pixels import told_form
from systolith_host.frontend.problems import Problem
from systolith_host.frontend.quantized import QUANTIZED
from systolith_host.frontend.reader import Reader
from systolith_host.frontend.result import build, end_of, finish, own_names
from systolith_host.frontend.whole import Whole
from systolith_host.network.fold import fold
from systolith_host.network.graph import (
    Conv,
    Flatten,
    Graph,
    Host,
    LayerWeights,
    Linear,
    MaxPool,
    Take,
    node_macs,
)
from systolith_host.network.scales import ActivationScale
from systolith_host.program.part import HostEnd

__all__ = ["OnnxModel", "Problem", "inspect_onnx", "read_onnx"]

HANDLERS = OPERATORS | QUANTIZED

_NAMED = 8
"""Nodes that an error names; the command `check` names all."""

_UNSCALED = "is not quantised while other layers are; quantise all of them, or none"


@dataclasses.dataclass(frozen=True, eq=False)
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
    form: Form = dataclasses.field(default_factory=Form)
    form_source: str = ""
    hosted: tuple[Problem, ...] = ()
    whole: Whole | None = None

    @property
    def channels_last(self) -> bool:
        """Whether the file wants its images that way; the network always has channels first."""
        return self.graph.input in self.layouts

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
        return f"input {shape}, {macs / 1e6:,.1f} million multiply-accumulates: {counts}{ends}"


def read_onnx(
    path: Path,
    size: Sequence[int] | None = None,
    *,
    host_nodes: bool = False,
    functions: bool = False,
) -> OnnxModel:
    """Read a network.

    Parameters
    ----------
    path : Path
    size : sequence of int, optional
        Of the input for one image, in the file's order of axes; the file's own if not given.
    host_nodes : bool
        Whether the host may compute the nodes that the array cannot.
    functions : bool
        Whether the array has tables, for functions of one number.

    Raises
    ------
    SystolithError
        If the file is damaged or has something that is not supported; the message has all of it.
    """
    model, problems = inspect_onnx(path, size, host_nodes=host_nodes, functions=functions)
    if model is None:
        listed = "; ".join(map(str, problems[:_NAMED]))
        count = len(problems)
        many = f"{count} of its nodes cannot run: " if count > 1 else ""
        rest = f"; and {count - _NAMED} more: `systolith check` lists all" * (count > _NAMED)
        raise SystolithError(f"{path}: {many}{listed}{rest}")
    return model


def inspect_onnx(
    path: Path,
    size: Sequence[int] | None = None,
    *,
    host_nodes: bool = False,
    functions: bool = False,
) -> tuple[OnnxModel | None, tuple[Problem, ...]]:
    """Read a network, or return every node that stands in the way; parameters as of read_onnx.

    Raises
    ------
    SystolithError
        If the file cannot be read, is damaged, or is no ONNX model that can be judged.
    """
    file = open_onnx(path)
    try:
        with np.errstate(all="ignore"):  # values that overflow are found and named afterwards
            return _convert(path, file, size, host_nodes, functions)
    except SystolithError:
        raise
    except MemoryError:
        raise SystolithError(f"{path}: needs more memory than there is") from None
    except Exception as error:  # whatever a damaged model makes NumPy or onnx raise
        raise SystolithError(f"{path}: the model is damaged: {one_line(error)}") from None
    finally:
        file.maps.forget()


@dataclasses.dataclass(frozen=True)
class _Entry:
    """The input and the types of a file, as every reading of it begins."""

    path: Path
    file: OnnxFile
    input: str
    shape: tuple[int, ...]
    last: bool
    shapes: Mapping[str, tuple[int, ...]]
    kinds: Mapping[str, int]
    functions: bool
    whole: Whole | None

    def reader(self, forced: Mapping[int, str] | None) -> Reader:
        """Return a reader of the file; the host takes nothing if `forced` is None."""
        proto = self.file.proto
        shape = (self.shape[2], *self.shape[:2]) if self.last else self.shape
        reader = Reader(
            self.path.stem,
            self.input,
            shape,
            dict(self.file.constants),
            dict(self.shapes),
            HANDLERS | FUNCTIONS if self.functions else HANDLERS,
            opset_version(proto) or READ,
            None if forced is None else Hosted(proto, self.kinds, forced),
        )
        reader.final = final_sigmoids(proto.graph) if self.functions else frozenset()
        if self.last:
            reader.layouts[reader.input] = CHANNELS_LAST
        return reader


def _convert(
    path: Path, file: OnnxFile, size: Sequence[int] | None, host_nodes: bool, functions: bool
) -> tuple[OnnxModel | None, tuple[Problem, ...]]:
    graph, constants = file.proto.graph, file.constants
    inputs = [value for value in graph.input if value.name not in constants]
    if not inputs:
        raise SystolithError(f"{path}: its output does not depend on the input")
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs)
        raise SystolithError(f"{path}: a network must have one input, not {names}")
    whole = None
    if inputs[0].type.tensor_type.elem_type not in FLOATS:
        whole = take_integers(graph, inputs[0], constants)
    shape = input_shape(path, inputs[0], size)
    last = wants_channels_last(graph, inputs[0].name, shape, constants)
    shapes, kinds = infer(path, file.proto, inputs[0].name, shape)
    entry = _Entry(path, file, inputs[0].name, shape, last, shapes, kinds, functions, whole)
    if not host_nodes:
        model, problems = _read(entry, entry.reader(None))
        if model is None or not model.epilogue:
            return model, problems
        whole, _ = _read_with_host(entry)  # its end is the same, and it can be computed
        if whole is None or whole.graph.outputs != model.graph.outputs:
            return model, problems
        return dataclasses.replace(model, end=whole.end), problems
    return _read_with_host(entry)


def _read_with_host(entry: _Entry) -> tuple[OnnxModel | None, tuple[Problem, ...]]:
    """Read a file until the host has all that the array cannot, or should not, compute."""
    nodes = entry.file.proto.graph.node
    forced: dict[int, str] = {}
    while True:
        reader = entry.reader(forced)
        model, problems = _read(entry, reader)
        more = _more_for_host(reader, nodes, problems)
        if not more - forced.keys():
            return model, problems
        forced |= {number: more[number] for number in more - forced.keys()}


def _more_for_host(
    reader: Reader, nodes: Sequence[onnx.NodeProto], problems: Sequence[Problem]
) -> dict[int, str]:
    """Return the numbers of the nodes that the host should take, too, and why."""
    hosted = reader.hosted
    assert hosted is not None
    if hosted.hopeless:
        return {}
    more = {
        hosted.numbers[problem.name]: problem.reason
        for problem in problems
        if problem.name in hosted.numbers and hosted.numbers[problem.name] not in hosted.refused
    }
    if not reader.scales:
        last = hosted.leading_nowhere(reader, nodes)
        more |= dict.fromkeys(last, "joins what the host has, and no layer follows")
    return more


def _read(entry: _Entry, reader: Reader) -> tuple[OnnxModel | None, tuple[Problem, ...]]:
    """Return the file's network, or the problems that are in its way."""
    file, nodes = entry.file, entry.file.proto.graph.node
    outputs = tuple(value.name for value in entry.file.proto.graph.output)
    for node in nodes:
        reader.read(node)
    finish(reader, outputs)
    reader.problems += narrowed(nodes, outputs, reader)
    refused = _refused(reader, nodes) if reader.hosted is not None else ()
    if reader.problems:
        return None, tuple(reader.problems)
    if refused and not any(isinstance(node, Conv | Linear) for node in build(reader).nodes):
        return None, _no_layer(refused)
    if all(isinstance(node, Flatten) for node in build(reader).nodes):
        return None, (Problem(outputs[0], "output", "is the input as it is: there is no layer"),)
    network, problems = tabulate(build(reader), reader.weights, reader.scales)
    if problems:
        return None, tuple(problems)
    network, values, problems = absorb(network, reader.weights, reader.scales)
    if reader.scales and not problems:
        problems = _inherit_scales(network, reader.scales)
    if problems:
        return None, tuple(problems)
    weights = {node.name: values[node.name] for node in network.weighted}
    own = file.tensors | {reader.input}
    form, source = Form(), ""
    if len(network.shapes[network.input]) == 3:
        form, source = told_form(file.metadata, reader.scales.get(network.input), entry.whole)
    names = own_names(reader, own)
    integers = dict(reader.integers)
    if entry.whole is not None and integers.get(reader.input) not in own:
        integers[reader.input] = reader.input
    return (
        OnnxModel(
            network,
            weights,
            tuple(reader.epilogue),
            reader.scales,
            integers,
            names,
            {name: reader.layouts[name] for name in own if name in reader.layouts},
            dict(reader.outputs),
            outputs,
            end_of(reader, outputs),
            form,
            source,
            refused,
            entry.whole,
        ),
        (),
    )


def _refused(reader: Reader, nodes: Sequence[onnx.NodeProto]) -> tuple[Problem, ...]:
    """Return the nodes of the host, without the end that it computes of any network."""
    hosted = reader.hosted
    assert hosted is not None
    parts = [] if reader.problems else [n for n in build(reader).nodes if isinstance(n, Host)]
    inside = {
        hosted.numbers[node.output[0]]
        for part in parts
        for node in hosted.within(reader, [part.output])
    }
    found, ended = [], set()
    for number, problem in sorted(hosted.refused.items()):
        node = nodes[number]
        given = [name for name in node.input if name not in reader.constants]
        if number not in inside and (HANDLERS.get(node.op_type) is end or ended.issuperset(given)):
            ended.update(node.output)
        else:
            found.append(problem)
    return tuple(found)


def _no_layer(refused: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return why the array has nothing to do: its own layers that the host would have to take."""
    layers = tuple(problem for problem in refused if problem.operator in WEIGHTED)
    return layers or (Problem("network", "graph", "has no convolution and no linear layer"),)


def _inherit_scales(graph: Graph, scales: dict[str, ActivationScale]) -> list[Problem]:
    """Give every layer's output a scale, or return the layers that have none."""
    missing = []
    if graph.input not in scales:
        missing.append(Problem(graph.input, "input", _UNSCALED))
    for layer in fold(graph, scales):
        if layer.steps and layer.before not in scales:
            missing.append(Problem(layer.node.name, type(layer.node).__name__, _UNSCALED))
            continue
        if layer.output in scales:
            continue
        if isinstance(layer.node, MaxPool | Take) and layer.input in scales:
            scales[layer.output] = scales[layer.input]
        else:
            missing.append(Problem(layer.node.name, type(layer.node).__name__, _UNSCALED))
    return missing
