"""Faults of programs and of their places in memory; the emulator says what must come of them."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from systolith_host.lab.faults.judge import Ended, FaultError, judge_program
from systolith_host.lab.faults.kinds import Case, Told
from systolith_host.lab.faults.programs import (
    GUARD,
    WINDOW,
    Layer,
    flipped,
    off_by_one,
)
from systolith_host.lab.faults.stand import Seen
from systolith_host.program.instructions import with_field
from systolith_host.program.relocate import move_instructions
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import (
    FIELDS,
    INSTRUCTION_BYTES,
    OPCODE_WIDTH,
    Buffer,
    Instruction,
    Opcode,
    decode,
)
from systolith_hw.spec.legal import word_bytes
from systolith_hw.spec.registers import Engine

__all__ = ["CODE_KINDS", "relocated"]

_ENGINES = {Opcode.LOAD: "LOAD", Opcode.CONV: "COMPUTE", Opcode.STORE: "STORE"}


def _judge(case: Case, seen: Seen, memory: np.ndarray, window: tuple[int, int], what: str) -> str:
    """Compare a run from `memory` with the emulator's; return what it says, or why it does not."""
    stand = case.stand
    ended = Ended(seen.interrupt, seen.outcome, stand.bench.memory)
    return judge_program(stand.config, case.layer, memory, ended, what, window=window)


Change = Callable[[random.Random, Instruction], bytes]


def _changed(change: Change) -> Callable[[Case], Told]:
    def run(case: Case) -> Told:
        """Change one instruction."""
        stand, layer = case.stand, case.layer
        number = case.rng.randrange(layer.count)
        instruction = decode(layer.code(number), stand.config)
        code = change(case.rng, instruction)
        place = layer.place(number)
        memory = layer.before.copy()
        memory[place : place + len(code)] = np.frombuffer(code, np.uint8)
        what = f"instruction {number} is {code.hex()}"
        case.layer = replace(layer, before=memory)
        case.begin()
        seen = stand.end()
        note = _judge(case, seen, memory, (0, WINDOW), what)
        if not seen.outcome.done:
            stand.cure(what)
        cycle = case.cycles * number // layer.count  # more or less: when it comes
        return Told(_ENGINES[instruction.opcode], cycle, seen.code, note)

    return run


def _bad_opcode(rng: random.Random, instruction: Instruction) -> bytes:
    """Return the instruction with another opcode, most of them illegal."""
    values = [value for value in range(1 << OPCODE_WIDTH) if value != instruction.opcode]
    code = int.from_bytes(instruction.encode(), "little")
    code = code & ~((1 << OPCODE_WIDTH) - 1) | rng.choice(values)
    return code.to_bytes(INSTRUCTION_BYTES, "little")


def _bad_field(rng: random.Random, instruction: Instruction) -> bytes:
    """Return the instruction with a field at or beyond an end of its range, or anywhere."""
    field = rng.choice(FIELDS[instruction.opcode])
    top = (1 << field.width) - 1
    values = [0, top, 1 << field.width - 1, top >> 1, rng.randint(0, top)]
    values += [field.least - 1] if field.least is not None else []
    values += [field.most + 1] if field.most is not None else []
    return with_field(instruction, field, rng.choice(values))


def _window(case: Case) -> Told:
    """Set a window that cuts off a part of what the program touches, at any end."""
    rng, stand, layer = case.rng, case.stand, case.layer
    low, high = sorted(rng.randrange(WINDOW + GUARD) for _ in range(2))
    window = rng.choice([(low, WINDOW), (0, high), (low, high), (high, low)])
    stand.set_window(*window)
    case.begin()
    seen = stand.end()
    what = f"window {window[0]:#x} to {window[1]:#x}"
    note = _judge(case, seen, layer.before, window, what)
    if not seen.outcome.done:
        stand.cure(what)
    stand.set_up()
    engine = "all" if seen.outcome.done else Engine(seen.outcome.engine).name
    return Told(engine, 0, seen.code, note)


def relocated(layer: Layer, base: int, guard: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the memory before and after a layer at `base`, `guard` bytes behind the memory's."""
    first, size = layer.address, layer.count * INSTRUCTION_BYTES
    both = []
    for memory in (layer.before, layer.after):
        memory = np.roll(memory, guard)
        place = slice(first + guard, first + guard + size)
        move_instructions(memory[place], base)
        both.append(memory)
    return both[0], both[1]


def _across(instruction: Instruction, config: AcceleratorConfig, space: int) -> bytes:
    """Return a LOAD or STORE whose first run begins in memory's last bytes and does not fit."""
    if instruction.opcode is Opcode.LOAD:
        size = word_bytes(Buffer(instruction["buffer"]), config)
    else:
        size = config.block
    fields = dict(instruction.fields)
    if fields["run_words"] == 1:
        fields["run_words"] = 2  # which is also a wrong count
    left = 64
    while left >= fields["run_words"] * size:
        left //= 2
    return Instruction(instruction.opcode, {**fields, "addr": space - left}).encode()


def _elsewhere(case: Case) -> Told:
    """Run the program at any base; half of them end where memory does, and some reach beyond."""
    rng, stand, layer = case.rng, case.stand, case.layer
    space = 1 << stand.config.addr_width
    at_top = rng.random() < 0.5
    base = space - WINDOW if at_top else rng.randrange(GUARD, space - WINDOW, GUARD)
    before, after = relocated(layer, base, GUARD)
    bench = stand.bench
    end = base + WINDOW
    beyond = at_top and rng.random() < 0.6
    bench.write("WATCHDOG", 3000)
    bench.behave(case.timing)
    bench.place(base - GUARD)
    bench.write("WINDOW_BASE", base)
    # The window may reach beyond all of memory, whose addresses end all the same.
    bench.write("WINDOW_END", end + (rng.choice([0, 64, 1 << 20]) if at_top else 0))
    bench.allow(base, end)
    engine = "all"
    number, instruction = 0, None
    if beyond:
        moves = [Opcode.LOAD, Opcode.STORE]
        places = [n for n in range(layer.count) if layer.opcode(n) in moves]
        number = rng.choice(places)
        place = layer.place(number) + GUARD
        instruction = decode(before[place : place + INSTRUCTION_BYTES].tobytes(), stand.config)
        code = _across(instruction, stand.config, space)
        before[place : place + INSTRUCTION_BYTES] = np.frombuffer(code, np.uint8)
        engine = _ENGINES[instruction.opcode]
    stand.prepare(before, base + layer.address, layer.count, case.seed)
    stand.start()
    seen = stand.end()
    what = f"at {base:#x}"
    if instruction is None:
        stand.check_exact(seen, after, what)
    else:
        what = f"{what}, instruction {number} ({instruction.opcode.name}) beyond the end"
        if not seen.interrupt:
            raise FaultError("hang", what)
        if not seen.outcome.failed:
            raise FaultError("silent", f"{what}: {seen.outcome}")
        if Engine(seen.outcome.engine).name != engine or seen.code not in ("ADDRESS", "COUNT"):
            raise FaultError("report", f"{what}: {seen.outcome}")
        if not np.array_equal(bench.memory[:GUARD], before[:GUARD]):
            raise FaultError("rule", f"{what}: bytes below the window were written")
        stand.cure(what)
    stand.set_up()
    cycle = case.cycles * number // layer.count
    return Told(engine, cycle, seen.code, "top" if at_top else "anywhere")


CODE_KINDS: Mapping[str, Callable[[Case], Told]] = {
    "opcode": _changed(_bad_opcode),
    "field at an end of its range": _changed(_bad_field),
    "bit flipped": _changed(flipped),
    "count off by one": _changed(off_by_one),
    "window too small": _window,
    "other base, end of memory": _elsewhere,
}
