"""What the load engine and the core tell each other about gathered weights, and the mask's port."""

from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.signature import NamedSignature
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["ACTIVE_LAYOUT", "Gathering", "MaskWrite"]

ACTIVE_LAYOUT = data.StructLayout({"inputs": 16, "words": 16})
"""The active inputs of the last scan, and the words of the activation buffer that they take."""


class Gathering(NamedSignature):
    """Counts and credits, seen from the load engine.

    Members
    -------
    active : Out, :data:`ACTIVE_LAYOUT`, constant while LOADs and CONVs use it
    complete : Out, pulse: a unit of weights is in its buffer
    free : In, pulse: a unit has been read for the last time
    """

    def __init__(self) -> None:
        super().__init__({"active": Out(ACTIVE_LAYOUT), "complete": Out(1), "free": In(1)})


class MaskWrite(NamedSignature):
    """The write side of the mask memory, seen from whoever writes.

    Members
    -------
    addr : Out, word
    data : Out, a bit for each byte of a memory word: it is active
    en : Out
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {"addr": Out(range(config.mask_words)), "data": Out(config.block), "en": Out(1)}
        )
