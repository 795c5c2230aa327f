"""An adder that also subtracts, with one carry chain."""

from typing import Any

from amaranth.hdl import Cat, Const, Value

__all__ = ["plus_minus"]


def _extended(value: Any, width: int) -> Value:
    """Return the bits of a signed value, repeated or cut to a width."""
    bits = Value.cast(value)
    return Cat(bits, bits[-1].replicate(max(0, width - len(bits))))[:width]


def plus_minus(a: Any, b: Any, minus: Any, width: int) -> Value:
    """Return a + b, or with `minus` a - b, modulo 2**width, signed.

    Tools turn a choice between a sum and a difference into two carry chains.

    Parameters
    ----------
    a, b : signed Value
    minus : Value
        One bit.
    width : int
        Bits of the result.
    """
    left = Cat(Const(1, 1), _extended(a, width))
    right = Cat(minus, _extended(b, width) ^ minus.replicate(width))
    return (left + right)[1 : width + 1].as_signed()
