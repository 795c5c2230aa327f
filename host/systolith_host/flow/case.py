"""Cases: a layer that went wrong, saved with all that it takes to run it again, and such runs."""

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.flow.triage import Tile, Triage, find_first_wrong
from systolith_host.program.check import PAGE_BYTES, external_span
from systolith_host.program.instructions import layer_instructions
from systolith_host.program.program import LayerProgram, Program
from systolith_host.runtime.backend import Backend, Observer, refuse_waves
from systolith_host.runtime.emulator import EmulatorBackend
from systolith_host.runtime.jobs import Job
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Opcode
from systolith_hw.spec.memory import Memory

__all__ = ["VIEW", "WAVES", "Case", "Verdict", "run_case", "trace_case", "window_of"]

WAVES, VIEW = "waves.fst", "waves.gtkw"
"""Files of a case that a traced run writes."""


_PROGRAM, _FACTS = "layer.program", "case.json"

_FORMAT = 1

WINDOW_MARGIN = 64
"""Cycles before and after those of the instructions, which a broken accelerator may shift."""


@dataclass(frozen=True, eq=False)
class Case:
    """A layer with its inputs, and the output that it should have.

    Parameters
    ----------
    program : Program
        Its only layer is this one.
    inputs : mapping of str to ndarray, shape (N, C, H, W)
        Its input tensors, by the golden model.
    wanted, found : ndarray, shape (N, K, P, Q)
        The output by the golden model, and by the device that was wrong.
    device : str
        Which that was, in words.
    memory : Memory, optional
        The memory behind it, where it is known.
    """

    program: Program
    inputs: Mapping[str, np.ndarray]
    wanted: np.ndarray
    found: np.ndarray
    device: str
    memory: Memory | None = None

    @classmethod
    def of(
        cls,
        program: Program,
        layer: LayerProgram,
        golden: Mapping[str, np.ndarray],
        found: np.ndarray,
        device: str,
        memory: Memory | None,
    ) -> "Case":
        """Return the case of one layer of a program.

        Parameters
        ----------
        golden : mapping of str to ndarray
            At least the layer's inputs and output.
        """
        inputs = {name: golden[name] for name in layer.inputs}
        alone = _only(program, layer)
        return cls(alone, inputs, golden[layer.output], found, device, memory)

    @property
    def layer(self) -> LayerProgram:
        """The layer."""
        return self.program.layers[0]

    def save(self, folder: Path) -> None:
        """Write the case into a folder: program, inputs, both outputs, and a JSON of facts.

        Raises
        ------
        SystolithError
            If the folder cannot be written, or is there and holds something else.
        """
        if folder.exists() and not (folder / _FACTS).is_file():
            raise SystolithError(f"{folder}: is there already, and no case: choose another folder")
        triage = find_first_wrong(self.program, self.layer, self.found, self.wanted)
        facts = {
            "case": _FORMAT,
            "device": self.device,
            "memory": None if self.memory is None else _fields(self.memory),
            "triage": None if triage is None else triage.to_dict(),
        }
        try:
            folder.mkdir(exist_ok=True)
            for number, name in enumerate(self.layer.inputs):
                np.save(folder / f"input{number}.npy", self.inputs[name])
            np.save(folder / "wanted.npy", self.wanted)
            np.save(folder / "found.npy", self.found)
            (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n")
        except OSError as error:
            raise SystolithError(f"{folder}: cannot be written: {error.strerror}") from None
        self.program.save(folder / _PROGRAM)

    @classmethod
    def load(cls, folder: Path) -> "Case":
        """Read a case from a folder.

        Raises
        ------
        SystolithError
            If it is none, or is damaged.
        """
        path = folder / _FACTS
        try:
            facts = json.loads(path.read_text("utf-8"))
            if not isinstance(facts, dict) or facts.get("case") != _FORMAT:
                raise SystolithError(f"{path}: is not of a case that this version knows")
            told = facts.get("memory")
            memory = None if told is None else Memory(**told)
        except OSError as error:
            raise SystolithError(
                f"{folder}: is no case of a mismatch, as `systolith run` saves it: {path.name}: "
                f"{error.strerror}"
            ) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise SystolithError(f"{path}: is damaged: {' '.join(str(error).split())}") from None
        program = Program.load(folder / _PROGRAM)
        if len(program.layers) != 1:
            raise SystolithError(f"{folder / _PROGRAM}: must have one layer: the case is damaged")
        layer = program.layers[0]
        names = layer.inputs
        files = {name: folder / f"input{number}.npy" for number, name in enumerate(names)}
        inputs = {name: _array(file, program, name) for name, file in files.items()}
        wanted = _array(folder / "wanted.npy", program, layer.output)
        found = _array(folder / "found.npy", program, layer.output)
        return cls(program, inputs, wanted, found, str(facts.get("device", "")), memory)


@dataclass(frozen=True)
class Verdict:
    """The result of running a case again.

    Parameters
    ----------
    device : str
        What ran it.
    triage : Triage, optional
        Of its output; None if it equals the golden model's.
    emulated : Triage, optional
        Of the emulator's, likewise.
    """

    device: str
    triage: Triage | None
    emulated: Triage | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "device": self.device,
            "triage": None if self.triage is None else self.triage.to_dict(),
            "emulated": None if self.emulated is None else self.emulated.to_dict(),
        }


def run_case(case: Case, backend: Backend, observer: Observer) -> Verdict:
    """Run a case on a device, and on the emulator: that tells the program's faults from others.

    Raises
    ------
    SystolithError
        If the device cannot run it, or fails.
    """
    backend.check(case.program)
    observer.stage("building the simulator")
    backend.prepare(case.program, observer)
    triages = []
    for each in (backend, EmulatorBackend()):
        observer.stage(each.stage)
        job = Job((case.layer,), dict(case.inputs))
        (outcome,) = each.run(case.program, [job], observer)
        triages.append(find_first_wrong(case.program, case.layer, outcome.output, case.wanted))
    return Verdict(backend.facts.device, *triages)


def trace_case(case: Case, backend: Backend, observer: Observer, folder: Path) -> Verdict:
    """Run a case in the RTL as :func:`run_case`, and write waveforms of the first wrong tile.

    Parameters
    ----------
    backend : Backend
        That of the RTL.
    folder : Path
        Gets the waveforms and the view.

    Raises
    ------
    SystolithError
        As :func:`run_case`; if the back end has no waveforms, or the folder cannot be written.
    """
    from systolith_host.runtime.rtl.backend import RtlBackend
    from systolith_host.runtime.rtl.waves import convert, write_view

    if not isinstance(backend, RtlBackend):
        raise refuse_waves()
    triage = find_first_wrong(case.program, case.layer, case.found, case.wanted)
    window = window_of(case, None if triage is None else triage.tile, backend.memory)
    with tempfile.TemporaryDirectory(prefix="systolith-waves-") as work:
        vcd = Path(work) / "waves.vcd"
        traced = backend.with_waves(case.layer.name, vcd)
        verdict = run_case(case, dataclasses.replace(traced, window=window), observer)
        observer.stage("waveforms")
        signals = convert(vcd, folder / WAVES)
    write_view(folder / VIEW, folder / WAVES, signals)
    return verdict


def window_of(case: Case, tile: Tile | None, memory: Memory | None) -> tuple[int, int] | None:
    """Return the first and the last cycle of the layer in which a tile is worked on.

    They begin where the loads that its first CONV waits for begin, and end where its STORE is
    acknowledged, by the replay of the layer, a few cycles around it included.

    Parameters
    ----------
    tile : Tile, optional
        None for all of the layer, whose window is None.
    memory : Memory, optional
        The one behind the device.

    Raises
    ------
    SystolithError
        If the memory pauses at random.
    """
    if tile is None:
        return None
    from systolith_host.runtime.replay import replay_table  # imports numba
    from systolith_sim.replay.table import make_table

    program, layer = case.program, case.layer
    instructions = layer_instructions(program, layer)
    masks: list[np.ndarray] = []
    if any(one.fields.get("scan") for one in instructions):  # which weights are read is up to data
        job = Job((layer,), dict(case.inputs))
        EmulatorBackend().emulate(program, job, Observer(), lambda done: masks.extend(done.masks))
    table = make_table(instructions, program.config, layer.instruction_address, masks)
    times = replay_table(table, program.config, memory).times
    loads = [number for number, one in enumerate(instructions) if one.opcode is Opcode.LOAD]
    numbers = [*tile.convs[:1], tile.instruction]
    for conv in tile.convs[:1]:
        for name in ("after_loaded_act", "after_loaded_weight"):
            numbers += loads[: instructions[conv][name]][-1:]
    last = int(times[tile.instruction].max())
    first = min(int(times[number][0]) for number in numbers)
    return max(0, first - WINDOW_MARGIN), last + WINDOW_MARGIN


def _fields(memory: Memory) -> dict[str, Any]:
    return {field.name: getattr(memory, field.name) for field in dataclasses.fields(Memory)}


def _only(program: Program, layer: LayerProgram) -> Program:
    """Return a program of one layer of another, with no more contents than it reads."""
    start = layer.instruction_address
    spans = [(start, start + layer.instruction_count * INSTRUCTION_BYTES)]
    for one in layer_instructions(program, layer):
        if one.opcode is Opcode.LOAD:
            spans.append(external_span(one, program.config))
    merged: list[list[int]] = []
    for first, last in sorted(set(spans)):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(last, merged[-1][1])
        else:
            merged.append([first, last])
    segments = []
    for address, data in program.segments:
        for first, last in merged:
            low, high = max(first, address), min(last, address + data.size)
            if low < high:
                segments.append((low, data[low - address : high - address].copy()))
    ends = [address + data.size for address, data in segments]
    ends += [place.address + place.size for place in program.places.values()]
    size = -(-max(ends) // PAGE_BYTES) * PAGE_BYTES
    return dataclasses.replace(
        program, layers=(layer,), segments=tuple(segments), memory_size=size, host=()
    )


def _array(path: Path, program: Program, tensor: str) -> np.ndarray:
    place = program.places[tensor]
    try:
        values = np.load(path, allow_pickle=False)
    except OSError as error:
        raise SystolithError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise SystolithError(f"{path}: is damaged: {' '.join(str(error).split())}") from None
    if values.shape != place.shape or values.dtype != place.dtype:
        raise SystolithError(
            f"{path}: must be {place.dtype} of shape {place.shape}, "
            f"not {values.dtype} of shape {values.shape}"
        )
    return values
