"""Trials: the cycles of a schedule by the engines' clocks, before any instruction is made."""

from systolith_host.compiler.lower.operation import Operation
from systolith_host.compiler.schedule.chunks import Chunks, find_chunks
from systolith_host.compiler.schedule.gather import instructions_of
from systolith_host.compiler.schedule.order import allocate, count_cycles
from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.compiler.schedule.work import Addresses, Work, make_work
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory

__all__ = ["Trials"]


class Trials:
    """Tries schedules of an operation on an accelerator.

    Parameters
    ----------
    operation : Operation
    config : AcceleratorConfig
    addresses : Addresses
        Only the shapes of its places matter.
    """

    def __init__(
        self, operation: Operation, config: AcceleratorConfig, addresses: Addresses
    ) -> None:
        self.operation = operation
        self.config = config
        self.addresses = addresses
        self._chunks: dict[tuple[bool, int, int, int], Chunks] = {}

    def cost(
        self,
        schedule: LayerSchedule,
        memory: Memory,
    ) -> tuple[int, int]:
        """Return the cycles that a schedule is expected to take, and its instructions.

        Parameters
        ----------
        memory : Memory
            That it would run on.

        Raises
        ------
        NoRoomError
            If the schedule needs more of a buffer than there is.
        TooManyStepsError
            If it has more than MOST_STEPS CONVs.
        """
        if schedule.units:
            count = instructions_of(self.operation, schedule, self.config)
            return round(schedule.estimate), count
        tables = self._work(schedule).tables
        allocate(tables, self.config)
        cycles = count_cycles(tables, self.config, memory)
        return cycles, tables.instructions

    def _work(self, schedule: LayerSchedule) -> Work:
        operation, config, addresses = self.operation, self.config, self.addresses
        sizes = (schedule.chunk_blocks, schedule.chunk_taps, schedule.group_blocks)
        key = (schedule.linear, *sizes)
        if key not in self._chunks:
            self._chunks[key] = find_chunks(operation, schedule, config, addresses.sources)
        return make_work(operation, schedule, config, addresses, self._chunks[key])
