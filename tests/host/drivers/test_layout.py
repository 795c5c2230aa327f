"""The layout of images, and its page."""

from pathlib import Path

import pytest

from systolith_host.drivers.layout import HEADER, LAYER, RECORDS, Number, Record

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "driver.md"


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_the_page_has_every_number(record):
    text = PAGE.read_text()
    assert f"### {record.name.capitalize()}, {record.size} bytes: {record.doc}\n" in text
    for number, offset in record.offsets():
        doc = number.doc.replace("**", "^")
        assert f"| {offset} | {number.size} | `{number.name}` | {doc} |\n" in text


def test_records_are_multiples_of_8_bytes_so_that_tables_are_aligned():
    assert [record.size % 8 for record in RECORDS] == [0] * len(RECORDS)


def test_unpack_gives_back_what_was_packed():
    values = {number.name: index for index, number in enumerate(LAYER.numbers)}
    assert LAYER.unpack(LAYER.pack(**values)) == values


def test_a_number_that_is_missing_or_too_large_is_refused():
    with pytest.raises(ValueError, match=r"^header has other numbers than \['magic'\]$"):
        HEADER.pack(magic=1)
    record = Record("r", "", (Number("a", 4, ""),))
    with pytest.raises(OverflowError):
        record.pack(a=1 << 32)


def test_a_number_that_is_not_aligned_is_refused():
    with pytest.raises(ValueError, match=r"^r\.b must be aligned, not at 4$"):
        Record("r", "", (Number("a", 4, ""), Number("b", 8, "")))
