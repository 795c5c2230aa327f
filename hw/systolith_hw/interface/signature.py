"""The base of the signatures of this package."""

from amaranth.lib import wiring

__all__ = ["NamedSignature"]


class NamedSignature(wiring.Signature):
    """A signature with a name: equal to those of its own class with the same members.

    Amaranth compares signatures of derived classes by identity unless told otherwise, and then no
    component would comply with a signature that was made from the same configuration again.
    """

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NamedSignature):
            return NotImplemented
        return type(self) is type(other) and self.members == other.members

    __hash__ = None  # type: ignore[assignment]
