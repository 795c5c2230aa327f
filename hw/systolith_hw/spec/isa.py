"""The instruction set: opcodes, fields and their places in a 64-byte instruction, once.

An instruction is 512 bits, little-endian in memory. The opcode is in the lowest bits; the fields
follow in the order of the tables below without gaps.

Four counters, all zero at the start of a program, tell how far the engines are; they are the
dependency tokens. An instruction names the counts it waits for and starts when each counter has
reached its value:

========== ======================================================================================
loaded     LOADs whose last word is in its buffer
computed   CONVs whose last sum is in its accumulator bank
drained    STOREs whose last sum has left its accumulator bank
stored     STOREs whose last write was acknowledged by the memory
========== ======================================================================================

Each engine runs its own instructions in order. A program lists all instructions in one sequence
in which every instruction comes after those that it waits for, so no queue depth can deadlock. The
accelerator refuses an instruction that waits for one that does not come before it.

Regions of external memory are walked as ``planes`` of ``runs`` of ``run_words`` contiguous words:
word ``w`` of run ``i`` of plane ``p`` is at ``addr + p * plane_pitch + i * run_pitch + w * size``.
``addr`` and both pitches are multiples of the greatest common divisor of the
bus's width and the word's size (see :mod:`systolith_hw.spec.legal`). A region has exactly the words
of the tile that a LOAD makes of it, or that a STORE's windows give.

**LOAD** moves a region into a buffer (:class:`Buffer`).

- ``ACT``: memory words of ``block`` bytes go to lanes ``lane * block ...`` of successive words of
  the activation buffer from ``dest``. They are seen as ``planes`` of ``rows`` rows of ``pixels``
  pixels; around each plane, rows ``pad_top`` and ``pad_bottom`` and pixels ``pad_left`` and
  ``pad_right`` of ``pad_value`` are written. With ``pixel_bytes`` = 0 a pixel is a word. Otherwise
  the tensor is packed: a row takes ``ceil(pixels * pixel_bytes / block)`` words of memory, and the
  buffer's word for pixel x holds pixels x, x + 1, ... ``block // pixel_bytes`` of them, those
  beyond the padded row being ``pad_value``, so that kernel taps fill the rows of the array.
- ``WEIGHT``: words of ``cols`` bytes go to successive words from ``dest``.
- ``PARAM``: entries of 8 bytes (:data:`PARAM_BYTES`) go to successive entries from ``dest``.

**CONV** runs passes over the pixels of a tile: for c, for r, for s (one pass each, with one weight
block), for n, for y, for x (one pixel each). The activation address starts at ``act_base``; when a
level advances and those inside it start again, that level's ``step`` is added to it (modulo 2**24;
see :func:`walk_steps`). Pass number p uses the weight words ``weight_base + p * rows`` and
following, word i belonging to row i. Pixel number q of each pass adds its sums to ``acc_base + q``
of ``bank``. With ``clear`` the first pass overwrites instead. With ``shift`` it multiplies the
present sum by 256 before it adds, so that a weight of several bytes takes one CONV per byte, the
highest first.

With ``winograd`` (see :mod:`systolith_hw.spec.winograd`) the pixels of a pass are those of 6x6
patches: x (6) is the row of a patch, y (6) its column, n patches across, s patches down, r images;
``patches`` is n x s x r. For each c the weight words are those of a direct CONV with 3x3 taps:
``weight_base + (c * 9 + tap) * rows + i``. Patch b adds lane k to the bank's ``acc_base + k *
patches + b``, modulo 2**(acc_width + 6).

**STORE** drains a bank: for b in ``blocks`` (channel blocks of the columns), for n, for y, for x:
the maximum over the window dy, dx of the requantised sums becomes one word of ``block`` bytes, and
the words go to the region in that order. The bank address of a window starts at ``acc_base`` and
advances by the steps of x, y, n for each b anew; inside a window dx and dy advance with theirs
(modulo 2**16). Column ``b * block + i`` takes parameter entry ``param_base + b * block + i``.

With ``winograd`` a window is the 36 lanes of a patch: dx (6) the vertical point, dy (6) the
horizontal one, x patches across, y patches down, n images. The patches of an image give
``height`` x ``width`` sums, and these, or with ``pool`` the maxima of their 2x2 windows, are the
words, row by row; sums beyond are dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the configuration takes sizes from here
    from systolith_hw.spec.config import AcceleratorConfig

__all__ = [
    "COUNTERS",
    "FIELDS",
    "INSTRUCTION_BYTES",
    "OPCODE_WIDTH",
    "PARAM_BYTES",
    "REGION_FIELDS",
    "SHIFT_BITS",
    "Buffer",
    "Field",
    "Instruction",
    "Opcode",
    "Role",
    "decode",
    "fields_of",
    "walk_steps",
]

INSTRUCTION_BYTES = 64
OPCODE_WIDTH = 4
PARAM_BYTES = 8
"""Bytes of a parameter entry: bias (int32), multiplier (24 bits), shift (8 bits)."""

SHIFT_BITS = 8
"""The shift of a CONV with ``shift``: the bits of a weight."""

COUNTERS = ("loaded", "computed", "drained", "stored")


class Opcode(IntEnum):
    """The kind of an instruction, which decides the engine that runs it."""

    LOAD = 1
    CONV = 2
    STORE = 3


class Buffer(IntEnum):
    """The destination of a LOAD's words."""

    ACT = 0
    WEIGHT = 1
    PARAM = 2


class Role(Enum):
    """What a field is for, where that decides how it is treated."""

    VALUE = "value"
    TOKEN = "token"
    """A count that the instruction waits for; :attr:`Field.counter` says of what."""
    COUNT = "count"
    """Iterations of a level of a walk."""
    STEP = "step"
    """What a level of a walk adds to the address, modulo the field's width."""


@dataclass(frozen=True)
class Field:
    """One field: its name, its width in bits, its meaning, and its legal values.

    They are all that fit the width unless `least` or `most` say otherwise; those of an `external`
    field, an address or a distance in external memory, are also below 2**addr_width of the
    configuration. The accelerator refuses an instruction with any other. The `counter` of a token
    is one of :data:`COUNTERS`. Configurations without the `option`, which is the name of one of
    their fields, do not have the field: its bits are reserved.
    """

    name: str
    width: int
    doc: str
    signed: bool = False
    least: int | None = None
    most: int | None = None
    external: bool = False
    role: Role = Role.VALUE
    counter: str = ""
    option: str = ""

    @property
    def low(self) -> int:
        """Smallest value."""
        if self.least is not None:
            return self.least
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest value."""
        if self.most is not None:
            return self.most
        return (1 << (self.width - 1 if self.signed else self.width)) - 1

    @property
    def default(self) -> int:
        """Value of a field that is not given: 0, or the smallest where 0 is not legal."""
        return max(0, self.low)

    def bits(self, addr_width: int) -> int:
        """Return the bits that its legal values need with external addresses of `addr_width`."""
        return min(self.width, addr_width) if self.external else self.width


def _region() -> tuple[Field, ...]:
    return (
        Field("addr", 48, "external address of the region in bytes", external=True),
        Field("run_words", 32, "words of a contiguous run", least=1, external=True),
        Field("runs", 16, "runs of a plane", least=1),
        Field("run_pitch", 32, "bytes from run to run", external=True),
        Field("planes", 16, "planes of the region", least=1),
        Field("plane_pitch", 32, "bytes from plane to plane", external=True),
    )


def _level(name: str, count_width: int, step_width: int) -> tuple[Field, ...]:
    return (
        Field(
            f"{name}_count",
            count_width,
            f"iterations of level {name}",
            least=1,
            role=Role.COUNT,
        ),
        Field(
            f"{name}_step",
            step_width,
            f"added to the address when level {name} advances",
            role=Role.STEP,
        ),
    )


def _after(counter: str, suffix: str = "") -> Field:
    doc = f"wait until {counter} is at least this"
    return Field(f"after_{counter}{suffix}", 24, doc, role=Role.TOKEN, counter=counter)


FIELDS: Mapping[Opcode, tuple[Field, ...]] = {
    Opcode.LOAD: (
        _after("computed"),
        _after("drained"),
        _after("stored"),
        Field("buffer", 2, "Buffer.ACT, WEIGHT or PARAM", most=int(Buffer.PARAM)),
        Field("dest", 24, "first word (ACT, WEIGHT) or entry (PARAM) of the buffer"),
        *_region(),
        Field("lane", 8, "ACT: group of `block` lanes that is written"),
        Field("rows", 16, "ACT: rows of a plane, without padding", least=1),
        Field("pixels", 16, "ACT: pixels of a row, without padding", least=1),
        Field("pad_top", 8, "ACT: padding rows above"),
        Field("pad_bottom", 8, "ACT: padding rows below"),
        Field("pad_left", 8, "ACT: padding pixels to the left"),
        Field("pad_right", 8, "ACT: padding pixels to the right"),
        Field("pad_value", 8, "ACT: what padding holds", signed=True),
        Field("pixel_bytes", 8, "ACT: bytes of a packed pixel, 0 for a whole word"),
    ),
    Opcode.CONV: (
        _after("loaded", "_act"),
        _after("loaded", "_weight"),
        _after("drained"),
        Field("act_base", 24, "activation buffer word of the first pixel of the first pass"),
        *_level("x", 16, 24),
        *_level("y", 16, 24),
        *_level("n", 16, 24),
        *_level("s", 8, 24),
        *_level("r", 8, 24),
        *_level("c", 16, 24),
        Field("weight_base", 24, "weight buffer word of the first block"),
        Field("acc_base", 16, "accumulator address of the first pixel"),
        Field("bank", 1, "accumulator bank"),
        Field("clear", 1, "the first pass overwrites the sums"),
        Field("shift", 1, "the first pass shifts the sums left by SHIFT_BITS before it adds"),
        Field("winograd", 1, "pixels are those of 6x6 patches", option="winograd"),
        Field("patches", 8, "winograd: patches of the tile, n x s x r", option="winograd"),
    ),
    Opcode.STORE: (
        _after("computed"),
        _after("loaded"),
        *_region(),
        Field("bank", 1, "accumulator bank"),
        Field("acc_base", 16, "accumulator address of the first window"),
        *_level("dx", 8, 16),
        *_level("dy", 8, 16),
        *_level("x", 16, 16),
        *_level("y", 16, 16),
        *_level("n", 16, 16),
        Field("blocks", 8, "channel blocks drained, 1 to cols / block", least=1),
        Field("param_base", 16, "parameter entry of the first channel, a multiple of post_lanes"),
        Field("zero_point", 8, "added after the shift", signed=True),
        Field("low", 8, "lower clamp", signed=True),
        Field("high", 8, "upper clamp", signed=True),
        Field("winograd", 1, "windows are the lanes of patches", option="winograd"),
        Field("pool", 1, "winograd: words are maxima of 2x2 sums", option="winograd"),
        Field("width", 8, "winograd: sums of a row that the patches give", option="winograd"),
        Field("height", 8, "winograd: rows of sums of an image", option="winograd"),
    ),
}


def fields_of(opcode: Opcode, config: "AcceleratorConfig | None" = None) -> tuple[Field, ...]:
    """Return the fields that an instruction has in a configuration; without one, all of them."""
    if config is None:
        return FIELDS[opcode]
    return tuple(f for f in FIELDS[opcode] if not f.option or getattr(config, f.option))


REGION_FIELDS = tuple(field.name for field in _region())
"""The fields of a LOAD or STORE that say where its region is."""


def walk_steps(counts: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Return the steps of a walk: the addends when a level advances and the inner ones restart.

    Parameters
    ----------
    counts, strides : sequence of int
        Iterations of each level and the distance between them, innermost level first.
    """
    steps = []
    inner = 0
    for count, stride in zip(counts, strides, strict=True):
        steps.append(stride - inner)
        inner += (count - 1) * stride
    return steps


@dataclass(frozen=True)
class Instruction:
    """An instruction: its opcode and the value of each of its fields (the default if not given).

    Step fields are taken modulo their width; every other field must be in range.

    Raises
    ------
    ValueError
        If a field is unknown or its value does not fit.
    """

    opcode: Opcode
    fields: Mapping[str, int]

    def __post_init__(self) -> None:
        table = {field.name: field for field in FIELDS[self.opcode]}
        values = {name: field.default for name, field in table.items()}
        for name, value in self.fields.items():
            if name not in table:
                raise ValueError(f"{self.opcode.name} has no field {name!r}")
            field = table[name]
            value = int(value)
            if field.role is Role.STEP:
                value %= 1 << field.width
            if not field.low <= value <= field.high:
                raise ValueError(
                    f"{self.opcode.name} {name} must be between {field.low} and {field.high}, "
                    f"not {value}"
                )
            values[name] = value
        object.__setattr__(self, "fields", values)

    def __getitem__(self, name: str) -> int:
        return self.fields[name]

    def encode(self) -> bytes:
        """Return the 64 bytes of the instruction."""
        word = int(self.opcode)
        position = OPCODE_WIDTH
        for field in FIELDS[self.opcode]:
            word |= (self.fields[field.name] & ((1 << field.width) - 1)) << position
            position += field.width
        return word.to_bytes(INSTRUCTION_BYTES, "little")


def decode(data: bytes, config: "AcceleratorConfig") -> Instruction:
    """Return the instruction in 64 bytes, as a configuration reads it; reserved bits are ignored.

    Raises
    ------
    ValueError
        If the opcode is unknown, or a field has no legal value.
    """
    word = int.from_bytes(data[:INSTRUCTION_BYTES], "little")
    number = word & ((1 << OPCODE_WIDTH) - 1)
    if number not in Opcode.__members__.values():
        raise ValueError(f"opcode must be one of {[int(o) for o in Opcode]}, not {number}")
    opcode = Opcode(number)
    position = OPCODE_WIDTH
    values = {}
    present = fields_of(opcode, config)
    for field in FIELDS[opcode]:
        value = (word >> position) & ((1 << field.width) - 1)
        position += field.width
        if field not in present:
            continue
        if field.signed and value >> (field.width - 1):
            value -= 1 << field.width
        if field.external and value >> config.addr_width:
            raise ValueError(f"{opcode.name} {field.name} must be below 2**{config.addr_width}")
        values[field.name] = value
    return Instruction(opcode, values)
