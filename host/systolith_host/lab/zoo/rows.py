"""What becomes of well-known networks: on which side their nodes run, how exactly, how fast."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.cost.estimate import estimate_network
from systolith_host.errors import SystolithError
from systolith_host.flow.judge import make_report
from systolith_host.flow.load import shape_network
from systolith_host.flow.log import Log
from systolith_host.flow.quantisation import Quantisation
from systolith_host.flow.run import Request, execute, load_request, prepare_program
from systolith_host.frontend.judge import judge_float
from systolith_host.frontend.onnx import OnnxModel, inspect_onnx
from systolith_host.lab.zoo.files import Subject
from systolith_host.runtime.choose import DeviceOptions, choose_backend
from systolith_host.version import describe
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory

__all__ = ["MOST_RTL_CYCLES", "Known", "ZooRow", "measure", "read_rows", "save_rows"]

MOST_RTL_CYCLES = 6_000_000
"""Beyond which a network of fixed size does not run in the RTL: some minutes of simulation."""


@dataclass(frozen=True)
class ZooRow:
    """What became of a file.

    Parameters
    ----------
    name, source, weights : str
        As of :class:`~systolith_host.lab.zoo.files.Subject`.
    shape : tuple of int
        Of one image, for all numbers up to `traffic`.
    macs : int
        Multiply-accumulates of the accelerator's layers.
    hosted : dict of str to int
        Nodes that the host computes, by operator.
    more : dict of str to int
        The same on an accelerator without tables; equal where this one has none.
    error : float or None
        Largest difference of the float network's outputs from onnxruntime's, by the largest
        output; None if they were not compared.
    cycles, traffic : int
        By the replay; bytes.
    utilisation : float
        Multiply-accumulates by multiplier and cycle.
    ran : tuple of int
        The image's shape in the runs; empty if there was none.
    decibels : float or None
        Signal over noise of the output of the run.
    values : int
        That the runs were compared in.
    emulator, rtl : int or None
        Of these, the ones that differ from the golden model; None where nothing ran.
    refused : str
        Why the file does not run; empty if it does.
    """

    name: str
    source: str
    weights: str
    shape: tuple[int, ...] = ()
    macs: int = 0
    hosted: dict[str, int] = field(default_factory=dict)
    more: dict[str, int] = field(default_factory=dict)
    error: float | None = None
    cycles: int = 0
    utilisation: float = 0.0
    traffic: int = 0
    ran: tuple[int, ...] = ()
    decibels: float | None = None
    values: int = 0
    emulator: int | None = None
    rtl: int | None = None
    refused: str = ""

    @property
    def wrong(self) -> bool:
        """Whether a device differed from the golden model."""
        return bool(self.emulator or self.rtl)


Known = Mapping[tuple[str, str], ZooRow]
"""Rows by the name and source of their networks."""


def measure(
    subjects: Sequence[Subject],
    config: AcceleratorConfig,
    *,
    rtl: bool,
    log: Log,
    known: Known | None = None,
) -> Iterator[ZooRow]:
    """Measure files, and yield a row for each.

    A file that does not run gets a row that says why.

    Parameters
    ----------
    subjects : sequence of Subject
    config : AcceleratorConfig
    rtl : bool
        Whether the runs are repeated in the RTL.
    log : Log
        Hears of the stages, as parts of the whole.
    known : mapping, optional
        Rows of an earlier run, which are yielded as they are.
    """
    log.stage("zoo")
    for place, subject in enumerate(subjects):
        row = (known or {}).get((subject.name, subject.source))
        if row is not None:
            yield row
            continue
        part = _Part(log, subject, place, len(subjects))
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = _measure(subject, Path(folder), config, rtl=rtl, log=part)
            except SystolithError as error:
                row = ZooRow(subject.name, subject.source, subject.weights, refused=str(error))
        yield row


class _Part:
    """One file's stages as a part of a longer log; what is said on the way is dropped."""

    def __init__(self, log: Log, subject: Subject, place: int, count: int) -> None:
        self._log, self._place, self._count = log, place, count
        self._title = f"{subject.name} by {subject.source}"

    def stage(self, name: str) -> None:
        self._log.update(f"{self._title}: {name}", self._place, self._count)

    def update(self, what: str, done: float, total: float) -> None:
        self._log.update(f"{self._title}: {what}" if what else "", self._place, self._count)

    def message(self, text: str) -> None:
        pass


def _measure(
    subject: Subject, folder: Path, config: AcceleratorConfig, *, rtl: bool, log: Log
) -> ZooRow:
    log.stage("export")
    file = subject.make(folder)
    log.stage("reading")
    functions = bool(config.functions)
    model = _read(file.path, functions)
    graph = model.graph
    shape = graph.shapes[graph.input]
    log.stage("comparison with onnxruntime")
    x = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    error = judge_float(file.path, model, x).difference
    hosted = _count(model)
    more = _count(_read(file.path, False)) if functions else hosted
    del model
    log.stage("cycles")
    network = shape_network(str(file.path), functions=functions)
    report = estimate_network(network, config, log=log)
    totals = report.groups["all"]
    run = _Run(file.small or file.path, config, quick=subject.weights == "constant", log=log)
    short = file.small is not None or (totals.cycles or 0) <= MOST_RTL_CYCLES
    emulator = run.mismatches("emulator")
    return ZooRow(
        subject.name,
        subject.source,
        subject.weights,
        shape,
        totals.macs,
        hosted,
        more,
        error,
        totals.cycles or 0,
        report.utilisation(totals) or 0.0,
        (totals.bytes_read or 0) + (totals.bytes_written or 0),
        run.shape,
        run.decibels,
        run.values,
        emulator,
        run.mismatches("rtl") if rtl and short else None,
    )


def _read(path: Path, functions: bool) -> OnnxModel:
    model, problems = inspect_onnx(path, host_nodes=True, functions=functions)
    if model is None:
        raise SystolithError("; ".join(map(str, problems)))
    return model


def _count(model: OnnxModel) -> dict[str, int]:
    counts = Counter(problem.operator for problem in model.hosted)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


class _Run:
    """A quantised and compiled network, and its runs on devices.

    Parameters
    ----------
    path : Path
    config : AcceleratorConfig
    quick : bool
        Whether the values mean nothing, so that the shortest way to integers will do.
    log : Log
    """

    def __init__(self, path: Path, config: AcceleratorConfig, *, quick: bool, log: Log) -> None:
        how = Quantisation("minmax", False, False, False) if quick else Quantisation()
        request = Request(network=str(path), config=config, quantisation=how, noise=not quick)
        loaded, _ = load_request(request, log)
        self._prepared, self._program = prepare_program(request, loaded, None, Memory(), log)
        self._log = log
        self.shape = loaded.graph.shapes[loaded.graph.input]
        self.decibels = None
        if not quick:
            self.decibels = self._prepared.noise[self._prepared.qgraph.output]
        self.values = 0

    def mismatches(self, device: str) -> int:
        """Run the network on a device; return the values that differ from the golden model's."""
        program, tensors = self._program, self._prepared.tensors
        backend = choose_backend(device, DeviceOptions())
        outcomes, _ = execute(program, program.layers, tensors, backend, self._log, sequential=True)
        report = make_report(program, outcomes, backend.facts, clock_mhz=1.0, golden=tensors)
        found = [row.mismatches for row in (*report.layers, *report.host)]
        self.values = sum(row.values for row in (*report.layers, *report.host))
        return sum(count or 0 for count in found)


def _maker(config: AcceleratorConfig, rtl: bool) -> dict[str, object]:
    return {"tool": describe(), "config": config.to_dict(), "rtl": rtl}


def read_rows(path: Path, config: AcceleratorConfig, *, rtl: bool) -> dict[tuple[str, str], ZooRow]:
    """Return the rows of a file, if the same tool made them for the same accelerator.

    Parameters
    ----------
    path : Path
        As :func:`save_rows` writes it; it need not exist.
    config, rtl
        As of :func:`measure`.

    Raises
    ------
    SystolithError
        If the file is another one.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        maker = {key: content[key] for key in _maker(config, rtl)}
        rows = [ZooRow(**{**row, **_tuples(row)}) for row in content["networks"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystolithError(f"{path}: no rows of `lab zoo` can be read: {error}") from None
    return {(row.name, row.source): row for row in rows} if maker == _maker(config, rtl) else {}


def _tuples(row: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(row[name]) for name in ("shape", "ran")}


def save_rows(rows: Sequence[ZooRow], config: AcceleratorConfig, path: Path, *, rtl: bool) -> None:
    """Write the rows as JSON, with what made them.

    Raises
    ------
    SystolithError
        If the file cannot be written.
    """
    content = {**_maker(config, rtl), "networks": [asdict(row) for row in rows]}
    try:
        path.write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None
