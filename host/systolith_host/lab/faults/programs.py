"""Faulty programs: how they are made, what the emulator says of them, and runs of them in the RTL.

A layer of a random network is a correct program; one of its instructions is changed. The simulation
runs many of them one after the other on one accelerator, correct ones in between.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.lab.fuzz.gather import random_dense_qgraph
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.lab.fuzz.nibbles import narrow_weights
from systolith_host.lab.fuzz.winograd import random_winograd_case
from systolith_host.program.instructions import kind_of_convs, with_field
from systolith_host.runtime.driver import Driver
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import (
    FIELDS,
    INSTRUCTION_BYTES,
    OPCODE_WIDTH,
    Instruction,
    decode,
)
from systolith_hw.spec.registers import CONTROL_RESET, CONTROL_START, REGISTERS, ErrorCode
from systolith_sim.bench.bench_programs import IMAGE_VARIABLE, RUNS_VARIABLE, Answers, Runs
from systolith_sim.emulator import engines as emulator_engines
from systolith_sim.emulator.device import Emulator, EmulatorError
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import Build
from systolith_sim.rtl.process import start_simulator

__all__ = [
    "GUARD",
    "WINDOW",
    "Layer",
    "Outcome",
    "Run",
    "emulate",
    "flipped",
    "is_defined",
    "off_by_one",
    "random_layers",
    "simulate_runs",
]

WINDOW = 1 << 15
"""Bytes that a program may touch, from address 0 on."""

GUARD = 1 << 12
"""Bytes behind the window that nobody may touch."""

LARGEST_PREDICTION = 4000
"""Predicted cycles of a program."""

COUNTS = ("run_words", "runs", "planes", "rows", "pixels", "blocks", "pixel_bytes", "lane")


@dataclass(frozen=True)
class Layer:
    """A program that is correct.

    Parameters
    ----------
    before, after : ndarray of uint8, shape (WINDOW + GUARD,)
        Memory before and after it.
    address : int
        Of its first instruction, in bytes.
    count : int
        How many instructions it has.
    """

    before: np.ndarray
    after: np.ndarray
    address: int
    count: int

    def code(self, number: int) -> bytes:
        """Return an instruction as it stands in memory."""
        return self.before[self.place(number) :][:INSTRUCTION_BYTES].tobytes()

    def place(self, number: int) -> int:
        """Return the address of an instruction."""
        return self.address + number * INSTRUCTION_BYTES

    def opcode(self, number: int) -> int:
        """Return the opcode of an instruction."""
        return self.code(number)[0] & ((1 << OPCODE_WIDTH) - 1)

    def program(self, config: AcceleratorConfig) -> list[Instruction]:
        """Return all instructions."""
        return [decode(self.code(number), config) for number in range(self.count)]


@dataclass(frozen=True)
class Run:
    """A run of a layer, perhaps with another instruction in one place and with a broken memory.

    Parameters
    ----------
    layer : int
        Which of the layers.
    place : int
        Address at which memory is changed first.
    code : bytes
        To what; INSTRUCTION_BYTES of it.
    breach, breach_at : int
        See axi_memory.v; 0 is a memory that keeps to the protocol.
    address : int, optional
        What PROGRAM_ADDR is instead of the layer's.
    window : (int, int)
        WINDOW_BASE and WINDOW_END.
    watchdog : int
        Cycles.
    """

    layer: int
    place: int
    code: bytes
    breach: int = 0
    breach_at: int = 0
    address: int | None = None
    window: tuple[int, int] = (0, WINDOW)
    watchdog: int = 3000

    @classmethod
    def good(cls, layers: Sequence[Layer], number: int) -> "Run":
        """Return a run of a layer as it is."""
        return cls(number, layers[number].address, layers[number].code(0))


@dataclass(frozen=True)
class Outcome:
    """What the emulator says of a run: three registers, and the memory behind it."""

    code: ErrorCode
    engine: int
    info: int
    memory: np.ndarray


def random_layers(rng: random.Random, config: AcceleratorConfig, count: int) -> list[Layer]:
    """Return short programs of random networks; most of them gather weights if that is possible."""
    layers: list[Layer] = []
    while len(layers) < count:
        gathers = config.gather != 0 and rng.random() < (0.4 if config.winograd else 0.9)
        images = None
        if gathers:
            qgraph = random_dense_qgraph(rng)
        elif config.winograd and rng.random() < 0.6:
            qgraph, images = random_winograd_case(rng, config)
        else:
            qgraph = random_qgraph(rng, functions=bool(config.functions))
        if config.nibbles:
            qgraph = narrow_weights(rng, qgraph)
        batch = 1 if gathers else rng.choice([1, 1, 2]) if images is None else len(images)
        try:
            program = compile_network(qgraph, config, batch, density=0.01)
        except ShortageError:
            continue
        if program.memory_size > WINDOW:
            continue
        memory = np.random.default_rng(rng.getrandbits(32)).integers(
            0, 256, WINDOW + GUARD, np.uint8
        )
        device = Emulator(config, memory, strict=True)
        driver = Driver(device, config, WINDOW)
        for address, data in program.segments:
            device.write_memory(address, data)
        place = program.places[program.input]
        if images is None:
            images = random_input(rng, qgraph, place.shape[0])
        for address, data in place.pieces(images):
            device.write_memory(address, data)
        for layer in program.layers:
            before = memory.copy()
            driver.run_layer(layer, 1_000_000)
            kept = not gathers or kind_of_convs(program, layer) == "gather"
            if kept and layer.predicted_cycles < LARGEST_PREDICTION:
                layers.append(
                    Layer(before, memory.copy(), layer.instruction_address, layer.instruction_count)
                )
    return rng.sample(layers, count)


def emulate(
    config: AcceleratorConfig,
    layer: Layer,
    memory: np.ndarray,
    fill: int = 0,
    *,
    strict: bool = False,
    window: tuple[int, int] = (0, WINDOW),
) -> Outcome:
    """Run a layer on a copy of `memory`; `fill` is a seed of what the buffers hold at first.

    Raises
    ------
    EmulatorError
        With `strict`, if the program races with itself.
    """
    device = Emulator(config, memory.copy(), strict=strict)
    engines = device._engines
    values = np.random.default_rng(fill)
    for buffer in (engines.act, engines.weight):
        buffer[:] = values.integers(-128, 128, buffer.shape)
    engines.param[:] = values.integers(0, 256, engines.param.shape)
    engines.acc[:] = values.integers(-(1 << 20), 1 << 20, engines.acc.shape)

    def read(name: str) -> int:
        register = REGISTERS[name]
        low = device.read_register(register.offset)
        high = device.read_register(register.offset + 4) if register.width == 64 else 0
        return low | high << 32

    for name, value in (
        ("WINDOW_BASE", window[0]),
        ("WINDOW_END", window[1]),
        ("PROGRAM_ADDR", layer.address),
        ("PROGRAM_COUNT", layer.count),
        ("CONTROL", CONTROL_RESET),
        ("CONTROL", CONTROL_START),
    ):
        device.write_register(REGISTERS[name].offset, value)
    return Outcome(
        ErrorCode(read("ERROR_CODE")), read("ERROR_ENGINE"), read("ERROR_INFO"), device.memory
    )


def is_defined(
    config: AcceleratorConfig,
    layer: Layer,
    memory: np.ndarray,
    *,
    window: tuple[int, int] = (0, WINDOW),
) -> bool:
    """Return whether a program's result depends on nothing but the program and its memory.

    All sums that it drains and all parameters are compared between buffers with different contents
    at the start: a clamp or a maximum could hide that they differ.
    """
    try:
        emulate(config, layer, memory, strict=True, window=window)
    except EmulatorError:
        return False
    original = emulator_engines._requantise
    used: list[list[np.ndarray]] = []
    for fill in range(3):
        seen: list[np.ndarray] = []

        def requantise(sums: np.ndarray, params: np.ndarray, *others: Any, to=seen):
            to += [sums.copy(), params.copy()]
            return original(sums, params, *others)

        with mock.patch.object(emulator_engines, "_requantise", requantise):
            emulate(config, layer, memory, fill, window=window)
        used.append(seen)
    return all(
        np.array_equal(first, second)
        for other in used[1:]
        for first, second in zip(used[0], other, strict=True)
    )


def off_by_one(rng: random.Random, instruction: Instruction) -> bytes:
    """Return the instruction with a count that is one more or less."""
    fields = [
        field
        for field in FIELDS[instruction.opcode]
        if field.name in COUNTS or field.name.endswith("_count") or field.name.startswith("pad_")
    ]
    field = rng.choice(fields)
    return with_field(instruction, field, instruction[field.name] + rng.choice([-1, 1]))


def flipped(rng: random.Random, instruction: Instruction) -> bytes:
    """Return the instruction with one bit flipped."""
    used = OPCODE_WIDTH + sum(field.width for field in FIELDS[instruction.opcode])
    code = int.from_bytes(instruction.encode(), "little") ^ 1 << rng.randrange(used)
    return code.to_bytes(INSTRUCTION_BYTES, "little")


def simulate_runs(
    built: Build,
    bus_bytes: int,
    layers: Sequence[Layer],
    runs: Sequence[Run],
    folder: Path,
    timing: MemoryTiming,
) -> tuple[Runs, Answers]:
    """Run them one after the other, with a reset after each that failed.

    Parameters
    ----------
    built : Build
        Of an accelerator.
    bus_bytes : int
        Of its configuration.
    layers : sequence of Layer
    runs : sequence of Run
    folder : Path
        For the files of the simulation.
    timing : MemoryTiming

    Returns
    -------
    runs : Runs
        What the simulation was asked.
    answers : Answers

    Raises
    ------
    RuntimeError
        If the simulation ends without an answer.
    """
    jobs = Runs(
        memory=np.stack([layer.before for layer in layers]),
        image=np.array([run.layer for run in runs]),
        address=np.array(
            [layers[run.layer].address if run.address is None else run.address for run in runs]
        ),
        count=np.array([layers[run.layer].count for run in runs]),
        patch_at=np.array([run.place for run in runs]),
        patch=np.array([np.frombuffer(run.code, np.uint8) for run in runs]),
        breach=np.array([run.breach for run in runs]),
        breach_at=np.array([run.breach_at for run in runs]),
        window_base=np.array([run.window[0] for run in runs]),
        window_end=np.array([run.window[1] for run in runs]),
        watchdog=np.array([run.watchdog for run in runs]),
        limit=np.full(len(runs), 300_000),
    )
    jobs.save(folder / "runs.npz")
    image = folder / "image"
    layers[0].before.tofile(image)
    process = start_simulator(
        built,
        "systolith_sim.bench.bench_programs",
        [f"+image={image}", *timing.plusargs(bus_bytes)],
        folder,
        environment={RUNS_VARIABLE: str(folder / "runs.npz"), IMAGE_VARIABLE: str(image)},
    )
    try:
        process.wait(500)
    finally:
        process.kill()
    answers = folder / "runs.answers.npz"
    if not answers.exists():
        raise RuntimeError((folder / "simulator.log").read_text()[-3000:])
    return jobs, Answers.load(answers)
