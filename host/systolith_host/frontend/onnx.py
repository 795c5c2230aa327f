"""Reads ONNX files: checks them, folds constants, and lists all that is not supported at once."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, shape_inference

from systolith_host.errors import SystolithError
from systolith_host.frontend.absorb import absorb
from systolith_host.frontend.entry import input_shape, set_shape, wants_channels_last
from systolith_host.frontend.forks import narrowed
from systolith_host.frontend.form import Form
from systolith_host.frontend.layout import CHANNELS_LAST, Layout
from systolith_host.frontend.loading import OnnxFile, one_line, open_onnx
from systolith_host.frontend.operators import OPERATORS
from systolith_host.frontend.opsets import READ, opset_version
from systolith_host.frontend.pixels import told_form
from systolith_host.frontend.problems import Problem
from systolith_host.frontend.quantized import QUANTIZED
from systolith_host.frontend.reader import Reader
from systolith_host.network.fold import fold
from systolith_host.network.graph import Graph, LayerWeights, MaxPool, node_macs
from systolith_host.network.scales import ActivationScale

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
        By ONNX's names of the outputs, the graph's; several may be the same tensor here.
    form : Form
        What the file tells of the images that it wants.
    form_source : str
        What in it tells that, in words; empty where nothing does.
    """

    graph: Graph
    weights: dict[str, LayerWeights]
    epilogue: tuple[str, ...]
    scales: dict[str, ActivationScale]
    integers: dict[str, str]
    names: dict[str, str]
    layouts: dict[str, Layout]
    outputs: dict[str, str]
    form: Form = dataclasses.field(default_factory=Form)
    form_source: str = ""

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


def read_onnx(path: Path, size: Sequence[int] | None = None) -> OnnxModel:
    """Read a network.

    Parameters
    ----------
    path : Path
    size : sequence of int, optional
        Of the input for one image, in the file's order of axes; the file's own if not given.

    Raises
    ------
    SystolithError
        If the file is damaged or has something that is not supported; the message has all of it.
    """
    model, problems = inspect_onnx(path, size)
    if model is None:
        listed = "; ".join(map(str, problems[:_NAMED]))
        count = len(problems)
        many = f"{count} of its nodes cannot run: " if count > 1 else ""
        rest = f"; and {count - _NAMED} more: `systolith check` lists all" * (count > _NAMED)
        raise SystolithError(f"{path}: {many}{listed}{rest}")
    return model


def inspect_onnx(
    path: Path, size: Sequence[int] | None = None
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
            return _convert(path, file, size)
    except SystolithError:
        raise
    except MemoryError:
        raise SystolithError(f"{path}: needs more memory than there is") from None
    except Exception as error:  # whatever a damaged model makes NumPy or onnx raise
        raise SystolithError(f"{path}: the model is damaged: {one_line(error)}") from None
    finally:
        file.maps.forget()


def _convert(
    path: Path, file: OnnxFile, size: Sequence[int] | None
) -> tuple[OnnxModel | None, tuple[Problem, ...]]:
    graph, constants = file.proto.graph, file.constants
    inputs = [value for value in graph.input if value.name not in constants]
    if not inputs:
        raise SystolithError(f"{path}: its output does not depend on the input")
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs)
        raise SystolithError(f"{path}: a network must have one input, not {names}")
    outputs = tuple(value.name for value in graph.output)
    shape = input_shape(path, inputs[0], size)
    last = wants_channels_last(graph, inputs[0].name, shape, constants)
    inferred = _infer(path, file.proto, inputs[0].name, shape)
    reader = Reader(
        path.stem,
        inputs[0].name,
        (shape[2], *shape[:2]) if last else shape,
        constants,
        inferred,
        HANDLERS,
        opset_version(file.proto) or READ,
    )
    if last:
        reader.layouts[reader.input] = CHANNELS_LAST
    for node in graph.node:
        reader.read(node)
    reader.finish(outputs)
    reader.problems += narrowed(graph.node, outputs, reader)
    if reader.problems:
        return None, tuple(reader.problems)
    network, values, problems = absorb(reader.build(), reader.weights, reader.scales)
    if reader.scales and not problems:
        problems = _inherit_scales(network, reader.scales)
    if problems:
        return None, tuple(problems)
    weights = {node.name: values[node.name] for node in network.weighted}
    own = file.tensors | {reader.input}
    names = reader.names(own)
    epilogue = tuple(reader.epilogue)
    form, source = Form(), ""
    if len(network.shapes[network.input]) == 3:
        form, source = told_form(file.metadata, reader.scales.get(network.input))
    return (
        OnnxModel(
            network,
            weights,
            epilogue,
            reader.scales,
            reader.integers,
            names,
            {name: reader.layouts[name] for name in own if name in reader.layouts},
            dict(zip(outputs, reader.outputs, strict=True)),
            form,
            source,
        ),
        (),
    )


def _inherit_scales(graph: Graph, scales: dict[str, ActivationScale]) -> list[Problem]:
    """Give every layer's output a scale, or return the layers that have none."""
    missing = []
    if graph.input not in scales:
        missing.append(Problem(graph.input, "input", _UNSCALED))
    for layer in fold(graph, scales):
        if layer.output in scales:
            continue
        if isinstance(layer.node, MaxPool) and layer.input in scales:
            scales[layer.output] = scales[layer.input]
        else:
            missing.append(Problem(layer.node.name, type(layer.node).__name__, _UNSCALED))
    return missing


def _infer(
    path: Path, proto: onnx.ModelProto, name: str, shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Have onnx check types and shapes; return the shapes that it finds, for one image."""
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(proto)
    for entry in skeleton.graph.input:
        if entry.name == name:
            set_shape(entry, (1, *shape))
    del skeleton.graph.value_info[:]
    for entry in skeleton.graph.output:
        entry.type.tensor_type.ClearField("shape")
    imported = {entry.domain for entry in skeleton.opset_import}
    for domain in {node.domain for node in proto.graph.node} - imported:
        skeleton.opset_import.append(helper.make_opsetid(domain, 1))
    known = all(onnx.defs.has(node.op_type, node.domain) for node in proto.graph.node)
    try:
        result = shape_inference.infer_shapes(skeleton, check_type=known, strict_mode=False)
    except Exception as error:  # it has several kinds of errors of its own
        if not known:
            return {}  # operators that onnx does not know are listed later, by name
        raise SystolithError(f"{path}: types or shapes do not fit: {one_line(error)}") from None
    shapes = {}
    for entry in result.graph.value_info:
        dims = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
        if len(dims) in (2, 4) and min(dims[1:]) > 0:
            shapes[entry.name] = tuple(dims[1:])
    return shapes
