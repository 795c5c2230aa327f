"""Dealing the items of a stream to several takers, to each as soon as it is free."""

from collections.abc import Mapping
from functools import reduce
from operator import and_
from typing import Any

from amaranth.hdl import Module, Signal

__all__ = ["deal"]


def deal(
    m: Module,
    source: Any,
    takers: Mapping[str, Any],
    *,
    wanted: Mapping[str, Any] | None = None,
    offered: Any = None,
) -> dict[str, Signal]:
    """Offer each item to all takers, and give it up when all have it; connect no payload.

    That all have it is known from registers: it is ready a cycle after the last has taken it.

    Parameters
    ----------
    m : Module
        Of the component.
    source : stream
    takers : mapping of str to stream
        By the names of their registers.
    wanted : mapping of str to Value, optional
        Whether this item is for that taker at all; a function of the payload.
    offered : Value, optional
        The item may be offered; does not fall while it is.

    Returns
    -------
    dict of str to Signal
        Which takers have the present item.
    """
    valid = source.valid if offered is None else source.valid & offered
    given = {name: Signal(name=f"{name}_given") for name in takers}
    m.d.comb += source.ready.eq(reduce(and_, given.values()))
    for name, taker in takers.items():
        open_, ready = valid, taker.ready
        if wanted is not None and name in wanted:
            open_, ready = valid & wanted[name], taker.ready | ~wanted[name]
        m.d.comb += taker.valid.eq(open_ & ~given[name])
        taken = given[name] | (valid & ready)
        m.d.sync += given[name].eq(~source.ready & taken)
    return given
