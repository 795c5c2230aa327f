"""The layout of a program image: its records, their fields and the order of its parts.

An image is a program file in a form that a small driver can read in place: little-endian numbers of
32 and 64 bits at fixed offsets, no text to parse. Its parts follow each other in this order:

1. the header (:data:`HEADER`),
2. the layers (:data:`LAYER`), in the order in which they run,
3. the tensors (:data:`TENSOR`),
4. the segments (:data:`SEGMENT`),
5. the inputs: the numbers of the tensors that layers read, 4 bytes each,
6. the names, each ended by a zero byte,
7. the segments' bytes, each at a multiple of :data:`DATA_ALIGNMENT` of the image.

The writer, the reader, the C header and the documentation all follow these tables.
"""

from dataclasses import dataclass

__all__ = [
    "DATA_ALIGNMENT",
    "HEADER",
    "INDEX_BYTES",
    "LAYER",
    "MAGIC",
    "NO_TENSOR",
    "RECORDS",
    "SEGMENT",
    "TENSOR",
    "TENSOR_UNSIGNED",
    "VERSION",
    "Number",
    "Record",
]

MAGIC = int.from_bytes(b"SYSTPROG", "little")
VERSION = 2
"""Raised when readers of the previous version no longer understand an image."""

DATA_ALIGNMENT = 64
"""Divisor of the offset of a segment's bytes in the image."""

INDEX_BYTES = 4
"""Bytes of an entry of the inputs."""

TENSOR_UNSIGNED = 1 << 0
"""Flag of a tensor of uint8; the accelerator's memory holds int8 in either case."""

NO_TENSOR = 0xFFFFFFFF
"""Number of the parent of a tensor that stands in no other."""


@dataclass(frozen=True)
class Number:
    """An unsigned number of a record: its name, its bytes (4 or 8) and its meaning."""

    name: str
    size: int
    doc: str


@dataclass(frozen=True)
class Record:
    """Numbers that follow each other without gaps; every one is at a multiple of its own size.

    Parameters
    ----------
    name : str
    doc : str
    numbers : tuple of Number
    """

    name: str
    doc: str
    numbers: tuple[Number, ...]

    def __post_init__(self) -> None:
        for number, offset in self.offsets():
            if offset % number.size:
                raise ValueError(f"{self.name}.{number.name} must be aligned, not at {offset}")

    @property
    def size(self) -> int:
        """Bytes of the record."""
        return sum(number.size for number in self.numbers)

    def offsets(self) -> list[tuple[Number, int]]:
        """Return each number with its offset in bytes."""
        result, offset = [], 0
        for number in self.numbers:
            result.append((number, offset))
            offset += number.size
        return result

    def pack(self, **values: int) -> bytes:
        """Return the record's bytes; every number must be given.

        Raises
        ------
        ValueError
            If names differ from the record's.
        OverflowError
            If a value does not fit.
        """
        if values.keys() != {number.name for number in self.numbers}:
            raise ValueError(f"{self.name} has other numbers than {sorted(values)}")
        return b"".join(
            int(values[number.name]).to_bytes(number.size, "little") for number in self.numbers
        )

    def unpack(self, data: bytes) -> dict[str, int]:
        """Return the numbers in the record's bytes, by name."""
        return {
            number.name: int.from_bytes(data[offset : offset + number.size], "little")
            for number, offset in self.offsets()
        }


HEADER = Record(
    "header",
    "the image as a whole",
    (
        Number("magic", 8, "the bytes SYSTPROG"),
        Number("version", 4, "version of this layout"),
        Number("checksum", 4, "CRC-32 (IEEE 802.3) from the next number to the end of the names"),
        Number("register_version", 4, "what register VERSION must hold"),
        Number("addr_width", 4, "bits of an address of the accelerator"),
        Number("fingerprint", 8, "what register FINGERPRINT must hold"),
        Number("image_bytes", 8, "bytes of the image"),
        Number("memory_size", 8, "bytes of external memory that the program needs"),
        Number("batch", 4, "images of a run"),
        Number("block", 4, "channels of a block, and bytes of a memory word"),
        Number("layers", 4, "how many layers there are"),
        Number("tensors", 4, "how many tensors"),
        Number("segments", 4, "how many segments"),
        Number("inputs", 4, "how many entries the inputs have"),
        Number("names_bytes", 4, "bytes of the names"),
        Number("input", 4, "number of the network's input tensor"),
        Number("output", 4, "number of the network's output tensor"),
        Number("network", 4, "offset of the network's name in the names"),
        Number("configuration", 4, "offset of the configuration's name"),
        Number("reserved", 4, "0"),
    ),
)

LAYER = Record(
    "layer",
    "a layer, which is a program of its own",
    (
        Number("name", 4, "offset of its name in the names"),
        Number("kind", 4, "offset of its kind in the names: conv, fc, pool, add or copy"),
        Number("instruction_address", 8, "of its first instruction in memory, a multiple of 64"),
        Number("instruction_count", 4, "its instructions"),
        Number("output", 4, "number of the tensor that it writes"),
        Number("first_input", 4, "its first entry in the inputs"),
        Number("input_count", 4, "its entries in the inputs"),
        Number("macs", 8, "multiply-accumulates that it needs"),
        Number("compulsory_bytes", 8, "fewest bytes that it can move"),
        Number("bound_cycles", 8, "fewest cycles that array and bus allow"),
        Number("predicted_cycles", 8, "cycles that the compiler expects"),
    ),
)

TENSOR = Record(
    "tensor",
    "a tensor in memory: batch images of channels x height x width",
    (
        Number("name", 4, "offset of its name in the names"),
        Number("flags", 4, "bit 0: the values are uint8, else int8"),
        Number("address", 8, "of its first byte in memory"),
        Number("size", 8, "bytes from its first to its last"),
        Number("image_pitch", 8, "bytes from image to image, 0 if they follow each other"),
        Number("plane_pitch", 8, "bytes from channel block to channel block, 0 likewise"),
        Number("row_pitch", 8, "bytes from row to row, 0 likewise"),
        Number("pixel_pitch", 8, "bytes from pixel to pixel, 0 likewise"),
        Number("channels", 4, "1 or more"),
        Number("height", 4, "1 or more"),
        Number("width", 4, "1 or more"),
        Number("pixel_bytes", 4, "bytes of a packed pixel, 0 for the layout in channel blocks"),
        Number("parent", 4, "number of the tensor in which it stands, or 2**32 - 1"),
        Number("filler", 4, "byte of a block's channels beyond the tensor's: the zero point"),
    ),
)

SEGMENT = Record(
    "segment",
    "contents of memory before a run: instructions, weights, parameters",
    (
        Number("address", 8, "of its first byte in memory"),
        Number("size", 8, "its bytes"),
        Number("offset", 8, "of its first byte in the image"),
        Number("checksum", 4, "CRC-32 of its bytes"),
        Number("reserved", 4, "0"),
    ),
)

RECORDS = (HEADER, LAYER, TENSOR, SEGMENT)
