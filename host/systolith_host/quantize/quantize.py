"""From a float graph, its weights and a calibration to the integer network."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.network.fold import FoldedLayer, fold
from systolith_host.network.graph import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Flatten,
    Function,
    Graph,
    Host,
    Linear,
    MaxPool,
    Mosaic,
    Relu,
    Take,
    Weights,
    weight_shape,
)
from systolith_host.network.joins import copies_for_joins
from systolith_host.network.mosaic import repeats
from systolith_host.network.qgraph import (
    QAdd,
    QConcat,
    QConv,
    QGraph,
    QHost,
    QLayer,
    QMaxPool,
    QMosaic,
    QTake,
    QTensor,
)
from systolith_host.network.scales import (
    ActivationScale,
    as_held,
    quantize_weight,
    requantisation,
)
from systolith_host.quantize.calibrate import Calibration
from systolith_host.quantize.factors import check_bias, mean_factors, sum_factors
from systolith_host.quantize.shared import (
    Result,
    image_shape,
    result_of,
    scale_of,
    shared_scales,
    table_for,
)

__all__ = ["quantize", "quantize_input", "quantize_scaled"]

Progress = Callable[[str, int, int], None]
"""Called with what is under way, the elements done, and all elements."""


def quantize(
    graph: Graph,
    weights: Weights,
    calibration: Calibration,
    multiplier_width: int,
    progress: Progress | None = None,
) -> QGraph:
    """Return the integer network.

    The output tensor of a layer has the layer's name. Max-pooling keeps its input's scale, and
    all parts of a concatenation or mosaic share one. A linear layer becomes a convolution with a
    kernel of its input's height and width.

    Parameters
    ----------
    graph : Graph
    weights : mapping of str to LayerWeights
    calibration : Calibration
        Of this graph with these weights.
    multiplier_width : int
        Bits of the requantiser's multiplier.
    progress : callable, optional
        Called before each layer with its name, the weights done and those of all layers.

    Raises
    ------
    SystolithError
        If the graph has something that is not supported, or a scale that cannot be expressed.
    """
    scales = shared_scales(graph, fold(graph), calibration.ranges)
    return quantize_scaled(graph, weights, scales, multiplier_width, progress)


def quantize_scaled(
    graph: Graph,
    weights: Weights,
    scales: Mapping[str, ActivationScale],
    multiplier_width: int,
    progress: Progress | None = None,
) -> QGraph:
    """Return the integer network whose tensors have given scales.

    Parameters
    ----------
    scales : mapping of str to ActivationScale
        Of the graph's input, of every folded layer's output, and of the tensor before its function.
    others
        As in :func:`quantize`.

    Raises
    ------
    SystolithError
        If the graph has something that is not supported, or a scale that cannot be expressed.
    """
    builder = _Builder(graph, weights, scales, multiplier_width)
    total = sum(int(np.prod(weight_shape(graph, node))) for node in graph.weighted)
    done = 0
    for layer in fold(graph, scales):
        node = layer.node
        if isinstance(node, Conv | Linear):
            if progress is not None:
                progress(node.name, done, total)
            done += int(np.prod(weight_shape(graph, node)))
        builder.add(layer)
    return builder.build()


def quantize_input(qgraph: QGraph, x: np.ndarray) -> np.ndarray:
    """Return float inputs as integers of the network's input tensor.

    Parameters
    ----------
    qgraph : QGraph
    x : ndarray of float32, shape (N, C, H, W) or (N, C)

    Returns
    -------
    ndarray of uint8 or int8, shape (N, C, H, W)
        A vector has a height and width of 1. Real inputs stay float32.
    """
    tensor = qgraph.tensors[qgraph.input]
    return as_held(tensor, x).reshape(len(x), *tensor.shape)


class _Builder:
    """The integer network while layers are added to it."""

    def __init__(
        self,
        graph: Graph,
        weights: Weights,
        scales: Mapping[str, ActivationScale],
        multiplier_width: int,
    ) -> None:
        self.graph = graph
        self.weights = weights
        self.scales = scales
        self.multiplier_width = multiplier_width
        self.layers: list[QLayer] = []
        self.tensors: dict[str, QTensor] = {}
        self.names = {graph.input: graph.input}
        shape = image_shape(graph.shapes[graph.input])
        if graph.real:
            self.tensors[graph.input] = QTensor(graph.input, shape, False, 1.0, 0, True)
        else:
            self._tensor(graph.input, shape, scales[graph.input])

    def build(self) -> QGraph:
        if not self.layers:
            raise SystolithError(f"{self.graph.name}: has no layers")
        self.layers = self._with_copies()
        flattened = {
            node.output: node.input for node in self.graph.nodes if isinstance(node, Flatten)
        }
        outputs = []
        for output in self.graph.outputs:
            while output not in self.names:
                output = flattened[output]
            outputs.append(self.names[output])
        return QGraph(
            self.graph.name,
            self.tensors,
            tuple(self.layers),
            self.graph.input,
            outputs[0],
            tuple(self.graph.shapes[self.graph.input]),
            tuple(self.graph.shapes[self.graph.output]),
            tuple(outputs[1:]),
        )

    def add(self, layer: FoldedLayer) -> None:
        node = layer.node
        sources = [self.tensors[self.names[name]] for name in layer.inputs]
        self.names[layer.output] = node.name
        scale = self.scales[layer.output]
        if isinstance(node, Relu | Clip | Add | Function):
            shape = sources[0].shape
        else:
            shape = image_shape(self.graph.shapes[layer.output])
        if isinstance(node, MaxPool | Take):
            self._chosen(node, sources[0], shape, scale)
        elif isinstance(node, Concat | Mosaic):
            self._concat(node, sources, shape, scale)
        elif isinstance(node, Add):
            self._add(layer, sources, shape, scale)
        elif isinstance(node, AveragePool):
            place = (node.kernel, node.stride, node.padding)
            self._scaled_ones(node.name, sources[0], shape, result_of(layer, self.scales), *place)
        elif isinstance(node, Host):
            names = tuple(source.name for source in sources)
            self.layers.append(QHost(node.name, names, node.name, node.part))
            self._tensor(node.name, shape, scale)
        elif isinstance(node, Conv | Linear):
            self._convolution(layer, node, sources[0], shape, scale)
        elif isinstance(node, Function):
            # A layer of its own leaves its input's numbers as they are.
            before = scale_of(sources[0])
            result = Result(
                scale, before, *before.limits(-np.inf, np.inf), table_for(layer, self.scales)
            )
            self._scaled_ones(node.name, sources[0], shape, result, (1, 1))
        else:
            result = result_of(layer, self.scales)
            self._scaled_ones(node.name, sources[0], shape, result, (1, 1))

    def _tensor(self, name: str, shape: tuple[int, int, int], scale: ActivationScale) -> QTensor:
        if name in self.tensors:
            raise SystolithError(f"{name}: two layers have this name; rename one of them")
        tensor = QTensor(name, shape, scale.unsigned, scale.scale, scale.zero_point)
        self.tensors[name] = tensor
        return tensor

    def _rescale(self, name: str, source: QTensor, scale: ActivationScale) -> QTensor:
        """Append a layer that expresses a tensor in another scale."""
        result = Result(scale, scale, *scale.limits(-np.inf, np.inf), None)
        self._scaled_ones(name, source, source.shape, result, (1, 1))
        return self.tensors[name]

    def _scaled_ones(
        self,
        name: str,
        source: QTensor,
        shape: tuple[int, int, int],
        result: Result,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:
        """Append the mean of windows: all weights are the same, and the multiplier divides."""
        channels = source.shape[0]
        taps = kernel[0] * kernel[1]
        ratio = source.scale / result.sums.scale / taps
        weight, multiplier, shift = mean_factors(ratio, taps, self.multiplier_width, name)
        self.layers.append(
            QConv(
                name,
                source.name,
                name,
                "pool",
                np.full((channels, 1, *kernel), weight, np.int8),
                np.zeros(channels, np.int32),
                np.full(channels, multiplier),
                np.full(channels, shift),
                result.low,
                result.high,
                stride,
                padding,
                groups=channels,
                table=result.table,
            )
        )
        self._tensor(name, shape, result.scale)

    def _chosen(
        self,
        node: MaxPool | Take,
        source: QTensor,
        shape: tuple[int, int, int],
        scale: ActivationScale,
    ) -> None:
        """Append a layer whose results are some of its input's values."""
        same = scale == scale_of(source)
        name = node.name if same else f"{node.name}.max"
        names = (name, source.name, name)
        vector = len(self.graph.shapes[node.output]) == 1
        if isinstance(node, Take) and vector and source.shape[1:] != (1, 1):
            raise SystolithError(f"{node.name}: takes a part of a flattened image; take it before")
        if isinstance(node, MaxPool):
            self.layers.append(QMaxPool(*names, node.kernel, node.stride, node.padding))
        else:
            self.layers.append(QTake(*names, node.channels, node.rows, node.columns))
        chosen = self._tensor(name, shape, scale_of(source))
        if not same:
            self._rescale(node.name, chosen, scale)

    def _concat(
        self,
        node: Concat | Mosaic,
        sources: list[QTensor],
        shape: tuple[int, int, int],
        scale: ActivationScale,
    ) -> None:
        parts = []
        once = isinstance(node, Mosaic) and repeats(node.inputs, node.grids)
        if once and scale != scale_of(sources[0]):
            sources = [self._rescale(f"{node.name}.part0", sources[0], scale)] * len(sources)
        for number, source in enumerate(sources):
            if isinstance(node, Concat) and source.shape[1:] != shape[1:]:
                raise SystolithError(
                    f"{node.name}: joins flattened images, which is not supported; "
                    "concatenate before flattening"
                )
            if scale != scale_of(source):
                source = self._rescale(f"{node.name}.part{number}", source, scale)
            parts.append(source.name)
        names = (node.name, tuple(parts), node.name)
        made = QConcat(*names) if isinstance(node, Concat) else QMosaic(*names, node.grids)
        self.layers.append(made)
        self._tensor(node.name, shape, scale)

    def _with_copies(self) -> list[QLayer]:
        """Return the layers; joins take copies of what cannot stand in all of them."""
        copies = copies_for_joins(self.layers, self.tensors, self.graph.input)
        layers, self.layers = self.layers, []
        for layer in layers:
            for number in copies.get(layer.name, ()):
                source = self.tensors[layer.inputs[number]]
                copy = self._rescale(f"{layer.name}.part{number}", source, scale_of(source))
                parts = (*layer.inputs[:number], copy.name, *layer.inputs[number + 1 :])
                assert isinstance(layer, QConcat | QMosaic)
                layer = replace(layer, inputs=parts)
            self.layers.append(layer)
        return self.layers

    def _add(
        self,
        layer: FoldedLayer,
        sources: list[QTensor],
        shape: tuple[int, int, int],
        scale: ActivationScale,
    ) -> None:
        name = layer.node.name
        first, second = sources
        if first.shape != second.shape:
            raise SystolithError(
                f"{name}: adds {first.shape} and {second.shape}; flatten both or neither"
            )
        result = result_of(layer, self.scales)
        ratios = (first.scale / result.sums.scale, second.scale / result.sums.scale)
        factors, multiplier, shift = sum_factors(ratios, self.multiplier_width, name)
        self.layers.append(
            QAdd(
                name,
                (first.name, second.name),
                name,
                factors,
                multiplier,
                shift,
                result.low,
                result.high,
                result.table,
            )
        )
        self._tensor(name, shape, scale)

    def _convolution(
        self,
        layer: FoldedLayer,
        node: Conv | Linear,
        source: QTensor,
        shape: tuple[int, int, int],
        scale: ActivationScale,
    ) -> None:
        real = self.weights[node.name]
        weight, bias, weight_scale = quantize_weight(
            real.weight, real.bias, source.scale, real.scale, real.bits
        )
        result = result_of(layer, self.scales)
        sums = result.sums.scale
        if real.scale is not None:
            # A bias that the file keeps in floats: nothing else of it is rounded.
            check_bias(node.name, real.bias, bias * (source.scale * weight_scale), sums)
        multiplier, shift = requantisation(
            source.scale * weight_scale / sums, self.multiplier_width, node.name
        )
        numbers = (bias, multiplier, shift, result.low, result.high)
        names = (node.name, source.name, node.name)
        table = result.table
        if isinstance(node, Conv):
            place = (node.stride, node.padding, node.dilation, node.groups)
            made = QConv(*names, "conv", weight, *numbers, *place, table=table)
        else:
            weight = weight.reshape(len(weight), *source.shape)
            made = QConv(*names, "fc", weight, *numbers, table=table)
        self.layers.append(made)
        self._tensor(node.name, shape, scale)
