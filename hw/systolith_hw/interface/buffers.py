"""The on-chip buffers as their users see them: shapes, both sides, and sinks of words."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.layouts import PARAM_LAYOUT, instruction_layout
from systolith_hw.interface.signature import NamedSignature
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import TABLE_ENTRIES, Buffer, Opcode

__all__ = [
    "SINK_JOB",
    "BufferRead",
    "BufferShape",
    "BufferWrite",
    "WordSink",
    "buffer_shape",
]


@dataclass(frozen=True)
class BufferShape:
    """Words of lanes, written a group of neighbouring lanes at a time.

    Parameters
    ----------
    element : ShapeLike
        Of a lane.
    lanes : int
    groups : int
        Groups of lanes with a write enable each; divides `lanes`.
    depth : int
        Words.
    """

    element: Any
    lanes: int
    groups: int
    depth: int

    def __post_init__(self) -> None:
        if self.lanes % self.groups:
            raise ValueError(
                f"BufferShape groups must divide {self.lanes} lanes, not {self.groups}"
            )

    @property
    def group_layout(self) -> data.ArrayLayout:
        """Layout of one write."""
        return data.ArrayLayout(self.element, self.lanes // self.groups)

    @property
    def word_layout(self) -> data.ArrayLayout:
        """Layout of one read."""
        return data.ArrayLayout(self.element, self.lanes)


def buffer_shape(buffer: Buffer, config: AcceleratorConfig) -> BufferShape:
    """Return the shape of one of the accelerator's buffers."""
    if buffer is Buffer.ACT:
        return BufferShape(8, config.rows, config.row_groups, config.act_depth)
    if buffer is Buffer.WEIGHT:
        return BufferShape(8, config.cols, 1, config.weight_depth)
    if buffer is Buffer.TABLE:
        return BufferShape(8, 1, 1, TABLE_ENTRIES)
    lanes = config.post_lanes
    return BufferShape(PARAM_LAYOUT, lanes, lanes, config.param_depth // lanes)


class BufferWrite(NamedSignature):
    """The write side, seen from whoever writes.

    Members
    -------
    addr : Out, word
    data : Out, the lanes of one group
    en : Out, a bit for each group
    """

    def __init__(self, shape: BufferShape) -> None:
        self.shape = shape
        super().__init__(
            {
                "addr": Out(range(shape.depth)),
                "data": Out(shape.group_layout),
                "en": Out(shape.groups),
            }
        )


class BufferRead(NamedSignature):
    """The read side, seen from the reader; the memory states the latency of a lane's data.

    Members
    -------
    addr : Out, word, for lane 0; each following lane reads it one cycle later
    data : In, an element for each lane
    """

    def __init__(self, shape: BufferShape) -> None:
        self.shape = shape
        super().__init__({"addr": Out(range(shape.depth)), "data": In(shape.word_layout)})


SINK_JOB = data.StructLayout(
    {
        name: instruction_layout(Opcode.LOAD)[name].shape
        for name in (
            *("dest", "lane", "planes", "rows", "pixels", "pixel_bytes"),
            *("pad_top", "pad_bottom", "pad_left", "pad_right", "pad_value"),
        )
    }
)
"""The fields of a LOAD that say where its words go."""


class WordSink(NamedSignature):
    """Takes the words of regions into one buffer; seen from the load engine.

    A sink takes words from the cycle after its job until its ``finish``. It knows the number of
    words, or goes by ``last``.

    Members
    -------
    job : In, stream of :data:`SINK_JOB`; ready while there is no job
    word : In, stream of words
    last : In, the next word is the last of its region
    write : Out, the buffer's write side, registered
    taken : Out, a word is taken
    busy : Out, a word is taken or written
    finish : Out, pulse: the last decision on the job is made
    fault : Out, in a cycle that decides on a write beyond the buffer's end
    fault_addr : Out, the place of it
    """

    def __init__(self, buffer: Buffer, word_bytes: int, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "job": In(stream.Signature(SINK_JOB)),
                "word": In(stream.Signature(word_bytes * 8)),
                "last": In(1),
                "write": Out(BufferWrite(buffer_shape(buffer, config))),
                "taken": Out(1),
                "busy": Out(1),
                "finish": Out(1),
                "fault": Out(1),
                "fault_addr": Out(Shape.cast(SINK_JOB["dest"].shape)),
            }
        )
