"""The instruction set: opcodes, fields, and their places in a 64-byte instruction.

An instruction has 512 bits, little-endian in memory. The opcode is in the lowest bits; the fields
follow without gaps, in the order of the tables below.

Four counters say how far the engines are; they are the dependency tokens, and zero when a program
starts. An instruction names the counts that it waits for, and starts when each counter has reached
its count:

========== ======================================================================================
loaded     LOADs whose last word is in its buffer
computed   CONVs whose last sum is in its accumulator bank
drained    STOREs whose last sum has left its accumulator bank
stored     STOREs whose last write was acknowledged by the memory
========== ======================================================================================

Each engine runs its own instructions in order. A program lists all instructions in one sequence, in
which every instruction comes after those that it waits for, so no queue depth can cause a deadlock.
The accelerator refuses an instruction that waits for one that does not come before it.

A region of external memory has ``planes`` planes of ``runs`` runs of ``run_words`` contiguous
words: word ``w`` of run ``i`` of plane ``p`` is at ``addr + p * plane_pitch + i * run_pitch + w *
size``, where ``size`` is the bytes of a word. ``addr`` and both pitches are multiples of the
greatest common divisor of the bus's width and ``size`` (see :mod:`systolith_hw.spec.legal`). A
region has exactly the words of the tile that a LOAD makes of it, or of the windows of a STORE.

**LOAD** moves a region into a buffer (:class:`Buffer`).

- ``ACT``: memory words of ``block`` bytes go to successive words of the activation buffer, from
  word ``dest`` on, there to the ``block`` lanes from ``lane * block`` on. The words are ``planes``
  planes of ``rows`` rows of ``pixels`` pixels. Around each plane the engine writes ``pad_top`` and
  ``pad_bottom`` rows and ``pad_left`` and ``pad_right`` pixels of ``pad_value``. With
  ``pixel_bytes`` = 0 a pixel is a word. Otherwise the tensor is packed: a row takes
  ``ceil(pixels * pixel_bytes / block)`` words of memory, and the buffer's word for pixel x holds
  the ``block // pixel_bytes`` pixels x, x + 1, ... (``pad_value`` beyond the padded row), so that
  kernel taps fill the rows of the array.
  With ``scan`` the words are those of the region, without padding or lanes (see below).
- ``WEIGHT``: words of ``cols`` bytes go to successive words, from word ``dest`` on; with ``gather``
  see below. With ``nibbles``, only where the configuration has it, a memory word holds two words of
  4-bit weights: byte c has column c of the first one in its low four bits and that of the second
  one in its high four bits, both in two's complement. The first goes to the buffer, then the
  second, each weight extended to 8 bits. The region still counts memory words: memory word m of a
  LOAD makes the buffer's words ``dest + 2 * m`` and ``dest + 2 * m + 1``.
- ``PARAM``: entries of 8 bytes (:data:`PARAM_BYTES`) go to successive entries, from ``dest`` on.
- ``TABLE``, only with ``functions``: words of 8 bytes go to successive entries of the table, a byte
  each, from ``dest`` on. Entry i is the result for the value i - 128. Results are looked up after
  their sums have left the accumulators, so a LOAD that replaces entries waits for ``stored``.

**CONV** runs passes over the pixels of a tile: for c, for r, for s (one pass each, with one weight
block), for n, for y, for x (one pixel each). The activation address starts at ``act_base``. When a
level advances and the levels inside it start again, the step of that level is added to the address
(modulo 2**24; see :func:`walk_steps`). Pass number p uses the ``rows`` weight words from
``weight_base + p * rows`` on, word i for row i. Pixel number q of each pass adds its sums to those
at ``acc_base + q`` of ``bank``. With ``clear`` the first pass overwrites them instead. With
``shift`` the first pass multiplies them by 256 before it adds, so that weights of several bytes
take one CONV per byte, the highest byte first.

With ``winograd`` (see :mod:`systolith_hw.spec.winograd`) the pixels of a pass are those of 6x6
patches: x counts the 6 rows of a patch, y its 6 columns, n the patches across, s the patches down,
r the images, and ``patches`` is n * s * r. For each c the weight words are those of a direct CONV
with 3x3 taps: ``weight_base + (c * 9 + tap) * rows + i``. Patch b adds lane k to the sum at
``acc_base + k * patches + b`` of ``bank``, modulo 2**(acc_width + 6).

**Gathering**, only with ``gather``, leaves out inputs that are zero. A LOAD ACT with ``scan``
compares the bytes of its region with ``pad_value``. The *active* ones, which differ, go less
``pad_value`` (modulo 256) to the activation buffer, ``rows`` to a word from ``dest`` on; zeros fill
the last word. If none differs, the region's last byte is active. The mask memory gets a bit for
each byte. A LOAD WEIGHT with ``gather`` has a run for each byte scanned, in a single plane, and
reads those whose bit is set. ``rows`` of these runs are a *unit*, the last one may have fewer. Word
w of run i of unit u goes to ``dest + (u % units) * rows * blocks + w * rows + i``: a unit is
``blocks`` weight blocks, and the buffer holds a ring of ``units`` units. ``blocks`` is
``run_words``, or with ``nibbles`` twice that, and w counts the words that a run makes. A CONV with
``gather`` takes the units in their order from the same ring, which begins at ``weight_base``: c
counts the words that the last scan wrote, s the blocks of a unit, and pass s adds to the sum at
``acc_base + s``. ``clear`` overwrites in the passes of the first unit. The LOAD waits while all
units of the ring are in use, the CONV until its next unit is complete. So the CONV comes right
behind its LOAD and waits for the scan, not for that LOAD. With ``unsigned`` activations are 0..255
instead of -128..127.

**STORE** drains a bank: for b in ``blocks`` (channel blocks of the columns), for n, for y, for x,
the maximum of the requantised sums in the window of dy by dx becomes one word of ``block`` bytes.
The words go to the region in that order. The bank address of the first window is ``acc_base``, for
each b anew; the steps of x, y and n lead from window to window, and those of dx and dy from sum to
sum within a window (all modulo 2**16). Column ``b * block + i`` takes parameter entry
``param_base + b * block + i``. With ``table`` each requantised sum is replaced by its entry of the
table before the maximum is taken.

With ``stacked`` block b is drained at ``acc_base + b // (cols / block)``, from the columns of block
b % (cols / block): a single sum of each channel.

With ``winograd`` a window is the 36 lanes of a patch: dx counts its 6 vertical points, dy its 6
horizontal points, x the patches across, y the patches down, n the images. The patches of an image
give ``height`` rows of ``width`` sums, and sums beyond these are dropped. Each sum, or with
``pool`` the maximum of each 2x2 window, becomes one word; the words go to the region row by row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from systolith_hw.spec.field import Field, Role

if TYPE_CHECKING:  # the configuration takes sizes from here
    from systolith_hw.spec.config import AcceleratorConfig

__all__ = [
    "COUNTERS",
    "FIELDS",
    "INSTRUCTION_BYTES",
    "NIBBLE_BITS",
    "OPCODE_WIDTH",
    "PARAM_BYTES",
    "REGION_FIELDS",
    "SHIFT_BITS",
    "TABLE_ENTRIES",
    "Buffer",
    "Field",
    "Instruction",
    "Opcode",
    "Role",
    "buffers_of",
    "decode",
    "fields_of",
    "walk_steps",
]

INSTRUCTION_BYTES = 64
OPCODE_WIDTH = 4
PARAM_BYTES = 8
"""Bytes of a parameter entry: bias (int32), multiplier (24 bits), shift (8 bits)."""

TABLE_ENTRIES = 256
"""Entries of a table, a byte each: one for every value of an activation."""

NIBBLE_BITS = 4
"""Bits of a weight where two share a byte of memory."""

SHIFT_BITS = 8
"""Bits by which a CONV with ``shift`` shifts sums: those of a weight."""

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
    TABLE = 3


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
        Field("buffer", 2, "Buffer.ACT, WEIGHT, PARAM or TABLE", unless="functions"),
        Field("dest", 24, "first word (ACT, WEIGHT) or entry (PARAM, TABLE) of the buffer"),
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
        Field("scan", 1, "ACT: bytes that differ from pad_value", option="gather"),
        Field("gather", 1, "WEIGHT: runs of the bytes that do", option="gather"),
        Field("units", 4, "gather: units of the ring", option="gather"),
        Field("nibbles", 1, "WEIGHT: memory words hold two words of 4 bits", option="nibbles"),
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
        Field("gather", 1, "weights are those of a gathering LOAD", option="gather"),
        Field("unsigned", 1, "gather: activations are 0..255", option="gather"),
        Field("units", 4, "gather: units of the ring", option="gather"),
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
        Field("blocks", 8, "channel blocks drained, up to cols / block or stacked", least=1),
        Field("param_base", 16, "parameter entry of the first channel, a multiple of post_lanes"),
        Field("zero_point", 8, "added after the shift", signed=True),
        Field("low", 8, "lower clamp", signed=True),
        Field("high", 8, "upper clamp", signed=True),
        Field("winograd", 1, "windows are the lanes of patches", option="winograd"),
        Field("pool", 1, "winograd: words are maxima of 2x2 sums", option="winograd"),
        Field("width", 8, "winograd: sums of a row that the patches give", option="winograd"),
        Field("height", 8, "winograd: rows of sums of an image", option="winograd"),
        Field("table", 1, "results are looked up in the table", option="functions"),
        Field("stacked", 1, "the sums of each block are one address further", option="gather"),
    ),
}


@lru_cache(maxsize=64)
def fields_of(opcode: Opcode, config: "AcceleratorConfig | None" = None) -> tuple[Field, ...]:
    """Return the fields that an instruction has in a configuration; without one, all of them."""
    if config is None:
        return FIELDS[opcode]
    return tuple(
        replace(field, most=field.high - 1)
        if field.unless and not getattr(config, field.unless)
        else field
        for field in FIELDS[opcode]
        if field.present(config)
    )


def buffers_of(config: "AcceleratorConfig | None" = None) -> tuple[Buffer, ...]:
    """Return the buffers that a configuration has; without one, all of them."""
    return tuple(
        buffer
        for buffer in Buffer
        if config is None or config.functions or buffer is not Buffer.TABLE
    )


REGION_FIELDS = tuple(field.name for field in _region())
"""The fields of a LOAD or STORE that describe its region."""


def walk_steps(counts: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Return what each level adds to the address when it advances and the levels inside restart.

    Parameters
    ----------
    counts : sequence of int
        Iterations of each level, innermost first.
    strides : sequence of int
        Distance between the iterations of each level.
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

    Values of step fields are taken modulo 2**width; every other value must be legal.

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
        If the opcode is unknown, or the value of a field is illegal.
    """
    word = int.from_bytes(data[:INSTRUCTION_BYTES], "little")
    number = word & ((1 << OPCODE_WIDTH) - 1)
    if number not in Opcode.__members__.values():
        raise ValueError(f"opcode must be one of {[int(o) for o in Opcode]}, not {number}")
    opcode = Opcode(number)
    position = OPCODE_WIDTH
    values = {}
    present = {field.name: field for field in fields_of(opcode, config)}
    for field in FIELDS[opcode]:
        value = (word >> position) & ((1 << field.width) - 1)
        position += field.width
        if field.name not in present:
            continue
        if field.signed and value >> (field.width - 1):
            value -= 1 << field.width
        if field.external and value >> config.addr_width:
            raise ValueError(f"{opcode.name} {field.name} must be below 2**{config.addr_width}")
        if field.unless and value > present[field.name].high:
            limits = f"between {field.low} and {present[field.name].high}"
            raise ValueError(f"{opcode.name} {field.name} must be {limits}, not {value}")
        values[field.name] = value
    return Instruction(opcode, values)
