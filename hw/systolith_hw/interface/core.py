"""What a convolution core promises, whatever its algorithm, to those who fill and drain it."""

from typing import Any

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.layouts import PROGRESS_LAYOUT, instruction_layout
from systolith_hw.interface.signature import NamedSignature
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.registers import ENGINE_STATES, Engine

__all__ = [
    "OUTPUT_LAYOUT",
    "PARAM_LAYOUT",
    "ComputeState",
    "ConvCoreSignature",
    "accumulate_layout",
    "drain_layout",
]

ComputeState: Any = enum.Enum(
    "ComputeState", {name.upper(): i for i, name in enumerate(ENGINE_STATES[Engine.COMPUTE])}
)

PARAM_LAYOUT = data.StructLayout(
    {"bias": signed(32), "multiplier": unsigned(24), "shift": unsigned(8)}
)
"""A parameter entry, as it stands in memory."""

OUTPUT_LAYOUT = data.StructLayout({"zero_point": signed(8), "low": signed(8), "high": signed(8)})
"""What all channels of a tensor share; constant while results are under way."""


def accumulate_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of what travels beside partial sums: where they go, what they replace.

    ``overwrite`` forgets and ``shift`` multiplies what is there; ``done`` marks the last sum of an
    instruction.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "overwrite": 1,
            "shift": 1,
            "done": 1,
            "bank": 1,
            "addr": range(config.acc_depth),
        }
    )


def drain_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of a read of the drain: bank and address."""
    return data.StructLayout({"bank": 1, "addr": range(config.acc_depth)})


class ConvCoreSignature(NamedSignature):
    """What any convolution core offers: CONV instructions in, exact sums out.

    The core reads both buffers by itself and decides how; nothing outside of it knows how many
    cycles a pass takes or how the sums come about. A core for another algorithm has the same
    members.

    Members
    -------
    conv : In, stream of CONV instructions
    progress : In, the counters it waits for
    done : Out, pulse for every CONV whose last sum is in its bank
    state : Out, index into ENGINE_STATES of the compute engine
    act_addr, act_data, weight_addr, weight_data : the buffers' read sides (SkewedMemory)
    drain : In, bank and address that the drain reads, for lane 0; lane l reads a cycle later each
    drain_group : In, the group of ``post_lanes`` columns that is read
    sum : Out, for each lane, DRAIN_LATENCY cycles after its ``drain``
    fault : Out, pulse: an address beyond a buffer's end
    fault_addr : Out, that address
    """

    DRAIN_LATENCY = 4
    """Cycles from a drain's address to its sum; every core keeps to it."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "conv": In(stream.Signature(instruction_layout(Opcode.CONV))),
                "progress": In(PROGRESS_LAYOUT),
                "done": Out(1),
                "state": Out(ComputeState),
                "act_addr": Out(range(config.act_depth)),
                "act_data": In(data.ArrayLayout(8, config.rows)),
                "weight_addr": Out(range(config.weight_depth)),
                "weight_data": In(data.ArrayLayout(8, config.cols)),
                "drain": In(drain_layout(config)),
                "drain_group": In(range(max(2, config.cols // config.post_lanes))),
                "sum": Out(data.ArrayLayout(signed(config.acc_width), config.post_lanes)),
                "fault": Out(1),
                "fault_addr": Out(24),
            }
        )
