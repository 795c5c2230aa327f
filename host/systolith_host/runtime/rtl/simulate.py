"""Layers of a program in the simulated RTL: builds, starts, watches and collects."""

import contextlib
import dataclasses
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_host.errors import SystolithError
from systolith_host.program.counters import LayerCounters
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.driver import WATCHDOG
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import Build, SimulatorError
from systolith_sim.rtl.process import start_simulator

__all__ = [
    "EVENTS_VARIABLE",
    "JOB_VARIABLE",
    "EventFile",
    "MemoryTiming",
    "Progress",
    "run_layers",
    "simulate",
]

JOB_VARIABLE = "SYSTOLITH_JOB"
"""Environment variable of the simulator: path of the job, a JSON file."""

EVENTS_VARIABLE = "SYSTOLITH_EVENTS"
"""Environment variable of the simulator: file descriptor that takes events, JSON lines."""

SILENCE_SECONDS = 600.0
"""Wall-clock time without any sign of life after which a simulator counts as hung."""

_END_SECONDS = 5
"""Time in which a simulator ends, before and after it is told to."""

_PROGRESS_CYCLES = {"verilator": 50_000, "icarus": 1_000}


@dataclass(frozen=True)
class EventFile:
    """The file of event_recorder.v, and the cycles between two of its samples (0: none)."""

    path: Path
    interval: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a simulation is.

    Parameters
    ----------
    stage : str
        "build" (text says what is built), "start", "run" or "end" (of a layer).
    text : str
    layer : str
        Name of the layer, or "".
    cycles : int
        Cycles simulated of this layer so far.
    expected_cycles : int
        The compiler's prediction for this layer.
    """

    stage: str
    text: str = ""
    layer: str = ""
    cycles: int = 0
    expected_cycles: int = 0


def simulate(
    program: Program,
    layers: Sequence[str] | None,
    image: Path,
    *,
    simulator: str = "verilator",
    memory: Memory | None = None,
    progress: Callable[[Progress], None] | None = None,
    waves: Path | None = None,
    window: tuple[int, int] | None = None,
    events: EventFile | None = None,
    writes: Path | None = None,
    limit_cycles: int | None = None,
    watchdog: int = WATCHDOG,
    silence_seconds: float = SILENCE_SECONDS,
) -> list[LayerCounters]:
    """Run layers of a program in the RTL, one after the other, in one simulator process.

    Parameters
    ----------
    program : Program
    layers : sequence of str, optional
        Names of the layers in the order in which they run; all of them where it is None.
    image : Path
        The external memory, as :meth:`Program.write_image` makes it, with the tensors that the
        layers read; it holds their results afterwards.
    simulator : str
        "verilator" or "icarus" (slow, for small programs).
    memory : Memory, optional
        Timing of the external memory.
    progress : callable, optional
        Is called with a :class:`Progress` now and then.
    waves : Path, optional
        Where to write waveforms (VCD).
    window : (int, int), optional
        First cycle of the waveforms and the one after the last, from the start of the first layer;
        without it all of them. Only Verilator knows of it.
    events : EventFile, optional
        Where to record what the engines do; of one layer, whose cycles count from 1.
    writes : Path, optional
        Where to record what the layers write, see write_recorder.v.
    limit_cycles : int, optional
        Limit of each layer; where it is None it follows from the prediction and the memory.
    watchdog : int
        Cycles without progress after which the accelerator ends the program; 0 for no limit.
    silence_seconds : float
        Wall-clock time without a sign of life after which the simulator is ended.

    Returns
    -------
    list of LayerCounters
        One for each layer.

    Raises
    ------
    SystolithError
        If the simulator cannot be built or fails, or the accelerator reports an error or hangs.
    """
    # Amaranth, and only where the RTL is wanted.
    from systolith_sim.rtl.simulator import accelerator_build

    chosen = _choose(program, layers)
    report = progress or (lambda _: None)
    build = accelerator_build(
        program.config,
        simulator,
        program.memory_size,
        waves=waves is not None,
        events=events is not None,
        writes=writes is not None,
        progress=lambda text: report(Progress("build", text)),
    )
    return run_layers(
        build,
        program.config,
        chosen,
        image,
        memory=memory,
        progress=progress,
        waves=waves,
        window=window,
        events=events,
        writes=writes,
        limit_cycles=limit_cycles,
        watchdog=watchdog,
        silence_seconds=silence_seconds,
    )


def run_layers(
    build: Build,
    config: AcceleratorConfig,
    layers: Sequence[LayerProgram],
    image: Path,
    *,
    memory: Memory | None = None,
    progress: Callable[[Progress], None] | None = None,
    waves: Path | None = None,
    window: tuple[int, int] | None = None,
    events: EventFile | None = None,
    writes: Path | None = None,
    limit_cycles: int | None = None,
    watchdog: int = WATCHDOG,
    silence_seconds: float = SILENCE_SECONDS,
) -> list[LayerCounters]:
    """Run layers in a simulator that is already built; see :func:`simulate`.

    Parameters
    ----------
    build : Build
        The simulator.
    config : AcceleratorConfig
        The configuration that the layers were compiled for.
    layers : sequence of LayerProgram
    image : Path
        The external memory.
    memory, progress, waves, window, events, writes, limit_cycles, watchdog, silence_seconds
        See :func:`simulate`.
    """
    timing = MemoryTiming.of(memory or Memory())
    image = image.absolute()
    if not image.is_file():
        raise SystolithError(f"{image}: the memory image does not exist")
    limits = [limit_cycles or _limit(layer, config, timing) for layer in layers]
    folder = Path(tempfile.mkdtemp(prefix="systolith-run-"))
    image_out = None if build.simulator == "verilator" else folder / "image"
    job = {
        "config": config.to_dict(),
        "memory_size": image.stat().st_size,
        "image": str(image),
        "image_out": str(image_out) if image_out else None,
        "layers": [dataclasses.asdict(layer) for layer in layers],
        "limits": limits,
        "watchdog": watchdog,
        "progress_cycles": _PROGRESS_CYCLES[build.simulator],
    }
    job_path = folder / "job.json"
    job_path.write_text(json.dumps(job))
    arguments = [f"+image={image}", f"+memory_size={image.stat().st_size}"]
    arguments += timing.plusargs(config.bus_bytes)
    if image_out:
        arguments.append(f"+image_out={image_out}")
    if waves is not None:
        arguments.append(f"+waves={waves.absolute()}")
    if window is not None:
        arguments += [f"+waves_from={window[0]}", f"+waves_until={window[1]}"]
    if events is not None:
        arguments.append(f"+events={events.path.absolute()}")
        arguments.append(f"+events_interval={events.interval}")
    if writes is not None:
        arguments.append(f"+writes={writes.absolute()}")
    reader, writer = os.pipe()
    try:
        process = start_simulator(
            build,
            "systolith_host.runtime.rtl.entry",
            arguments,
            folder,
            environment={JOB_VARIABLE: str(job_path), EVENTS_VARIABLE: str(writer)},
            pass_fds=(writer,),
        )
    except SimulatorError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    try:
        results = _collect(_events(reader, process, silence_seconds), layers, progress)
        if len(results) != len(layers):
            _raise_crash(process, folder, layers[len(results)].name)
        # It has waveforms and, where coverage is measured, lines to write before it ends.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    except SystolithError as error:
        raise SystolithError(f"{error} (log: {folder / 'simulator.log'})") from None
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        process.kill()
        process.wait()
        os.close(reader)
    shutil.rmtree(folder, ignore_errors=True)
    return results


def _choose(program: Program, names: Sequence[str] | None) -> list[LayerProgram]:
    if names is None:
        return list(program.layers)
    by_name = {layer.name: layer for layer in program.layers}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise SystolithError(
            f"{program.network} has no layer {unknown[0]}; it has {', '.join(by_name)}"
        )
    return [by_name[name] for name in names]


def _limit(layer: LayerProgram, config: AcceleratorConfig, timing: MemoryTiming) -> int:
    """Return a number of cycles far above those of a working accelerator."""
    slower = 1.0
    if timing.bytes_per_cycle is not None:
        slower = max(1.0, config.bus_bytes / timing.bytes_per_cycle)
    slower *= (1 + timing.latency / 100) / (1 - timing.stalls) ** 2
    slower *= 1 + timing.turnaround / 8
    return int(10 * slower * max(layer.predicted_cycles, layer.bound_cycles)) + 1_000_000


def _collect(
    events: Iterator[dict[str, Any]],
    layers: Sequence[LayerProgram],
    progress: Callable[[Progress], None] | None,
) -> list[LayerCounters]:
    """Turn events into counters; fewer than layers if the events end too early."""
    expected = {layer.name: layer.predicted_cycles for layer in layers}
    results: list[LayerCounters] = []
    for event in events:
        kind = event["event"]
        if kind == "error":
            raise SystolithError(event["text"])
        if kind == "done":
            break
        name = event["layer"]
        if kind == "layer":
            results.append(
                LayerCounters(
                    event["cycles"], event["bytes_read"], event["bytes_written"], event["states"]
                )
            )
            moved = [event["bytes_read"], event["bytes_written"]]
            if moved != event["memory_bytes"]:
                raise SystolithError(
                    f"{name}: the accelerator counted {moved[0]} bytes read and {moved[1]} "
                    "written, the memory {} and {}".format(*event["memory_bytes"])
                )
        if progress is not None:
            stage = {"start": "start", "progress": "run", "layer": "end"}[kind]
            progress(Progress(stage, "", name, event.get("cycles", 0), expected[name]))
    return results


def _events(
    reader: int, process: "subprocess.Popen[bytes]", silence_seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield the simulator's messages until it closes the pipe."""
    pending = b""
    last = time.monotonic()
    while True:
        ready, _, _ = select.select([reader], [], [], 1.0)
        if ready:
            data = os.read(reader, 1 << 16)
            if not data:
                return
            last = time.monotonic()
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                yield json.loads(line)
        elif process.poll() is not None:
            return
        elif time.monotonic() - last > silence_seconds:
            raise SystolithError(
                f"the simulator was silent for {silence_seconds:g} s and was ended"
            )


def _raise_crash(process: "subprocess.Popen[bytes]", folder: Path, layer: str) -> None:
    try:
        status = process.wait(10)
    except subprocess.TimeoutExpired:
        raise SystolithError(f"{layer}: the simulator stopped reporting its progress") from None
    text = (folder / "simulator.log").read_text(errors="replace").strip()
    lines = [line for line in text.splitlines() if "rror" in line or "cannot" in line]
    last = (lines or text.splitlines() or ["it printed nothing"])[-1].strip()
    raise SystolithError(f"{layer}: the simulator ended with status {status}: {last}")
