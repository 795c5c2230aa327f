"""A program's layers on devices: side by side from golden inputs, or one after the other."""

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.driver import Driver, LayerCounters
from systolith_host.runtime.rtl.simulate import Progress as SimulationProgress
from systolith_host.runtime.rtl.simulate import simulate
from systolith_sim.emulator.device import Emulator, EmulatorError
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import SimulatorError

__all__ = [
    "DeviceOptions",
    "Job",
    "Outcome",
    "build_device",
    "plan_jobs",
    "run_job",
    "run_jobs",
]

Progress = Callable[[str, int], None]
"""Called now and then with a layer's name and the cycles that it has taken so far."""


Message = Callable[[str], None]
"""Called with a line for people."""


@dataclass(frozen=True)
class DeviceOptions:
    """What runs the program.

    Parameters
    ----------
    kind : "emulator" or "rtl"
    simulator : "verilator" or "icarus"
        Of the RTL.
    memory : MemoryTiming
        How the simulated memory behaves.
    waves : str, optional
        Layer whose waveforms are written.
    waves_path : Path, optional
        Where to.
    """

    kind: Literal["emulator", "rtl"]
    simulator: Literal["verilator", "icarus"] = "verilator"
    memory: MemoryTiming = field(default_factory=MemoryTiming)
    waves: str | None = None
    waves_path: Path | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """Layers that run one after the other on one device.

    Parameters
    ----------
    layers : tuple of LayerProgram
    inputs : dict of str to ndarray
        Tensors that memory must hold before, by name.
    """

    layers: tuple[LayerProgram, ...]
    inputs: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        """Predicted cycles."""
        return sum(layer.predicted_cycles for layer in self.layers)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a layer left behind.

    Parameters
    ----------
    layer : str
    counters : LayerCounters
    output : ndarray, shape (N, K, P, Q)
    seconds : float
        Wall time.
    """

    layer: str
    counters: LayerCounters
    output: np.ndarray
    seconds: float


class _Stopped(Exception):
    """Another job has failed."""


def plan_jobs(
    layers: Sequence[LayerProgram],
    tensors: Mapping[str, np.ndarray],
    *,
    sequential: bool,
    parts: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Job]:
    """Return the jobs, longest first: one for each layer, or one for all.

    Parameters
    ----------
    layers : sequence of LayerProgram
        In the network's order.
    tensors : mapping of str to ndarray
        The golden tensors.
    sequential : bool
        Whether each layer takes what its predecessors left in memory. Only tensors that none of
        them makes then come from the golden model.
    parts : mapping of str to tuple of str, optional
        Of a program: a tensor with parts is made when all of them are.
    """
    if sequential:
        made: set[str] = set()
        inputs = {}
        for layer in layers:
            for name in layer.inputs:
                if not _is_made(name, made, parts or {}):
                    inputs[name] = tensors[name]
            made.add(layer.output)
        return [Job(tuple(layers), inputs)]
    jobs = [Job((layer,), {name: tensors[name] for name in layer.inputs}) for layer in layers]
    return sorted(jobs, key=lambda job: job.cost, reverse=True)


def _is_made(name: str, made: set[str], parts: Mapping[str, tuple[str, ...]]) -> bool:
    inside = parts.get(name, ())
    return name in made or (bool(inside) and all(_is_made(part, made, parts) for part in inside))


def build_device(program: Program, options: DeviceOptions, message: Message) -> None:
    """Build the simulators that a run needs, so that the run's time is its own.

    Raises
    ------
    SystolithError
        If a tool is missing or fails.
    """
    if options.kind != "rtl":
        return
    # Amaranth, and only where the RTL is wanted.
    from systolith_hw.generate import GenerateError
    from systolith_sim.rtl.simulator import accelerator_build

    for waves in sorted({False, options.waves is not None}):
        try:
            accelerator_build(
                program.config,
                options.simulator,
                program.memory_size,
                waves=waves,
                progress=message,
            )
        except (SimulatorError, GenerateError) as error:
            raise SystolithError(str(error)) from None


def run_job(
    program: Program,
    job: Job,
    options: DeviceOptions,
    progress: Progress | None = None,
    message: Message | None = None,
) -> list[Outcome]:
    """Run a job on a device of its own and return the outcome of each layer.

    Raises
    ------
    SystolithError
        If the accelerator fails.
    """
    if options.kind == "emulator":
        try:
            return _run_emulator(program, job, progress or (lambda layer, cycles: None))
        except EmulatorError as error:
            raise SystolithError(f"{program.network}: the program is damaged: {error}") from None
    return _run_rtl(program, job, options, progress, message)


def run_jobs(
    program: Program,
    jobs: Sequence[Job],
    options: DeviceOptions,
    workers: int,
    progress: Progress | None = None,
    done: Callable[[Outcome], None] | None = None,
    message: Message | None = None,
) -> list[Outcome]:
    """Run jobs side by side on this machine, in the order given; return all outcomes.

    Parameters
    ----------
    workers : int
        Devices at work at a time.
    progress, done : callable, optional
        Called with a layer's name and cycles now and then, and with each outcome.
    message : callable, optional
        Called with a line for people.
    """
    stop = threading.Event()

    def report(layer: str, cycles: int) -> None:
        if stop.is_set():
            raise _Stopped
        if progress is not None:
            progress(layer, cycles)

    def run(job: Job) -> list[Outcome]:
        if stop.is_set():
            raise _Stopped
        return run_job(program, job, options, report, message)

    with ThreadPoolExecutor(workers) as pool:
        pending: set[Future[list[Outcome]]] = {pool.submit(run, job) for job in jobs}
        futures = list(pending)
        try:
            while pending:
                ended, pending = wait(pending, return_when=FIRST_COMPLETED)
                for outcome in [outcome for future in ended for outcome in future.result()]:
                    if done is not None:
                        done(outcome)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [outcome for future in futures for outcome in future.result()]


def _run_emulator(program: Program, job: Job, progress: Progress) -> list[Outcome]:
    memory = np.zeros(program.memory_size, np.uint8)
    for address, data in program.segments:
        memory[address : address + data.size] = data
    driver = Driver(Emulator(program.config, memory), program.config, program.memory_size)
    for name, values in job.inputs.items():
        for address, data in program.places[name].pieces(values):
            driver.device.write_memory(address, data)
    outcomes = []
    for layer in job.layers:
        start = time.monotonic()
        progress(layer.name, 0)
        counters = driver.run_layer(layer, limit_cycles=0)
        place = program.places[layer.output]
        output = place.unpack(driver.device.read_memory(place.address, place.size))
        outcomes.append(Outcome(layer.name, counters, output, time.monotonic() - start))
    return outcomes


def _run_rtl(
    program: Program,
    job: Job,
    options: DeviceOptions,
    progress: Progress | None,
    message: Message | None,
) -> list[Outcome]:
    started: dict[str, float] = {}
    seconds: dict[str, float] = {}

    def report(event: SimulationProgress) -> None:
        if event.stage == "build":
            if message is not None:
                message(event.text)
            return
        now = time.monotonic()
        started.setdefault(event.layer, now)
        if event.stage == "end":
            seconds[event.layer] = now - started[event.layer]
        if progress is not None:
            progress(event.layer, event.cycles)

    with tempfile.TemporaryDirectory(prefix="systolith-memory-") as folder:
        image = Path(folder) / "memory"
        program.write_image(image)
        with image.open("r+b") as file:
            for name, values in job.inputs.items():
                for address, data in program.places[name].pieces(values):
                    file.seek(address)
                    file.write(data.tobytes())
        counters: list[LayerCounters] = []
        for part, with_waves in _split(job.layers, options.waves):
            counters += simulate(
                program,
                [layer.name for layer in part],
                image,
                simulator=options.simulator,
                memory=options.memory,
                progress=report,
                waves=options.waves_path if with_waves else None,
            )
        memory = np.memmap(image, np.uint8, "r")
        outcomes = []
        for layer, counted in zip(job.layers, counters, strict=True):
            place = program.places[layer.output]
            output = place.unpack(np.array(memory[place.address : place.address + place.size]))
            outcomes.append(Outcome(layer.name, counted, output, seconds.get(layer.name, 0.0)))
        del memory
    return outcomes


def _split(
    layers: Sequence[LayerProgram], waves: str | None
) -> list[tuple[Sequence[LayerProgram], bool]]:
    """Cut out the layer whose waveforms are wanted: a simulation writes those of all it runs."""
    index = next((i for i, layer in enumerate(layers) if layer.name == waves), None)
    if index is None:
        return [(layers, False)]
    parts = [(layers[:index], False), (layers[index : index + 1], True)]
    parts.append((layers[index + 1 :], False))
    return [(part, with_waves) for part, with_waves in parts if part]
