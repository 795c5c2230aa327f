"""Prepare, compile, run, judge: from a request to a report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.flow.case import Case
from systolith_host.flow.fits import check_network, check_program
from systolith_host.flow.host import run_in_turn, run_step
from systolith_host.flow.judge import make_report
from systolith_host.flow.labels import Labels, labels_for
from systolith_host.flow.load import Loaded, load_values, network_name
from systolith_host.flow.log import Log
from systolith_host.flow.outputs import (
    check_layers,
    check_output,
    left_tensors,
    outputs_of,
    save_outputs,
)
from systolith_host.flow.prepare import Prepared, prepare
from systolith_host.flow.quantisation import Quantisation
from systolith_host.flow.report import Report
from systolith_host.flow.select import check_names, select_layers
from systolith_host.frontend.form import Form
from systolith_host.frontend.images import load_array
from systolith_host.program.active import Density
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.backend import Backend, Observer
from systolith_host.runtime.choose import DeviceOptions, choose_backend
from systolith_host.runtime.jobs import Outcome, plan_jobs
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

__all__ = [
    "Finished",
    "Request",
    "execute",
    "load_request",
    "observer_of",
    "prepare_program",
    "run",
]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request: the network, the device, and the options.

    Parameters
    ----------
    network : str
        Name of a built-in network, or of an ONNX file.
    config : AcceleratorConfig, optional
        That of `program`, or the preset `default`, if None.
    weights, seed, size, form, host_nodes
        As of :func:`systolith_host.flow.load.load_values`.
    images, calibrate, quantisation, noise
        As of :func:`systolith_host.flow.prepare.prepare`.
    inputs : mapping of str to Path
        NumPy files (.npy) of a network's inputs besides the main one.
    labels : Path, optional
        A file of the classes' names; see :func:`systolith_host.flow.labels.labels_for`.
    output : Path, optional
        Where the network's outputs are kept: .npy, or .npz for several.
    batch : int
        Images of the run.
    fuse_pool : bool
        Join pools with the convolutions before them.
    density : Density
        As of :func:`systolith_host.compiler.compile_network`; the inputs themselves decide what is
        read.
    device : str
        One of runtime.choose.DEVICES.
    options : DeviceOptions
    program : Path, optional
        A program to run instead of compiling one.
    save_program : Path, optional
        Where the compiled program is kept.
    layers : str, optional
        Which ones run; see :func:`systolith_host.flow.select.select_layers`.
    waves : str, optional
        Layer whose waveforms go to ``LAYER.vcd``.
    sequential : bool
        Whether each layer takes what its predecessor left in memory.
    clock_mhz : float
        For the frames per second, where the device has no clock of its own.
    """

    network: str
    config: AcceleratorConfig | None = None
    images: Sequence[Path] = ()
    calibrate: Sequence[Path] = ()
    weights: Path | None = None
    seed: int = 0
    quantisation: Quantisation = field(default_factory=Quantisation)
    noise: bool = False
    size: Sequence[int] | None = None
    form: Form | None = None
    inputs: Mapping[str, Path] = field(default_factory=dict)
    labels: Path | None = None
    output: Path | None = None
    host_nodes: bool = True
    batch: int = 1
    fuse_pool: bool = True
    density: Density = 1.0
    device: str = "rtl"
    options: DeviceOptions = field(default_factory=DeviceOptions)
    program: Path | None = None
    save_program: Path | None = None
    layers: str | None = None
    waves: str | None = None
    sequential: bool = False
    clock_mhz: float = 150.0


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished run: the report, and the network, program and memory that it was made from."""

    report: Report
    prepared: Prepared
    program: Program
    outcomes: list[Outcome]
    memory: Memory | None = None

    @property
    def case(self) -> Case | None:
        """The first layer with mismatches, to be run again; None if there is none."""
        triage = self.report.triage
        if triage is None:
            return None
        layer = next(layer for layer in self.program.layers if layer.name == triage.layer)
        found = next(done.output for done in self.outcomes if done.layer == triage.layer)
        tensors, device = self.prepared.tensors, self.report.device
        return Case.of(self.program, layer, tensors, found, device, self.memory)


def run(request: Request, log: Log) -> Finished:
    """Run a network on a device and compare every layer with the golden model.

    Parameters
    ----------
    request : Request
    log : Log
        Hears of the stages.

    Raises
    ------
    SystolithError
        If anything of the request cannot be done; what can be found out early is found out before
        the long work begins.
    """
    if request.sequential and request.options.scheduler is not None:
        raise SystolithError("--scheduler spreads layers, --sequential does not: choose one")
    backend = choose_backend(request.device, request.options)
    if request.waves is not None:
        backend.with_waves("", Path())  # refuses where there are none
    compiled = _load_program(request)
    loaded, labels = load_request(request, log, compiled)
    for named in (request.layers, request.waves):
        if named is not None:
            check_names(loaded.graph, named)
    prepared, program = prepare_program(request, loaded, compiled, backend.memory, log)
    selected = select_layers(program, request.layers)
    outputs = outputs_of(loaded, prepared.qgraph)
    if request.output is not None:
        check_layers(outputs.needed, selected, program)
    if request.waves is not None:
        backend = _traced(request.waves, program, selected, backend)
    outcomes, seconds = execute(
        program, selected, prepared.tensors, backend, log, sequential=request.sequential
    )
    if request.output is not None:
        left = left_tensors(program, outcomes, {program.input: prepared.tensors[program.input]})
        save_outputs(request.output, outputs.make(program.places, left))
    report = make_report(
        program,
        outcomes,
        backend.facts,
        clock_mhz=request.clock_mhz,
        golden=prepared.tensors,
        float_output=prepared.float_output,
        labels=labels,
        sources={"weights": loaded.source, "images": prepared.images},
        wall_seconds=seconds,
    )
    return Finished(report, prepared, program, outcomes, backend.facts.memory)


def execute(
    program: Program,
    layers: Sequence[LayerProgram],
    tensors: Mapping[str, np.ndarray],
    backend: Backend,
    log: Log,
    *,
    sequential: bool,
) -> tuple[list[Outcome], float]:
    """Run layers of a program.

    Parameters
    ----------
    tensors : mapping of str to ndarray, shape (N, C, H, W)
        As of :func:`systolith_host.runtime.jobs.plan_jobs`.
    sequential : bool
        Whether each layer takes what its predecessors left in memory; a board does so anyway.

    Returns
    -------
    outcomes : list of Outcome
        Of the layers; and of the host's parts, if the whole network runs.
    seconds : float
        Wall time of the devices and of the host's parts.

    Raises
    ------
    SystolithError
        If the program does not run there, or the device fails.
    """
    sequential = sequential or backend.sequential
    backend.check(program)
    whole = len(layers) == len(program.layers)
    observer = observer_of(log, layers, one_at_a_time=sequential)
    log.stage("building the simulator")
    backend.prepare(program, observer)
    log.stage(backend.stage)
    start = time.monotonic()
    if sequential and whole and program.host:
        return run_in_turn(program, tensors, backend, observer), time.monotonic() - start
    jobs = plan_jobs(layers, tensors, sequential=sequential, parts=program.parts)
    outcomes = backend.run(program, jobs, observer)
    if whole:
        outcomes += [run_step(program, step, tensors) for step in program.host]
    return outcomes, time.monotonic() - start


def _load_program(request: Request) -> Program | None:
    if request.program is None:
        return None
    program = Program.load(request.program)
    name = network_name(request.network)
    check_program(program, request.program, name, request.batch, request.config)
    return program


def _config(request: Request, compiled: Program | None) -> AcceleratorConfig:
    return compiled.config if compiled is not None else request.config or PRESETS["default"]


def load_request(
    request: Request, log: Log, compiled: Program | None = None, data: Path | None = None
) -> tuple[Loaded, Labels | None]:
    """Load the network, and the names of its classes; refuse options that do not go with it.

    Parameters
    ----------
    request : Request
    log : Log
    compiled : Program, optional
        The program that will run.
    data : Path, optional
        Images besides those of the request.

    Raises
    ------
    SystolithError
        If a file cannot be used, or an option does not go with the network.
    """
    form, files = request.form or Form(), [*request.images, *request.calibrate]
    files += [] if data is None else [data]
    if form.named and files and all(path.suffix in (".npy", ".npz") for path in files):
        raise SystolithError(
            f"{form.named[0]} is for photographs: {files[0]} goes into the network unchanged"
        )
    loaded = load_values(
        request.network,
        request.weights,
        request.seed,
        log,
        request.size,
        request.form,
        host_nodes=request.host_nodes,
        functions=bool(_config(request, compiled).functions),
        inputs={name: load_array(path) for name, path in request.inputs.items()},
    )
    graph = loaded.graph
    classes = int(np.prod(graph.shapes[graph.output]))
    labels = labels_for(request.labels, classes, guess=not loaded.random)
    if request.output is not None:
        check_output(request.output, 1 if loaded.model is None else len(loaded.model.files))
    return loaded, labels


def prepare_program(
    request: Request, loaded: Loaded, compiled: Program | None, memory: Memory, log: Log
) -> tuple[Prepared, Program]:
    """Quantise the network, and compile it where there is no program.

    Raises
    ------
    SystolithError
        If the network cannot be used, or does not run on the accelerator.
    """
    config = _config(request, compiled)
    prepared = prepare(
        loaded,
        images=request.images,
        calibrate=request.calibrate,
        batch=request.batch,
        multiplier_width=config.multiplier_width,
        log=log,
        quantisation=request.quantisation,
        noise=request.noise,
    )
    program = compiled
    if program is None:
        log.stage("compiling")
        program = compile_network(
            prepared.qgraph,
            config,
            request.batch,
            fuse_pool=request.fuse_pool,
            memory=memory,
            progress=log.update,
            density=request.density,
        )
    elif request.program is not None:
        check_network(program, request.program, prepared.qgraph)
    if request.save_program is not None:
        program.save(request.save_program)
    return prepared, program


def _traced(
    text: str, program: Program, selected: Sequence[LayerProgram], backend: Backend
) -> Backend:
    traced = select_layers(program, text)[0].name
    if traced not in {layer.name for layer in selected}:
        raise SystolithError(f"--waves: {traced} is not among the --layers that run")
    return backend.with_waves(traced, Path(f"{traced}.vcd"))


def observer_of(log: Log, layers: Sequence[LayerProgram], *, one_at_a_time: bool) -> Observer:
    """Return an observer that tells a log how much of the predicted cycles is done."""
    tracker = _Tracker(log, {layer.name: layer.predicted_cycles for layer in layers}, one_at_a_time)
    return Observer(tracker.at, tracker.done, log.stage, log.update, log.message)


class _Tracker:
    """Adds up the cycles of current and ended layers, as a share of the compiler's prediction."""

    def __init__(self, log: Log, predicted: dict[str, int], one_at_a_time: bool) -> None:
        self._log = log
        self._one_at_a_time = one_at_a_time
        self._predicted = predicted
        self._cycles = dict.fromkeys(predicted, 0)
        self._active: set[str] = set()

    def at(self, layer: str, cycles: int) -> None:
        """Note how far a layer is."""
        if self._one_at_a_time:  # the next layer says that the last one has ended
            for name in self._active - {layer}:
                self._cycles[name] = self._predicted[name]
            self._active.clear()
        self._active.add(layer)
        self._cycles[layer] = min(cycles, self._predicted[layer])
        self._show()

    def done(self, outcome: Outcome) -> None:
        """Note that a layer has ended."""
        self._active.discard(outcome.layer)
        self._cycles[outcome.layer] = self._predicted[outcome.layer]
        self._show()

    def _show(self) -> None:
        active = [name for name in self._predicted if name in self._active]
        done, total = sum(self._cycles.values()), sum(self._predicted.values())
        self._log.update(", ".join(active), done, total)
