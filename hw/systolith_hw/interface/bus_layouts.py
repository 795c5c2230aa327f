"""Layouts between the engines and the bus: regions, runs, bursts and beats."""

from amaranth.lib import data

from systolith_hw.interface.layouts import address_bits, instruction_layout
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import REGION_FIELDS, Opcode

__all__ = ["beat_bits", "burst_layout", "region_layout", "run_layout", "write_beat_layout"]


def region_layout(config: AcceleratorConfig, kinds: int) -> data.StructLayout:
    """Return the layout of a region, as in an instruction; ``kind`` gives the word size."""
    fields = instruction_layout(Opcode.LOAD, config)
    return data.StructLayout(
        {
            **{name: fields[name].shape for name in REGION_FIELDS},
            "kind": range(max(2, kinds)),
        }
    )


def beat_bits(config: AcceleratorConfig) -> int:
    """Return the bits of a run's beats: as many as there are addresses, and its two ends."""
    return address_bits(config) - config.bus_bytes.bit_length() + 2


def run_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of a run: a contiguous piece of memory, seen as bus beats.

    ``addr`` is that of the first beat, ``skip`` the bytes of it that do not belong to the run,
    ``end`` the bytes of the last beat up to the run's end. ``short`` says that the run is a single
    burst: it does not cross a multiple of the longest one.
    """
    return data.StructLayout(
        {
            "addr": address_bits(config),
            "beats": beat_bits(config),
            "skip": range(config.bus_bytes),
            "end": range(config.bus_bytes + 1),
            "short": 1,
            "last": 1,
        }
    )


def burst_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of a burst: address, beats minus one, whether it ends its region."""
    return data.StructLayout({"addr": address_bits(config), "length": 8, "last": 1})


def write_beat_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of a beat and its byte strobes."""
    return data.StructLayout({"data": config.bus_bytes * 8, "strb": config.bus_bytes})
