"""The status of an engine: its state, its finished instructions, and its faults."""

from typing import Any

from amaranth.lib import enum
from amaranth.lib.wiring import Out

from systolith_hw.interface.layouts import COUNTER_BITS
from systolith_hw.interface.signature import NamedSignature
from systolith_hw.spec.registers import ENGINE_STATES, Engine

__all__ = ["ComputeState", "EngineStatus", "LoadState", "StoreState"]


def _states(name: str, engine: Engine) -> Any:
    return enum.Enum(name, {state.upper(): i for i, state in enumerate(ENGINE_STATES[engine])})


LoadState: Any = _states("LoadState", Engine.LOAD)
ComputeState: Any = _states("ComputeState", Engine.COMPUTE)
StoreState: Any = _states("StoreState", Engine.STORE)


class EngineStatus(NamedSignature):
    """Seen from the engine.

    Parameters
    ----------
    states : enumeration
        The engine's states, as indices into its ENGINE_STATES.
    regions : bool
        Whether it moves regions of memory, whose words it counts.

    Members
    -------
    state : Out
    rest : Out
        A cycle ago no instruction, word or beat was held; what pipelines hold is not counted.
    done : Out, pulse for every instruction that others may count on
    fault : Out, pulse: an address beyond a buffer's or bank's end
    fault_addr : Out, that address
    miscount : Out, pulse: a region has more or fewer words than the instruction moves
    miscount_number : Out, how many instructions of its kind came before that one
    """

    def __init__(self, states: Any, *, regions: bool) -> None:
        members: dict[str, Any] = {
            "state": Out(states),
            "rest": Out(1),
            "done": Out(1),
            "fault": Out(1),
            "fault_addr": Out(24),
        }
        if regions:
            members |= {"miscount": Out(1), "miscount_number": Out(COUNTER_BITS)}
        super().__init__(members)
