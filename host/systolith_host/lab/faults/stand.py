"""A stand for campaigns of faults: starts programs on the fault bench, judges and cures them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from systolith_host.lab.faults.judge import FaultError, check_outside
from systolith_host.lab.faults.programs import WINDOW, Layer
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import INSTRUCTION_BYTES
from systolith_hw.spec.registers import CONTROL_RESET, CONTROL_START, ErrorCode
from systolith_sim.faults.bench import BusTiming, FaultBench, Injection, Observed, Outcome

__all__ = [
    "RESET_LIMIT",
    "RUN_LIMIT",
    "WATCHDOG",
    "Seen",
    "Stand",
    "random_timing",
]

RUN_LIMIT = 300_000
"""Cycles after which a run counts as hung; no correct one takes 20,000."""

RESET_LIMIT = 20_000
"""Cycles after which a reset counts as hung, where the memory answers everything."""

WATCHDOG = 3000


@dataclass(frozen=True)
class Seen:
    """The end of a run: whether the interrupt came, the registers, what the bench saw."""

    interrupt: bool
    outcome: Outcome
    observed: Observed

    @property
    def code(self) -> str:
        """Name of the error; "DONE" without one, "RUNNING" without an end."""
        if self.outcome.failed:
            return ErrorCode(self.outcome.code).name
        return "DONE" if self.outcome.done else "RUNNING"


def random_timing(rng: random.Random) -> BusTiming:
    """Return a memory's behaviour: fast or slow, in order or not, with pauses or without."""
    stalls = [rng.choice([0, 0, 20, 100, 200]) for _ in range(5)]
    order = rng.choice(["", "", "data", "address"])
    return BusTiming(
        rng.choice([(1, 1), (1, 4), (2, 40), (60, 60)]),
        (stalls[0], stalls[1], stalls[2], stalls[3], stalls[4]),
        by_id=rng.random() < 0.5,
        interleaves=rng.random() < 0.5,
        data_first=order == "data",
        address_first=order == "address",
    )


class Stand:
    """An accelerator under test, and the layers that are run on it.

    Parameters
    ----------
    bench : FaultBench
    layers : sequence of Layer
        Programs that are correct.
    """

    def __init__(self, bench: FaultBench, layers: Sequence[Layer]) -> None:
        self.bench = bench
        self.layers = layers
        self.config: AcceleratorConfig = bench.config
        self.masked = False
        self.watch: Callable[[bytes, Seen], None] | None = None
        """Is told of each program that was run, and of its end."""
        self._code = b""

    def set_up(self, *, watchdog: int = WATCHDOG) -> None:
        """Write the registers that programs share, and forget what was there before."""
        bench = self.bench
        bench.heal()
        bench.place(0)
        bench.behave(BusTiming((1, 4)))
        self.set_window(0, WINDOW)
        bench.write("WATCHDOG", watchdog)
        bench.write("IRQ_PENDING", 1)
        bench.write("IRQ_ENABLE", 1)
        self.masked = False

    def set_window(self, base: int, end: int) -> None:
        """Set the window, in the registers and for the check of the addresses."""
        self.bench.write("WINDOW_BASE", base)
        self.bench.write("WINDOW_END", end)
        self.bench.allow(base, end)

    def prepare(self, memory: np.ndarray, address: int, count: int, seed: int) -> None:
        """Make everything ready for a start: cycles and beats count from here."""
        self.bench.memory[:] = memory
        first = address - self.bench.base
        self._code = memory[max(first, 0) :][: count * INSTRUCTION_BYTES].tobytes()
        self.bench.write("PROGRAM_ADDR", address)
        self.bench.write("PROGRAM_COUNT", count)
        self.bench.write("IRQ_PENDING", 1)
        self.bench.restart(seed)

    def start(self) -> None:
        """Start the program."""
        self.bench.write("CONTROL", CONTROL_START)

    def end(self, limit: int = RUN_LIMIT) -> Seen:
        """Wait for the end of the program, by the interrupt or, if that is masked, by STATUS."""
        bench = self.bench
        ended = bench.wait_idle(limit) if self.masked else bench.wait_interrupt(limit)
        observed = bench.observe()
        seen = Seen(ended, bench.outcome(), observed)
        if self.watch is not None:
            self.watch(self._code, seen)
        if seen.observed.broken:
            raise FaultError("rule", seen.observed.broken)
        return seen

    def run(
        self, layer: Layer, timing: BusTiming, seed: int, faults: Sequence[Injection] = ()
    ) -> Seen:
        """Run a layer with faults of the memory."""
        self.bench.behave(timing)
        self.prepare(layer.before, layer.address, layer.count, seed)
        for fault in faults:
            self.bench.inject(fault)
        self.start()
        return self.end()

    def check_exact(self, seen: Seen, after: np.ndarray, what: str) -> None:
        """Demand an end without an error, and the memory `after` it."""
        if not seen.interrupt:
            raise FaultError("hang", f"{what}: no end within {RUN_LIMIT} cycles")
        if not seen.outcome.done:
            raise FaultError("report", f"{what}: {seen.code}, {seen.outcome}")
        wrong = np.flatnonzero(self.bench.memory != after)
        if wrong.size:
            raise FaultError(
                "silent", f"{what}: DONE, but {wrong.size} bytes differ from {wrong[0]:#x} on"
            )
        if seen.observed.reads or seen.observed.writes:
            raise FaultError("rule", f"{what}: DONE with transfers under way: {seen.observed}")

    def check_outside(self, before: np.ndarray) -> None:
        """Demand that nobody has touched the bytes behind the window."""
        check_outside(self.bench.memory, before)

    def reset_engines(self, limit: int = RESET_LIMIT, value: int = CONTROL_RESET) -> bool:
        """Reset by CONTROL; return whether it ended within `limit` cycles."""
        self.bench.write("CONTROL", value)
        return self.bench.wait_idle(limit)

    def reset_hardware(self, cycles: int = 2) -> None:
        """Reset accelerator and memory."""
        self.bench.reset(cycles)
        self.set_up()

    def cure(self, what: str) -> None:
        """Reset by CONTROL with a memory that works again, and demand that it ends."""
        self.bench.heal()
        if not self.reset_engines():
            raise FaultError("hang", f"{what}: the reset does not end")
        if not self.bench.settle(RESET_LIMIT):
            raise FaultError("hang", f"{what}: beats are left in the memory after the reset")
        observed = self.bench.observe()
        if observed.broken:
            raise FaultError("rule", f"{what}, in the reset: {observed.broken}")
        self.set_up()

    def run_good(self, rng: random.Random, what: str, *, hot: bool = False) -> None:
        """Run a correct layer, and demand its exact result.

        With `hot` the memory has broken its protocol: the error may be told at this start, and
        then a reset has to cure it.
        """
        layer = rng.choice(self.layers)
        timing = BusTiming((1, 4))
        seen = self.run(layer, timing, rng.getrandbits(30))
        if hot and seen.code in ("PROTOCOL", "LEFTOVER"):
            self.cure(f"{what}, told at the next start")
            seen = self.run(layer, timing, rng.getrandbits(30))
        self.check_exact(seen, layer.after, f"{what}; the next program")
