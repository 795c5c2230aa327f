"""The instruction set as a page of the manual: its text, its fields, and pictures of its bits."""

import inspect
import re
from html import escape

from manual.tables import table
from systolith_hw.spec import isa
from systolith_hw.spec.isa import FIELDS, INSTRUCTION_BYTES, OPCODE_WIDTH, Field, Opcode, Role

__all__ = ["bit_fields", "instructions"]

ROW = 32
"""Bits of a row of a picture."""

CELL, HEIGHT, STEP = 24, 30, 48
"""Width of a bit, height of a row, and distance from row to row, in pixels."""


def instructions() -> str:
    """Return the definition's own text, then a picture and a table for each instruction."""
    parts = [_markdown(inspect.cleandoc(isa.__doc__ or "").partition("\n\n")[2])]
    for opcode in Opcode:
        parts += [f"## {opcode.name}", bit_fields(opcode), _fields(opcode)]
    return "\n\n".join(parts)


def _places(opcode: Opcode) -> list[tuple[str, int, int]]:
    """Return name, first bit and width of the opcode and of each field."""
    found = [("opcode", 0, OPCODE_WIDTH)]
    position = OPCODE_WIDTH
    for field in FIELDS[opcode]:
        found.append((field.name, position, field.width))
        position += field.width
    return found


def _fields(opcode: Opcode) -> str:
    rows = []
    for field, (_, first, width) in zip(FIELDS[opcode], _places(opcode)[1:], strict=True):
        bits = f"{first + width - 1}:{first}" if width > 1 else f"{first}"
        legal = "all, modulo" if field.role is Role.STEP else _range(field)
        doc = field.doc + (f" (only with `{field.option}`)" if field.option else "")
        rows.append((f"`{field.name}`", bits, width, legal, doc))
    return table(("field", "bits", "width", "values", "meaning"), rows)


def _range(field: Field) -> str:
    high = field.high
    above = high + 1
    large = high > 65535 and above & (above - 1) == 0
    return f"{field.low} to {f'2^{above.bit_length() - 1} - 1' if large else high}"


def bit_fields(opcode: Opcode) -> str:
    """Return an SVG of an instruction's bits, 32 to a row, bit 0 at the right as in a number."""
    places = _places(opcode)
    last = max(first + width for _, first, width in places)
    rows = -(-last // ROW)
    out = []
    for name, first, width in [*places, ("reserved", last, rows * ROW - last)]:
        while width:
            row, start = divmod(first, ROW)
            part = min(width, ROW - start)
            x = (ROW - start - part) * CELL + 1
            y = row * STEP + 16
            kind = "reserved" if name == "reserved" else "opcode" if name == "opcode" else "field"
            out.append(
                f'<g class="{kind}"><title>{escape(name)}: bits {first + part - 1} to {first}'
                f'</title><rect x="{x}" y="{y}" width="{part * CELL}" height="{HEIGHT}"/>'
                + _label(name, x, y, part * CELL)
                + f'<text class="bit" x="{x + part * CELL - 2}" y="{y - 3}" text-anchor="end">'
                f"{first}</text></g>"
            )
            first += part
            width -= part
    size = f"0 0 {ROW * CELL + 2} {rows * STEP}"
    rest = INSTRUCTION_BYTES * 8 - rows * ROW
    note = f"<figcaption>The {rows} words of 32 bits of {opcode.name}, the lowest first."
    note += f" The other {rest} bits are reserved.</figcaption>" if rest else "</figcaption>"
    return (
        f'<figure class="bits"><svg viewBox="{size}" role="img" '
        f'aria-label="Bit fields of {opcode.name}">{"".join(out)}</svg>{note}</figure>'
    )


def _label(name: str, x: int, y: int, room: int) -> str:
    """Return the name of a field, upright where its box is too narrow."""
    middle = x + room / 2
    if len(name) * 7 <= room:
        return f'<text x="{middle}" y="{y + 20}" text-anchor="middle">{escape(name)}</text>'
    short = name if len(name) * 5 <= room else name[: max(1, room // 6)]
    return (
        f'<text class="small" x="{middle}" y="{y + 19}" text-anchor="middle">{escape(short)}</text>'
    )


def _markdown(text: str) -> str:
    """Return a module's reStructuredText as Markdown, as far as the definition uses it."""

    def grid(match: re.Match[str]) -> str:
        rows = [line.split(None, 1) for line in match[1].splitlines()]
        return table(("counter", "counts"), [(f"`{name}`", said) for name, said in rows])

    text = re.sub(r"^=+ =+\n(.*?)\n=+ =+$", grid, text, flags=re.M | re.S)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`").replace("2**", "2^")
