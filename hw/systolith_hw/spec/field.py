"""A field of an instruction: its width, its meaning, and the values that are legal."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the configuration takes sizes from the instruction set
    from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["Field", "Role"]


class Role(Enum):
    """The role of a field, where tools treat it by that."""

    VALUE = "value"
    TOKEN = "token"
    """A count that the instruction waits for; :attr:`Field.counter` names the counter."""
    COUNT = "count"
    """Iterations of a level of a walk."""
    STEP = "step"
    """The step of a level of a walk, added to the address modulo 2**width of the field."""


@dataclass(frozen=True)
class Field:
    """One field: its name, its width in bits, its meaning, and its legal values.

    Parameters
    ----------
    name, doc : str
        Name and meaning.
    width : int
        Bits.
    signed : bool
        Whether values are in two's complement.
    least, most : int, optional
        Smallest and largest legal value; None for those of the width. The accelerator refuses an
        instruction with any other.
    external : bool
        Whether values are addresses, distances or sizes in external memory, which must also be
        below 2**addr_width of the configuration.
    role : Role
    counter : str
        Of a token: one of :data:`~systolith_hw.spec.isa.COUNTERS`.
    option : str
        Name of a field of the configuration. Where that is 0 the instruction does not have this
        field, and its bits are reserved.
    unless : str
        Name of a field of the configuration. Where that is 0 the largest value is not legal.
    """

    name: str
    width: int
    doc: str
    signed: bool = False
    least: int | None = None
    most: int | None = None
    external: bool = False
    role: Role = Role.VALUE
    counter: str = ""
    option: str = ""
    unless: str = ""

    @property
    def low(self) -> int:
        """Smallest legal value."""
        if self.least is not None:
            return self.least
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest legal value in any configuration."""
        if self.most is not None:
            return self.most
        return (1 << (self.width - 1 if self.signed else self.width)) - 1

    @property
    def default(self) -> int:
        """Value where none is given: 0, or the smallest legal value if 0 is illegal."""
        return max(0, self.low)

    def present(self, config: "AcceleratorConfig") -> bool:
        """Return whether the instructions of a configuration have the field."""
        return not self.option or bool(getattr(config, self.option))

    def bits(self, addr_width: int) -> int:
        """Return the bits that legal values need with external addresses of `addr_width` bits."""
        return min(self.width, addr_width) if self.external else self.width
