"""What must come of a program that may be faulty: the emulator says it, whoever ran it."""

from dataclasses import dataclass

import numpy as np

from systolith_host.lab.faults.programs import WINDOW, Layer, emulate, is_defined
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.registers import Engine, ErrorCode
from systolith_sim.emulator.device import EmulatorError
from systolith_sim.faults.bench import Outcome

__all__ = ["Ended", "FaultError", "check_outside", "judge_program"]


class FaultError(Exception):
    """Something that must not happen; `kind` is one of "silent", "hang", "rule", "report"."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Parameters
    ----------
    interrupt : bool
        Whether it did, within its limit.
    outcome : Outcome
        STATUS and the error registers.
    memory : ndarray of uint8, shape (WINDOW + GUARD,)
        Behind it.
    """

    interrupt: bool
    outcome: Outcome
    memory: np.ndarray


def check_outside(memory: np.ndarray, before: np.ndarray) -> None:
    """Demand that nobody has touched the bytes behind the window."""
    if not np.array_equal(memory[WINDOW:], before[WINDOW:]):
        raise FaultError("rule", "bytes outside of the window were written")


def judge_program(
    config: AcceleratorConfig,
    layer: Layer,
    memory: np.ndarray,
    ended: Ended,
    what: str,
    *,
    window: tuple[int, int] = (0, WINDOW),
) -> str:
    """Compare the end of a run with the emulator's.

    Parameters
    ----------
    config : AcceleratorConfig
    layer : Layer
        Where the program stands.
    memory : ndarray of uint8, shape (WINDOW + GUARD,)
        Before the run.
    ended : Ended
    what : str
        The run, for the texts of errors.
    window : (int, int)
        WINDOW_BASE and WINDOW_END.

    Returns
    -------
    str
        The name of the emulator's ErrorCode, or why the result is not compared: "too large" for the
        emulator, "undefined" (it depends on what a buffer held before), or "torn".

    Raises
    ------
    FaultError
        If there was no end, a byte written behind the window, an error of something else, or
        another result.
    """
    if not ended.interrupt:
        raise FaultError("hang", f"{what}: no end")
    outcome = ended.outcome
    check_outside(ended.memory, memory)
    try:
        wanted = emulate(config, layer, memory, window=window)
    except EmulatorError:
        return "too large"
    # Scan, LOAD and CONV that do not belong together: the accelerator gathers what it is told, or
    # waits for ever.
    if wanted.code == ErrorCode.WATCHDOG:
        return "torn"
    told = f"emulator: {wanted.code.name} of {Engine(wanted.engine).name}, {wanted.info:#x}"
    if outcome.failed and outcome.code in (ErrorCode.WATCHDOG, ErrorCode.LEFTOVER):
        raise FaultError("report", f"{what}: only {ErrorCode(outcome.code).name}; {told}")
    fails = wanted.code != ErrorCode.NONE
    if not fails and not is_defined(config, layer, memory, window=window):
        return "undefined"
    if fails != outcome.failed:
        raise FaultError("silent" if fails else "report", f"{what}: {outcome}; {told}")
    if not fails:
        wrong = np.flatnonzero(ended.memory != wanted.memory)
        if wrong.size:
            raise FaultError("silent", f"{what}: {wrong.size} bytes differ from {wrong[0]:#x} on")
    elif window != (0, WINDOW):
        # Fetch reads ahead and engines run side by side: any of them may leave the window first.
        longest = config.burst_beats * config.bus_bytes
        inside = window[0] <= outcome.info and outcome.info + longest <= window[1]
        if outcome.code != ErrorCode.ADDRESS or inside:
            raise FaultError("report", f"{what}: {outcome}; {told}")
    else:
        # An instruction with two faults: hardware sees the one that comes first in time.
        same = outcome.code != wanted.code or outcome.info == wanted.info
        counted = wanted.code in (ErrorCode.ILLEGAL, ErrorCode.COUNT)
        if outcome.engine != wanted.engine or (counted and not same):
            raise FaultError("report", f"{what}: {outcome}; {told}")
    return wanted.code.name
