"""Rules of the AXI4 master's address channels."""

from typing import Any

from amaranth.hdl import Assert, Assume, Module, Signal

from systolith_hw.interface.bus_layouts import burst_layout
from systolith_hw.interface.layouts import address_bits
from systolith_hw.spec.config import AcceleratorConfig
from systolith_sim.formal.port import PortSpecification
from systolith_sim.formal.stream_contract import StreamContract

__all__ = ["ReadAddressSpecification", "WriteAddressSpecification"]

_PAGE = 4096
"""No burst of AXI4 crosses a multiple of it."""


class _AddressSpecification(PortSpecification):
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

    ASKED: tuple[str, ...] = ()
    """Streams of bursts that are asked for."""

    def __init__(self, dut: Any, config: AcceleratorConfig, *, inside: bool = True) -> None:
        super().__init__(dut, config, {"issue.end": address_bits(config) + 1}, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, config = self.dut, self.config
        self.observe(m)
        for name in self.ASKED:
            port = getattr(dut, name)
            m.d.comb += Assume(~port.valid | self._is_legal(port.p), "bursts keep to AXI4")

        valid, fresh = self.valid, self.fresh
        ids = [dut.bus.arid] if self.CHANNEL == "ar" else []
        m.submodules.contract = contract = StreamContract(
            valid, self.ready, self.addr, self.length, *ids
        )
        burst: Any = Signal(burst_layout(config))
        end = burst.addr + self._size(burst)
        m.d.comb += [burst.addr.eq(self.addr), burst.length.eq(self.length)]
        # The window as it was one and two cycles before, and whether this address was offered then.
        now = (dut.window_base, dut.window_end)
        before = [Signal.like(limit, reset_less=True) for limit in now]
        base, limit = (Signal.like(limit, reset_less=True) for limit in now)
        halted = Signal()
        m.d.sync += [
            halted.eq(dut.halt),
            *(later.eq(port) for later, port in zip(before, now, strict=True)),
            base.eq(before[0]),
            limit.eq(before[1]),
        ]
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
        waiting = self.waiting()
        m.d.comb += [
            Assert(~full | self._is_legal(burst), f"place {number} keeps to AXI4")
            for number, (full, burst) in enumerate(waiting)
        ]
        full, burst = waiting[0]
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
