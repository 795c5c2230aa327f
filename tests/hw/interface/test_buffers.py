"""Buffers: one shape serves the memory, its writer and its reader."""

import pytest
from amaranth.hdl import Shape

from systolith_hw.interface.buffers import (
    SINK_JOB,
    BufferRead,
    BufferShape,
    BufferWrite,
    WordSink,
    buffer_shape,
)
from systolith_hw.interface.layouts import PARAM_LAYOUT
from systolith_hw.load.linear import LinearWriter
from systolith_hw.load.table import TableWriter
from systolith_hw.load.tiles import TileWriter
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.spec.isa import FIELDS, TABLE_ENTRIES, Buffer, Opcode
from systolith_hw.spec.legal import word_bytes
from systolith_sim.testing.configs import small_config


@pytest.mark.parametrize(("lanes", "groups"), [(4, 3), (2, 4)])
def test_groups_that_do_not_divide_the_lanes_are_refused(lanes, groups):
    message = rf"^BufferShape groups must divide {lanes} lanes, not {groups}$"
    with pytest.raises(ValueError, match=message):
        BufferShape(8, lanes, groups, 8)


@pytest.mark.parametrize(("rows", "cols", "lanes"), [(4, 4, 2), (8, 4, 1), (3, 6, 1), (12, 12, 4)])
@pytest.mark.parametrize("buffer", Buffer)
def test_a_word_of_memory_fills_the_group_that_is_written(rows, cols, lanes, buffer):
    config = small_config(rows, cols, post_lanes=lanes, param_depth=4 * cols)
    shape = buffer_shape(buffer, config)
    # The bytes of a table's words are written one by one.
    bits = 8 if buffer is Buffer.TABLE else 8 * word_bytes(buffer, config)
    assert shape.group_layout.size == bits
    assert shape.word_layout.size == shape.groups * shape.group_layout.size
    words = {
        Buffer.ACT: config.act_depth * config.row_groups,
        Buffer.WEIGHT: config.weight_depth,
        Buffer.PARAM: config.param_depth,
        Buffer.TABLE: TABLE_ENTRIES,
    }
    assert shape.groups * shape.depth == words[buffer]


def test_the_memory_offers_both_sides():
    shape = BufferShape(PARAM_LAYOUT, 4, 2, 8)
    memory = SkewedMemory(shape)
    assert BufferWrite(shape).flip().is_compliant(memory.write)
    assert BufferRead(shape).flip().is_compliant(memory.read)
    assert BufferWrite(shape) != BufferWrite(BufferShape(PARAM_LAYOUT, 4, 4, 8))


@pytest.mark.parametrize("buffer", Buffer)
def test_every_buffer_has_a_sink(buffer):
    config = small_config(functions=1)
    others = {Buffer.ACT: TileWriter, Buffer.TABLE: TableWriter}
    sink = others[buffer](config) if buffer in others else LinearWriter(buffer, config)
    assert WordSink(buffer, word_bytes(buffer, config), config).is_compliant(sink)


def test_a_sinks_job_holds_its_fields_whole():
    fields = {field.name: field for field in FIELDS[Opcode.LOAD]}
    for name in SINK_JOB.members:
        shape = Shape.cast(SINK_JOB[name].shape)
        assert shape == Shape(fields[name].width, fields[name].signed)
