"""Program images: a program as the C driver reads it (see layout.py), and its file."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from systolith_host.drivers.layout import (
    DATA_ALIGNMENT,
    HEADER,
    LAYER,
    MAGIC,
    NO_TENSOR,
    SEGMENT,
    TENSOR,
    TENSOR_UNSIGNED,
    VERSION,
)
from systolith_host.errors import SystolithError
from systolith_host.program.program import Program
from systolith_hw.spec.registers import VERSION as REGISTER_VERSION

__all__ = ["program_image", "write_image"]

_CHECKED_FROM = next(
    offset + number.size for number, offset in HEADER.offsets() if number.name == "checksum"
)


class _Names:
    """The names of an image, each once."""

    def __init__(self) -> None:
        self.data = b""
        self._places: dict[str, int] = {}

    def add(self, name: str) -> int:
        """Return the offset of a name."""
        if name not in self._places:
            if "\0" in name:
                raise SystolithError(f"a name must not hold a zero byte: {name!r}")
            self._places[name] = len(self.data)
            self.data += name.encode() + b"\0"
        return self._places[name]


def program_image(program: Program) -> list[bytes | memoryview]:
    """Return the parts of a program's image, which follow each other.

    Raises
    ------
    SystolithError
        If the program has more than an image can number, or parts for the host.
    """
    if program.host:
        parts = ", ".join(step.name for step in program.host[:3])
        raise SystolithError(
            f"{program.network}: the host computes parts of it ({parts}), which C cannot; "
            "compile it with --no-host-nodes to see what to change"
        )
    try:
        return list(_parts(program))
    except OverflowError:
        raise SystolithError(
            f"{program.network}: the program has a number that an image cannot hold; "
            "compile a smaller network or batch"
        ) from None


def _parts(program: Program) -> Iterator[bytes | memoryview]:
    names = _Names()
    numbers = {name: index for index, name in enumerate(program.places)}
    inputs: list[int] = []
    layers = b""
    for layer in program.layers:
        layers += LAYER.pack(
            name=names.add(layer.name),
            kind=names.add(layer.kind),
            instruction_address=layer.instruction_address,
            instruction_count=layer.instruction_count,
            output=numbers[layer.output],
            first_input=len(inputs),
            input_count=len(layer.inputs),
            macs=layer.macs,
            compulsory_bytes=layer.compulsory_bytes,
            bound_cycles=layer.bound_cycles,
            predicted_cycles=layer.predicted_cycles,
        )
        inputs += [numbers[name] for name in layer.inputs]
    tensors = b"".join(
        TENSOR.pack(
            name=names.add(place.tensor),
            flags=TENSOR_UNSIGNED if place.unsigned else 0,
            address=place.address,
            size=place.size,
            image_pitch=place.image_pitch,
            plane_pitch=place.plane_pitch,
            row_pitch=place.row_pitch,
            pixel_pitch=place.pixel_pitch,
            channels=place.channels,
            height=place.height,
            width=place.width,
            pixel_bytes=place.pixel_bytes,
            parent=numbers[place.parent] if place.parent else NO_TENSOR,
            filler=place.filler,
        )
        for place in program.places.values()
    )
    network, configuration = names.add(program.network), names.add(program.config.name)
    index = np.array(inputs, "<u4").tobytes()
    segment_bytes = SEGMENT.size * len(program.segments)
    offset = end = sum(map(len, (layers, tensors, index, names.data))) + segment_bytes + HEADER.size
    segments = b""
    data: list[bytes | memoryview] = []
    for address, values in program.segments:
        content = np.ascontiguousarray(values).data
        start = -(-offset // DATA_ALIGNMENT) * DATA_ALIGNMENT
        segments += SEGMENT.pack(
            address=address,
            size=content.nbytes,
            offset=start,
            checksum=zlib.crc32(content),
            reserved=0,
        )
        data += [bytes(start - offset), content]
        offset = start + content.nbytes
    tables = layers + tensors + segments + index + names.data
    header = {
        "magic": MAGIC,
        "version": VERSION,
        "checksum": 0,
        "register_version": REGISTER_VERSION,
        "addr_width": program.config.addr_width,
        "fingerprint": program.config.fingerprint,
        "image_bytes": offset,
        "memory_size": program.memory_size,
        "batch": program.batch,
        "block": program.config.block,
        "layers": len(program.layers),
        "tensors": len(program.places),
        "segments": len(program.segments),
        "inputs": len(inputs),
        "names_bytes": len(names.data),
        "input": numbers[program.input],
        "output": numbers[program.output],
        "network": network,
        "configuration": configuration,
        "reserved": 0,
    }
    head = HEADER.pack(**header)
    header["checksum"] = zlib.crc32(head[_CHECKED_FROM:] + tables)
    assert HEADER.size + len(tables) == end
    yield HEADER.pack(**header) + tables
    yield from data


def write_image(program: Program, path: Path) -> int:
    """Write a program's image to a file and return its bytes.

    Raises
    ------
    SystolithError
        If the file cannot be written, or an image cannot hold the program.
    """
    parts = program_image(program)
    try:
        with path.open("wb") as file:
            for part in parts:
                file.write(part)
            return file.tell()
    except OSError as error:
        raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None
