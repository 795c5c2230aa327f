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
from systolith_host.frontend.inward import inward
from systolith_host.frontend.layout import CHANNELS_LAST
from systolith_host.frontend.loading import OnnxFile, one_line, open_onnx
from systolith_host.frontend.onnx_model import OnnxModel
from systolith_host.frontend.operators import OPERATORS
from systolith_host.frontend.opsets import READ, opset_version
from systolith_host.frontend.pixels import told_form
from systolith_host.frontend.problems import Problem
from systolith_host.frontend.quantized import QUANTIZED
from systolith_host.frontend.reader import Reader
from systolith_host.frontend.result import build, end_of, finish, own_names
from systolith_host.frontend.row import Row
from systolith_host.frontend.several import ROW, take_apart
from systolith_host.frontend.whole import Whole
from systolith_host.network.fold import fold
from systolith_host.network.graph import (
    Conv,
    Flatten,
    Graph,
    Host,
    Linear,
    MaxPool,
    Mosaic,
    Take,
)
from systolith_host.network.scales import ActivationScale

__all__ = ["OnnxModel", "Problem", "inspect_onnx", "read_onnx"]

HANDLERS = OPERATORS | QUANTIZED

_NAMED = 8
"""Nodes that an error names; the command `check` names all."""

_UNSCALED = "is not quantised while other layers are; quantise all of them, or none"


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
    row: Row | None = None
    front: int = 0

    @property
    def own(self) -> set[str]:
        """The names of the file's own tensors."""
        row = {self.input} if self.row is None else {entry.name for entry in self.row.entries}
        return row | self.file.tensors

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
            None if forced is None else Hosted(proto, self.kinds, forced, self.front),
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
    integers = [v for v in inputs if v.type.tensor_type.elem_type not in FLOATS]
    found = {value.name: take_integers(graph, value, constants) for value in integers}
    wholes = {name: whole for name, whole in found.items() if whole is not None}
    if len(inputs) > 1 or len(wholes) < len(found):
        entry = _several(path, file, inputs, wholes, size, functions)
        if not host_nodes:
            raise SystolithError(
                f"{path}: the host would have to take its inputs apart, {entry.row}: a network "
                "without nodes on the host has one, of floats, or of integers whose first nodes "
                "are Cast to floats or DequantizeLinear"
            )
        return _read_with_host(entry)
    name = inputs[0].name
    shape = input_shape(path, inputs[0], size)
    last = wants_channels_last(graph, name, shape, constants)
    shapes, kinds = infer(path, file.proto, name, shape)
    entry = _Entry(path, file, name, shape, last, shapes, kinds, functions, wholes.get(name))
    if not host_nodes:
        model, problems = _read(entry, entry.reader(None))
        if model is None or not model.epilogue:
            return model, problems
        whole, _ = _read_with_host(entry)  # its end is the same, and it can be computed
        if whole is None or whole.graph.outputs != model.graph.outputs:
            return model, problems
        return dataclasses.replace(model, end=whole.end), problems
    return _read_with_host(entry)


def _several(
    path: Path,
    file: OnnxFile,
    inputs: Sequence[onnx.ValueInfoProto],
    wholes: Mapping[str, Whole],
    size: Sequence[int] | None,
    functions: bool,
) -> _Entry:
    """Return how a file begins whose inputs the host takes out of a row."""
    graph = file.proto.graph
    row, front = take_apart(path, graph, inputs, wholes, file.constants, size)
    shapes, kinds = infer(path, file.proto, ROW, (row.size,))
    return _Entry(path, file, ROW, (row.size,), False, shapes, kinds, functions, None, row, front)


def _read_with_host(entry: _Entry) -> tuple[OnnxModel | None, tuple[Problem, ...]]:
    """Read a file until the host has all that the array cannot, or should not, compute."""
    nodes = entry.file.proto.graph.node
    forced = dict.fromkeys(range(entry.front), "takes the inputs apart")
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
    nodes = entry.file.proto.graph.node
    outputs = tuple(value.name for value in entry.file.proto.graph.output)
    for node in nodes:
        reader.read(node)
    finish(reader, outputs)
    reader.problems += narrowed(nodes, outputs, reader)
    refused = _refused(reader, nodes) if reader.hosted is not None else ()
    if reader.problems:
        return None, tuple(reader.problems)
    network = build(reader)
    if refused and not any(isinstance(node, Conv | Linear) for node in network.nodes):
        return None, _no_layer(refused)
    if all(isinstance(node, Flatten) for node in network.nodes):
        return None, (Problem(outputs[0], "output", "is the input as it is: there is no layer"),)
    network, problems = tabulate(network, reader.weights, reader.scales)
    if problems:
        return None, tuple(problems)
    network, values = inward(network, reader.weights, reader.scales)
    network, values, problems = absorb(network, values, reader.scales)
    if reader.scales and not problems:
        problems = _inherit_scales(network, reader.scales)
    if problems:
        return None, tuple(problems)
    weights = {node.name: values[node.name] for node in network.weighted}
    own = entry.own
    form, source = _told(entry, network.shapes[network.input], reader.scales)
    names = own_names(reader, own)
    integers = {  # an input of integers has those of its own name
        name: made if made in own else name
        for name, made in reader.integers.items()
        if made in own or name in own
    }
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
            entry.row,
        ),
        (),
    )


def _told(
    entry: _Entry, shape: tuple[int, ...], scales: Mapping[str, ActivationScale]
) -> tuple[Form, str]:
    """Return what the file tells of its images, and by what."""
    name, whole = entry.input, entry.whole
    if entry.row is not None:
        main = entry.row.entries[entry.row.main]
        name, shape, whole = main.name, entry.row.image, main.whole
    if len(shape) != 3:
        return Form(), ""
    return told_form(entry.file.metadata, scales.get(name), whole)


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
        if number < hosted.front:
            continue
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
    for node in reversed(graph.nodes):
        if isinstance(node, Mosaic) and node.output in scales:
            for name in node.inputs:  # pieces that the file does not know
                scales.setdefault(name, scales[node.output])
    if graph.input not in scales and not graph.real:
        missing.append(Problem(graph.input, "input", _UNSCALED))
    for layer in fold(graph, scales):
        if layer.steps and layer.before not in scales:
            missing.append(Problem(layer.node.name, type(layer.node).__name__, _UNSCALED))
            continue
        if layer.output in scales:
            continue
        given = {scales.get(name) for name in layer.inputs}
        if (
            isinstance(layer.node, MaxPool | Mosaic | Take)
            and len(given) == 1
            and None not in given
        ):
            scales[layer.output] = scales[layer.input]
        else:
            missing.append(Problem(layer.node.name, type(layer.node).__name__, _UNSCALED))
    return missing
