"""The window of external memory that a burst has to lie in."""

from typing import Any

from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["is_inside"]

_BURST_BITS = 14
"""Bits of a burst's size: 256 beats of 64 bytes are the longest."""


def is_inside(config: AcceleratorConfig, addr: Any, end: Any, base: Any, limit: Any) -> Any:
    """Return whether a burst from `addr` up to `end` lies in the window and in the memory.

    The window may reach beyond the memory, whose addresses have ``config.addr_width`` bits. The bus
    would carry only the low bits of an address there, and so an address below the window.

    Parameters
    ----------
    config : AcceleratorConfig
    addr : Value of address_bits(config)
        Of the first byte.
    end : Value of address_bits(config) + 1
        ``addr`` and the burst's size, at most 16 KiB.
    base, limit : Value of address_bits(config)
        The window's first address, and that after its last.
    """
    beyond = config.addr_width  # the bit of an address that the bus does not have
    # A burst that starts in the memory ends beyond it by less than its size.
    past = addr[beyond] | (end[beyond] & end[:_BURST_BITS].any())
    return (addr >= base) & (end <= limit) & ~past
