"""The contract of a convolution core of any algorithm with the engines that fill and drain it."""

from amaranth.hdl import signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.buffers import BufferRead, buffer_shape
from systolith_hw.interface.engine import ComputeState, EngineStatus
from systolith_hw.interface.gather import Gathering
from systolith_hw.interface.layouts import PROGRESS_LAYOUT, instruction_layout
from systolith_hw.interface.signature import NamedSignature
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Opcode

__all__ = ["ConvCoreSignature", "DrainRead", "accumulate_layout", "drain_layout"]


def accumulate_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of the commands that travel with partial sums: address, bank, flags.

    ``overwrite`` drops and ``shift`` multiplies the present content.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "overwrite": 1,
            "shift": 1,
            "bank": 1,
            "addr": range(config.acc_depth),
        }
    )


def drain_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of a read of the drain: bank and address."""
    return data.StructLayout({"bank": 1, "addr": range(config.acc_depth)})


class DrainRead(NamedSignature):
    """How sums are read, seen from whoever drains.

    Members
    -------
    place : Out, :func:`drain_layout`, for lane 0; lane l reads it l cycles later
    group : Out, the group of ``post_lanes`` columns that is read
    sum : In, for each lane, LATENCY cycles after its ``place``
    """

    LATENCY = 4
    """Cycles from a place to its sum; every core keeps to it."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "place": Out(drain_layout(config)),
                "group": Out(range(max(2, config.cols // config.post_lanes))),
                "sum": In(data.ArrayLayout(signed(config.sum_width), config.post_lanes)),
            }
        )


class ConvCoreSignature(NamedSignature):
    """The members of any convolution core: CONV instructions in, exact sums out.

    The core reads both buffers by itself and decides how. Nothing outside it knows how many cycles
    a pass takes or how the sums are computed. A core for another algorithm has the same members.

    Members
    -------
    conv : In, stream of CONV instructions
    progress : In, the counters it waits for
    act, weight : Out, the buffers' read sides
    drain : In, :class:`DrainRead`
    status : Out, done with every CONV whose last sum is in its bank
    gathering : In, only with ``gather``: :class:`Gathering`
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "conv": In(stream.Signature(instruction_layout(Opcode.CONV, config))),
                "progress": In(PROGRESS_LAYOUT),
                "act": Out(BufferRead(buffer_shape(Buffer.ACT, config))),
                "weight": Out(BufferRead(buffer_shape(Buffer.WEIGHT, config))),
                "drain": In(DrainRead(config)),
                "status": Out(EngineStatus(ComputeState, regions=False)),
                **({"gathering": In(Gathering())} if config.gather else {}),
            }
        )
