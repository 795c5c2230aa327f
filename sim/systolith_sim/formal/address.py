"""Rules of the AXI4 master's address channels."""

from typing import Any

from amaranth.hdl import Assert, Assume, Module, Shape, Signal
from amaranth.lib import data

from systolith_hw.interface.bus_layouts import burst_layout
from systolith_hw.interface.layouts import address_bits
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.formal.prove import Specification
from systolith_sim.formal.stream_contract import StreamContract

__all__ = ["ReadAddressSpecification", "WriteAddressSpecification"]

_PAGE = 4096
"""No burst of AXI4 crosses a multiple of it."""


class _AddressSpecification(Specification):
    """The rules of an AR or AW channel, for any memory and window.

    - An address stays, unchanged, until it is taken.
    - A burst lies in the window as it was two cycles before its address is first offered, and in
      the memory; so the bus carries all bits of its addresses.
    - It is no longer than the longest, and does not cross 4 KiB, if none that is asked for does.
    - None is offered first in the cycle after one with ``halt``.

    Parameters
    ----------
    dut : ReadPort or WritePort
    config : AcceleratorConfig
        Of the same.
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    DEPTH = 3
    """Of the induction: from the check of a burst to its address on the bus."""

    seen_end: Signal

    CHANNEL = ""
    ASKED: tuple[str, ...] = ()
    """Streams of bursts that are asked for."""
    STAGES: tuple[tuple[str, str], ...] = ()
    """Flags that say that a burst waits, and the registers in which, before it is to be issued."""

    def __init__(self, dut: Any, config: AcceleratorConfig, *, inside: bool = True) -> None:
        self.dut = dut
        self.config = config
        bits = Shape.cast(burst_layout(config)).width
        probes = {
            "seen_waits": ("dut.issue.waits", 1),
            "seen_held": ("dut.issue.held", bits),
            "seen_end": ("dut.issue.end", address_bits(config) + 1),
        }
        for flag, register in self.STAGES:
            probes[f"seen_{flag}"] = (f"dut.{flag}", 1)
            probes[f"seen_{register}"] = (f"dut.{register}", bits)
        super().__init__(probes=probes, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, config = self.dut, self.config
        self.place(m, dut)
        for name in self.ASKED:
            port = getattr(dut, name)
            m.d.comb += Assume(~port.valid | self._is_legal(port.p), "bursts keep to AXI4")

        bus = dut.bus
        valid, ready, addr, length = (
            getattr(bus, f"{self.CHANNEL}{name}") for name in ("valid", "ready", "addr", "len")
        )
        ids = [bus.arid] if self.CHANNEL == "ar" else []
        m.submodules.contract = contract = StreamContract(valid, ready, addr, length, *ids)
        burst: Any = Signal(burst_layout(config))
        end = burst.addr + self._size(burst)
        m.d.comb += [burst.addr.eq(addr), burst.length.eq(length)]
        # The window as it was one and two cycles before, and whether this address was offered then.
        now = (dut.window_base, dut.window_end)
        before = [Signal.like(limit, reset_less=True) for limit in now]
        base, limit = (Signal.like(limit, reset_less=True) for limit in now)
        waited, halted = Signal(), Signal()
        m.d.sync += [
            waited.eq(valid & ~ready),
            halted.eq(dut.halt),
            *(later.eq(port) for later, port in zip(before, now, strict=True)),
            base.eq(before[0]),
            limit.eq(before[1]),
        ]
        fresh = valid & ~waited
        m.d.comb += [
            Assert(contract.kept, "an address stays until it is taken"),
            Assert(~valid | (end <= 1 << config.addr_width), "a burst ends with the memory"),
            Assert(~fresh | (burst.addr >= base), "a burst begins in the window"),
            Assert(~fresh | (end <= limit), "a burst ends in the window"),
            Assert(~valid | self._is_legal(burst), "a burst keeps to AXI4"),
            Assert(~fresh | ~halted, "a halted port offers nothing new"),
        ]
        if self.inside:
            self._judge_inside(m)
        return m

    def _judge_inside(self, m: Module) -> None:
        """Assert the invariants of the registers in which bursts wait, for the induction."""
        layout = burst_layout(self.config)
        for flag, register in (*self.STAGES, ("waits", "held")):
            full = getattr(self, f"seen_{flag}")
            burst: Any = data.View(layout, getattr(self, f"seen_{register}"))
            m.d.comb += Assert(~full | self._is_legal(burst), f"{register} keeps to AXI4")
            if register == "held":
                end = burst.addr + self._size(burst)
                m.d.comb += Assert(~full | (self.seen_end == end), "the end is known")

    def _size(self, burst: Any) -> Any:
        """Return the bytes of a burst."""
        return (burst.length + 1) * self.config.bus_bytes

    def _is_legal(self, burst: Any) -> Any:
        """Return whether AXI4 and the configuration allow the length of a burst."""
        place = burst.addr[: _PAGE.bit_length() - 1]
        return (place + self._size(burst) <= _PAGE) & (burst.length < self.config.burst_beats)


class ReadAddressSpecification(_AddressSpecification):
    """The rules of the AR channel: see the base class."""

    CHANNEL = "ar"
    ASKED = ("load", "fetch")
    STAGES = (("waits_load", "waiting_load"), ("waits_fetch", "waiting_fetch"))


class WriteAddressSpecification(_AddressSpecification):
    """The rules of the AW channel: see the base class."""

    CHANNEL = "aw"
    ASKED = ("burst",)
    STAGES = (("early_valid", "early"),)
