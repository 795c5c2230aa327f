"""Checks program files before a run: kinds, ranges, places that fit, legal instructions."""

import dataclasses
import math
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import (
    INSTRUCTION_BYTES,
    Buffer,
    Instruction,
    Opcode,
    decode,
)
from systolith_hw.spec.legal import word_bytes

if TYPE_CHECKING:
    from systolith_host.program.program import LayerProgram, Place, Program

__all__ = ["LARGEST_BATCH", "PAGE_BYTES", "check", "external_span", "record", "shape", "whole"]

_Record = TypeVar("_Record")

ALIGNMENT = 64
"""Alignment of a tensor's address in bytes."""

PAGE_BYTES = 4096
"""Divisor of the size of a program's memory in bytes."""

LARGEST_BATCH = 1 << 16
_LARGEST_SIDE = 1 << 24
_KINDS = ("conv", "fc", "pool", "add", "copy")


def whole(value: object, what: str, low: int = 0, high: int = (1 << 63) - 1) -> int:
    """Return a whole number of a file.

    Raises
    ------
    ValueError
        If it is none, or out of range.
    """
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{what} must be a whole number from {low} to {high}, not {value!r:.80}")
    return value


def shape(values: object, what: str) -> tuple[int, ...]:
    """Return the shape of a map or a vector from a file.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(values, list) or len(values) not in (1, 3):
        raise ValueError(f"{what} must be a list of 1 or 3 sizes, not {values!r:.80}")
    return tuple(whole(value, what, 1) for value in values)


def record(kind: type[_Record], fields: object) -> _Record:
    """Return a dataclass of the fields of a JSON object, each of the type that it must have.

    Raises
    ------
    ValueError
        If fields are missing, unknown, or of another type.
    """
    title = kind.__name__
    if not isinstance(fields, dict):
        raise ValueError(f"{title} must be an object, not {fields!r:.80}")
    types = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = [name for name in fields if name not in known]
    missing = [
        name
        for name, field in known.items()
        if field.default is dataclasses.MISSING and name not in fields
    ]
    if unknown or missing:
        wrong = f"unknown {unknown[0]!r:.80}" if unknown else f"no {missing[0]}"
        raise ValueError(f"{title} has {wrong}")
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if types[name] == tuple[str, ...]:
            if not isinstance(value, list) or not all(type(entry) is str for entry in value):
                raise ValueError(f"{title}'s {name} must be a list of names, not {value!r:.80}")
            values[name] = tuple(value)
        elif type(value) is not types[name]:
            kind_name = types[name].__name__
            raise ValueError(f"{title}'s {name} must be of type {kind_name}, not {value!r:.80}")
        else:
            values[name] = value
    return kind(**values)


def check(program: "Program") -> None:
    """Check a program that was read from a file.

    Raises
    ------
    ValueError
        If something is wrong: the message names the tensor, layer or instruction.
    """
    whole(program.batch, "batch", 1, LARGEST_BATCH)
    whole(program.memory_size, "memory_size", 1, 1 << program.config.addr_width)
    for address, segment in program.segments:
        if segment.dtype != np.uint8 or segment.ndim != 1:
            raise ValueError(f"a segment must be a row of bytes, not {segment.dtype}")
        if not 0 <= address <= program.memory_size - segment.size:
            raise ValueError("a segment must lie within the program's memory")
    for place in program.places.values():
        _check_place(program, place)
    _check_overlaps(program)
    for name in (program.input, program.output):
        if name not in program.places:
            raise ValueError(f"tensor {name} has no place")
    ends = {program.input: program.input_shape, program.output: program.output_shape}
    for name, sizes in ends.items():
        place = program.places[name]
        if math.prod(sizes) != place.channels * place.height * place.width:
            raise ValueError(f"tensor {name} is {place.shape[1:]}, which is not {sizes}")
    names = [layer.name for layer in program.layers]
    if not names or len(set(names)) != len(names):
        raise ValueError("its layers must have names of their own, and there must be some")
    for layer in program.layers:
        _check_layer(program, layer)
    sizes = {p.tensor: p.channels * p.height * p.width for p in program.places.values()}
    for step in program.host:
        step.check(sizes, len(program.layers))


def _check_place(program: "Program", place: "Place") -> None:
    config, title = program.config, f"tensor {place.tensor}"
    for name in ("channels", "height", "width"):
        whole(getattr(place, name), f"{title}: {name}", 1, _LARGEST_SIDE)
    if place.batch != program.batch:
        raise ValueError(f"{title} must have a batch of {program.batch}, not {place.batch}")
    if place.block != config.block:
        raise ValueError(f"{title} must have blocks of {config.block}, not {place.block}")
    if not (math.isfinite(place.scale) and place.scale > 0):
        raise ValueError(f"{title} must have a positive scale, not {place.scale}")
    whole(place.zero_point, f"{title}: zero_point", *((0, 255) if place.unsigned else (-128, 127)))
    read = {name for layer in program.layers for name in layer.inputs}
    if place.real and (place.tensor != program.input or place.tensor in read):
        raise ValueError(f"{title} is of real numbers, but no input of the host's alone")
    packed = place.pixel_bytes
    if packed and (packed not in config.pack_sizes or place.channels > packed):
        raise ValueError(f"{title} of {place.channels} channels cannot have pixels of {packed}")
    if not 0 <= place.address <= program.memory_size - place.size or place.size < 1:
        raise ValueError(f"{title} must lie within the program's memory")
    if not place.parent and place.address % ALIGNMENT:  # a part stands on a pixel of its parent
        raise ValueError(
            f"{title} must stand at a multiple of {ALIGNMENT}, not at {place.address:#x}"
        )
    for name in ("image_pitch", "plane_pitch", "row_pitch", "pixel_pitch"):
        whole(getattr(place, name), f"{title}: {name}", 0, program.memory_size)
    size = (place.batch - 1) * place.image_bytes + place.data_bytes
    if place.size != size:
        raise ValueError(f"{title} must have {size} bytes, not {place.size}")
    if not place.parent:
        pitches = (place.image_pitch, place.plane_pitch, place.row_pitch, place.pixel_pitch)
        if any(pitches):
            raise ValueError(f"{title} stands in no other, but has a pitch of {max(pitches)}")
        return
    parent = program.places.get(place.parent)
    if parent is None or parent.parent == place.tensor or parent is place:
        raise ValueError(f"{title} must stand inside a tensor of the program, not {place.parent}")
    if packed or parent.pixel_bytes or place.image_pitch != parent.image_bytes:
        raise ValueError(f"{title} must have the layout of {place.parent}, in which it stands")
    rest = place.address - parent.address
    levels = (  # planes, rows and pixels: their number, that of the parent, and both pitches
        (place.blocks, parent.blocks, place.plane_bytes, parent.plane_bytes),
        (place.height, parent.height, place.row_bytes, parent.row_bytes),
        (place.width, parent.width, place.pixel_step, parent.pixel_step),
    )
    for count, most, pitch, step in levels:
        first, rest = divmod(rest, step)
        if pitch < step or pitch % step or not 0 <= first < most - (count - 1) * (pitch // step):
            raise ValueError(f"{title} must lie within {place.parent}, on pixels of it")
    if rest or place.plane_bytes != parent.plane_bytes:
        raise ValueError(f"{title} must begin with a pixel of {place.parent}")


def _check_overlaps(program: "Program") -> None:
    """Check that nothing overlaps, and that the memory ends where its contents end."""
    spans = [(address, address + data.size, "a segment") for address, data in program.segments]
    spans += [
        (place.address, place.address + place.size, f"tensor {place.tensor}")
        for place in program.places.values()
        if not place.parent
    ]
    end, before = 0, ""
    for first, last, title in sorted(spans):
        if first < end:
            raise ValueError(f"{title} overlaps {before}")
        end, before = last, title
    size = -(-end // PAGE_BYTES) * PAGE_BYTES
    if program.memory_size != size:
        raise ValueError(f"memory_size must be {size}, not {program.memory_size}")


def _check_layer(program: "Program", layer: "LayerProgram") -> None:
    if layer.kind not in _KINDS:
        raise ValueError(f"{layer.name}: kind must be one of {', '.join(_KINDS)}, not {layer.kind}")
    for name in (*layer.inputs, layer.output):
        if name not in program.places:
            raise ValueError(f"{layer.name}: tensor {name} has no place")
    for name in ("macs", "products", "compulsory_bytes", "bound_cycles", "predicted_cycles"):
        whole(getattr(layer, name), f"{layer.name}: {name}")
    whole(layer.instruction_count, f"{layer.name}: instruction_count", 1, (1 << 32) - 1)
    output = program.places[layer.output]
    stores = [(output.address, output.address + output.size)]
    loads = [(address, address + data.size) for address, data in program.segments]
    loads += [
        (place.address, place.address + place.size)
        for place in (program.places[name] for name in layer.inputs)
    ]
    for number, code in enumerate(_instructions(program, layer)):
        try:
            instruction = decode(code, program.config)
        except ValueError as error:
            raise ValueError(f"{layer.name}: instruction {number}: {error}") from None
        if instruction.opcode is Opcode.CONV:
            continue
        first, last = external_span(instruction, program.config)
        allowed = stores if instruction.opcode is Opcode.STORE else loads
        if not any(low <= first and last <= high for low, high in allowed):
            where = "its output" if instruction.opcode is Opcode.STORE else "its inputs and weights"
            raise ValueError(
                f"{layer.name}: instruction {number} ({instruction.opcode.name}) must stay within "
                f"{where}, not go from {first:#x} to {last:#x}"
            )


def external_span(instruction: Instruction, config: AcceleratorConfig) -> tuple[int, int]:
    """Return the first byte of external memory that a LOAD or STORE touches, and the last + 1."""
    word = config.block
    if instruction.opcode is Opcode.LOAD:
        word = word_bytes(Buffer(instruction["buffer"]), config)
    first = last = instruction["addr"]
    for count, pitch in (("planes", "plane_pitch"), ("runs", "run_pitch")):
        way = (instruction[count] - 1) * instruction[pitch]
        first, last = first + min(way, 0), last + max(way, 0)
    return first, last + instruction["run_words"] * word


def _instructions(program: "Program", layer: "LayerProgram") -> Iterator[bytes]:
    size = layer.instruction_count * INSTRUCTION_BYTES
    for address, data in program.segments:
        start = layer.instruction_address - address
        if 0 <= start <= data.size - size and start % INSTRUCTION_BYTES == 0:
            code = data[start : start + size].tobytes()
            return (code[i : i + INSTRUCTION_BYTES] for i in range(0, size, INSTRUCTION_BYTES))
    raise ValueError(f"{layer.name}: no segment holds its instructions")
