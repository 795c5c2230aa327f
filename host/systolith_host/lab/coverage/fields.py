"""Directed tests of single instructions: fields at the ends of their ranges, and of any value."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from systolith_host.lab.coverage.draft import SIZE
from systolith_host.lab.coverage.stand import USUAL, Director
from systolith_host.lab.faults.judge import Ended, judge_program
from systolith_host.lab.faults.programs import WINDOW, Layer, emulate
from systolith_host.program.instructions import with_field
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Field, Instruction, Opcode, Role, decode, fields_of
from systolith_hw.spec.registers import ErrorCode
from systolith_sim.emulator.device import EmulatorError

__all__ = ["ends", "random_fields"]

_RANDOM = 120
"""Instructions of each kind with random fields."""


def random_fields(director: Director) -> None:
    """Let the fields of single instructions have any values: most of them are refused."""
    stand, rng = director.stand, director.rng
    window = (0, WINDOW)
    for opcode in (*Opcode,) * _RANDOM:
        code = _random_code(rng, opcode, stand.config)
        memory = np.zeros(SIZE, np.uint8)
        memory[: len(code)] = np.frombuffer(code, np.uint8)
        layer = Layer(memory, memory, 0, 1)
        stand.prepare(memory, 0, 1, 1)
        stand.start()
        seen = stand.end()
        ended = Ended(seen.interrupt, seen.outcome, stand.bench.memory)
        judge_program(stand.config, layer, memory, ended, code.hex(), window=window)
        if not seen.outcome.done:
            stand.cure(code.hex())


def _random_code(rng: random.Random, opcode: Opcode, config: AcceleratorConfig) -> bytes:
    """Return an instruction whose fields are legal one by one, with bits of many patterns."""
    fields = {}
    for field in fields_of(opcode, config):
        if field.role is Role.TOKEN:
            continue
        bits = field.bits(config.addr_width)
        top = (1 << bits) - 1
        patterns = [0, top, top // 3, top // 3 * 2, 1, 2, 4, rng.getrandbits(bits)]
        value = rng.choice(patterns)
        if field.external and field.name != "run_words":
            value &= ~63
        if field.signed and value >> bits - 1:
            value -= 1 << bits
        fields[field.name] = min(max(value, field.low), field.high)
    if opcode is Opcode.LOAD:
        fields["lane"] %= config.row_groups
        fields["pixel_bytes"] = rng.choice((0, *config.pack_sizes))
    if opcode is Opcode.STORE:
        fields["blocks"] = rng.randint(1, config.col_groups)
        fields["param_base"] -= fields["param_base"] % config.post_lanes
        fields["low"], fields["high"] = sorted((fields["low"], fields["high"]))
    for name in ("winograd", "gather", "scan", "stacked", "unsigned", "nibbles"):
        if name in fields and rng.random() < 0.7:
            fields[name] = 0
    return Instruction(opcode, fields).encode()


def _end_values(field: Field) -> list[int]:
    """Return the values of a field as bits: its ends, the top bit alone, and alternating bits."""
    top = (1 << field.width) - 1
    values = {
        field.low & top,
        field.high & top,
        1 << field.width - 1,
        top,
        top // 3,
        top // 3 * 2 & top,
    }
    return sorted(values)


_TRIES = 6
"""Instructions in which a field's value is tried, until a program with it ends without an error."""


def ends(director: Director) -> None:
    """Let each field have the ends of its range; where that can be legal, in such a program."""
    stand, rng = director.stand, director.rng
    places: dict[Opcode, list[tuple[Layer, int]]] = {opcode: [] for opcode in Opcode}
    for layer in stand.layers:
        for number in range(layer.count):
            places[Opcode(layer.opcode(number))].append((layer, number))
    for opcode in Opcode:
        for field in fields_of(opcode, stand.config):
            for value in _end_values(field):
                some = rng.sample(places[opcode], min(_TRIES, len(places[opcode])))
                _one_end(director, field, value, some)


def _one_end(
    director: Director, field: Field, value: int, places: Sequence[tuple[Layer, int]]
) -> None:
    stand = director.stand
    chosen = []
    for layer, number in places:
        instruction = decode(layer.code(number), stand.config)
        code = with_field(instruction, field, value)
        memory = layer.before.copy()
        place = layer.place(number)
        memory[place : place + len(code)] = np.frombuffer(code, np.uint8)
        changed = replace(layer, before=memory)
        try:
            code = emulate(stand.config, changed, memory).code
        except EmulatorError:
            continue
        if code == ErrorCode.NONE:
            chosen = [changed]
            break
        chosen = chosen[:1] or [changed]
    for layer in chosen:
        what = f"{field.name} = {value:#x}"
        seen = stand.run(layer, USUAL, 1)
        ended = Ended(seen.interrupt, seen.outcome, stand.bench.memory)
        judge_program(stand.config, layer, layer.before, ended, what)
        if not seen.outcome.done:
            stand.cure(what)
