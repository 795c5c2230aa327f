"""A network by its name or file: with its values, or its shapes alone."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.log import Log
from systolith_host.frontend.form import Form
from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.weights import load_weights, random_weights
from systolith_host.network.graph import Graph, Weights
from systolith_host.network.qgraph import QGraph
from systolith_host.network.shapes import timing_network
from systolith_host.quantize.calibrate import Calibration
from systolith_host.quantize.quantize import quantize, quantize_scaled

if TYPE_CHECKING:
    from systolith_host.frontend.onnx import OnnxModel

__all__ = [
    "Loaded",
    "forget_shapes",
    "is_onnx",
    "load_graph",
    "load_values",
    "network_name",
    "shape_network",
]


Size = Sequence[int] | None


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network with its values.

    Parameters
    ----------
    network : str
        Name of a built-in network, or of an ONNX file.
    graph : Graph
    weights : mapping of str to LayerWeights
    source : str
        Where the weights come from, in words.
    model : OnnxModel, optional
        The content of the file.
    random : bool
        Whether the values are random, so that it does not matter how well they are quantised.
    form : Form
        What it expects of photographs and arrays, as users say and its file tells.
    """

    network: str
    graph: Graph
    weights: Weights
    source: str
    model: "OnnxModel | None" = None
    random: bool = False
    form: Form = field(default_factory=Form)

    @property
    def quantised(self) -> bool:
        """Whether it has scales of its own."""
        return self.model is not None and bool(self.model.scales)


def network_name(network: str) -> str:
    """Return a network's name: a file's name without its ending, or the name itself."""
    return Path(network).stem if is_onnx(network) else network


def is_onnx(network: str) -> bool:
    """Return whether a network is a file, not a built-in one."""
    return network.endswith(".onnx")


def load_graph(
    network: str, size: Size = None, *, host_nodes: bool = True, functions: bool = False
) -> Graph:
    """Return a built-in network, or that of an ONNX file.

    Parameters
    ----------
    network : str
    size : sequence of int, optional
        Of an ONNX file's input for one image, in the file's order of axes; its own if not given.
    host_nodes : bool
        Whether the host may compute the nodes of a file that the array cannot.
    functions : bool
        Whether the array looks functions up in tables.

    Raises
    ------
    SystolithError
        If there is no such network, or the file cannot be used.
    """
    if not is_onnx(network):
        refuse_size(network, size)
        return build_network(network)
    from systolith_host.frontend.onnx import read_onnx  # onnx takes a moment to import

    return read_onnx(Path(network), size, host_nodes=host_nodes, functions=functions).graph


def load_values(
    network: str,
    weights: Path | None,
    seed: int,
    log: Log,
    size: Size = None,
    form: Form | None = None,
    *,
    host_nodes: bool = True,
    functions: bool = False,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Loaded:
    """Return a network with its values.

    Parameters
    ----------
    network : str
        Name of a built-in network, or of an ONNX file.
    weights : Path, optional
        A torchvision state dict; random weights if None. ONNX files have their own.
    seed : int
        Of random weights.
    size, host_nodes, functions
        As of :func:`load_graph`.
    form : Form, optional
        What users say of the images that it expects; the log gets a line where its file tells more.
    inputs : mapping of str to ndarray, optional
        Values of a file's inputs besides the main one, for all images or (N, ...) for each.

    Raises
    ------
    SystolithError
        If there is no such network, a file cannot be used, or the form does not go with it.
    """
    form = form or Form()
    if is_onnx(network):
        from systolith_host.frontend.onnx import read_onnx  # onnx takes a moment to import

        if weights is not None:
            raise SystolithError(f"--weights: {network} has its own weights")
        log.stage("reading the network")
        model = read_onnx(Path(network), size, host_nodes=host_nodes, functions=functions)
        row = model.row
        if row is not None and inputs:
            row = row.with_given(inputs)
        elif inputs:
            raise SystolithError(
                f"--input {next(iter(inputs))}: {network} has one input: give it with --image"
            )
        form.check(row.image if row else model.graph.shapes[model.graph.input])
        whole = dataclasses.replace(
            model.form, channels_last=model.channels_last, whole=model.whole, row=row
        )
        if model.form_source and not form.named:
            log.message(f"{network}: photographs as {model.form_source} tells: {model.form}")
        return Loaded(network, model.graph, model.weights, network, model, form=form.over(whole))
    refuse_size(network, size)
    if inputs:
        raise SystolithError(f"--input is for ONNX files: {network} has one input")
    graph = build_network(network)
    form.check(graph.shapes[graph.input])
    log.stage("weights")
    if weights is None:
        source = f"random (He scaling, seed {seed}); classes mean nothing"
        values = random_weights(graph, seed, log.update)
        return Loaded(network, graph, values, source, random=True, form=form)
    values = load_weights(weights, graph, log.update)
    return Loaded(network, graph, values, str(weights), form=form)


LEAST_MULTIPLIER_WIDTH = 8
"""The least that an accelerator may have, so that every one takes a network of shapes."""


def shape_network(
    network: str, size: Size = None, *, host_nodes: bool = True, functions: bool = False
) -> QGraph:
    """Return a network as far as schedules, cycles and bytes depend on it; parameters as above.

    They depend on shapes, and on whether all weights of a grouped layer are equal. So nothing is
    calibrated: biases are 0, and all tensors of a float file have one scale.

    Raises
    ------
    SystolithError
        If there is no such network, or the file cannot be used.
    """
    path = Path(network)
    changed = path.stat().st_mtime_ns if is_onnx(network) and path.exists() else 0
    return _shape_network(
        network, changed, None if size is None else tuple(size), host_nodes, functions
    )


@lru_cache(maxsize=4)
def _shape_network(
    network: str, changed: int, size: Size, host_nodes: bool, functions: bool
) -> QGraph:
    if not is_onnx(network):
        refuse_size(network, size)
        return timing_network(build_network(network))
    from systolith_host.frontend.onnx import read_onnx  # onnx takes a moment to import

    model = read_onnx(Path(network), size, host_nodes=host_nodes, functions=functions)
    weights = {
        name: dataclasses.replace(layer, bias=np.zeros_like(layer.bias))
        for name, layer in model.weights.items()
    }
    if model.scales:
        return quantize_scaled(model.graph, weights, model.scales, LEAST_MULTIPLIER_WIDTH)
    ranges = {name: (-1.0, 1.0) for name in model.graph.shapes}
    calibration = Calibration(ranges, np.zeros(0, np.float32))
    return quantize(model.graph, weights, calibration, LEAST_MULTIPLIER_WIDTH)


def refuse_size(network: str, size: Size) -> None:
    """Raise a SystolithError if a built-in network is given a size."""
    if size is not None:
        raise SystolithError(f"a shape is for ONNX files: {network} has one of its own")


def forget_shapes() -> None:
    """Forget the networks that :func:`shape_network` has made."""
    _shape_network.cache_clear()
