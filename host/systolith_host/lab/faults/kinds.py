"""Faults of the memory and of the host: how each is drawn, and what must come of it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from systolith_host.lab.faults.judge import FaultError
from systolith_host.lab.faults.programs import Layer
from systolith_host.lab.faults.stand import WATCHDOG, Seen, Stand, random_timing
from systolith_hw.spec.registers import CONTROL_RESET, CONTROL_START, REGISTERS, Engine, ErrorCode
from systolith_sim.faults.bench import FOREVER, BusTiming, Channel, Injection, Kind

__all__ = ["Case", "Told", "moment_of", "MEMORY_KINDS", "HOST_KINDS"]

SHORT_WATCHDOG = 700
"""Cycles; the slowest memory that keeps to the rules lets fewer pass."""


@dataclass
class Case:
    """A case under way.

    Parameters
    ----------
    stand : Stand
    rng : Random
        Of this case alone.
    layer : Layer
        The program that the fault strikes.
    timing : BusTiming
    seed : int
        Of the memory: the same as in the clean run.
    clean : Seen
        The end of a run without the fault.
    """

    stand: Stand
    rng: random.Random
    layer: Layer
    timing: BusTiming
    seed: int
    clean: Seen

    @property
    def cycles(self) -> int:
        """Cycles of the clean run."""
        return self.clean.observed.cycles

    def any_cycle(self) -> int:
        """Return a cycle of the run, or one shortly after it."""
        return self.rng.randrange(self.cycles + self.cycles // 8 + 20)

    def begin(self, *faults: Injection, watchdog: int = WATCHDOG) -> None:
        """Start the program with these faults to come."""
        stand = self.stand
        stand.bench.write("WATCHDOG", watchdog)
        stand.bench.behave(self.timing)
        stand.prepare(self.layer.before, self.layer.address, self.layer.count, self.seed)
        for fault in faults:
            stand.bench.inject(fault)
        stand.start()

    def check_exact(self, seen: Seen, what: str) -> None:
        """Demand the exact result."""
        self.stand.check_exact(seen, self.layer.after, what)


@dataclass(frozen=True)
class Told:
    """What came of a case.

    Parameters
    ----------
    engine : str
        The engine that the fault struck; "all" where it is no single one's.
    cycle : int
        When; -1 if it did not strike.
    code : str
        What the accelerator said: "DONE" or the name of an error.
    note : str
        More on it, or "".
    """

    engine: str
    cycle: int
    code: str
    note: str = ""


def moment_of(cycle: int, cycles: int) -> str:
    """Return the part of a run in which a cycle lies."""
    if cycle >= cycles:
        return "after"
    if 10 * cycle < cycles:
        return "start"
    return "end" if 10 * cycle >= 9 * cycles else "middle"


def _reader(seen: Seen) -> Engine:
    """Return the engine that asked for the beat that a fault struck."""
    return Engine.FETCH if seen.observed.id else Engine.LOAD


def _check_error(seen: Seen, code: ErrorCode, engine: Engine, info: int, what: str) -> None:
    if not seen.interrupt:
        raise FaultError("hang", f"{what}: no end")
    outcome = seen.outcome
    if not outcome.failed:
        raise FaultError("silent", f"{what}: {seen.code} instead of {code.name}")
    if (outcome.code, outcome.engine, outcome.info) != (code, engine, info):
        raise FaultError("report", f"{what}: {outcome}, not {code.name} of {engine.name}")


def _stalls(case: Case) -> Told:
    """Another timing: the result must stay the same."""
    case.timing = random_timing(case.rng)
    case.begin()
    case.check_exact(case.stand.end(), f"{case.timing}")
    return Told("all", 0, "DONE")


def _read_error(case: Case) -> Told:
    """SLVERR or DECERR at any beat."""
    at = case.rng.randrange(case.clean.observed.read_beats)
    response = case.rng.choice([2, 3])
    case.begin(Injection(Kind.R_ERROR, at, 1, response))
    seen = case.stand.end()
    engine = _reader(seen)
    _check_error(seen, ErrorCode.BUS, engine, 0, f"response {response} at beat {at}")
    case.stand.cure("after a bus error")
    return Told(engine.name, seen.observed.cycle, seen.code)


def _write_error(case: Case) -> Told:
    """SLVERR or DECERR in any response."""
    at = case.rng.randrange(case.clean.observed.responses)
    response = case.rng.choice([2, 3])
    case.begin(Injection(Kind.B_ERROR, at, 1, response))
    seen = case.stand.end()
    _check_error(seen, ErrorCode.BUS, Engine.STORE, 0, f"response {response} to write {at}")
    case.stand.cure("after a bus error")
    return Told("STORE", seen.observed.cycle, seen.code)


def _dead(channel: Channel) -> Callable[[Case], Told]:
    engine = "FETCH, LOAD" if channel in (Channel.AR, Channel.R) else "STORE"

    def run(case: Case) -> Told:
        """Let a channel die at any moment, and live again soon, late, or never."""
        at = case.any_cycle()
        way = case.rng.choice(["soon", "late", "in the reset", "never"])
        length = case.rng.randint(1, 200) if way == "soon" else FOREVER
        if way == "late":
            length = SHORT_WATCHDOG + case.rng.randrange(2 * SHORT_WATCHDOG)
        what = f"{channel.name} dead from {at}, {way}"
        case.begin(Injection(Kind.DEAD, at, length, 1 << channel), watchdog=SHORT_WATCHDOG)
        seen = case.stand.end()
        if seen.outcome.done:
            case.check_exact(seen, what)
        elif way == "soon":
            raise FaultError("report", f"{what}: {seen.outcome}")
        else:
            _check_error(seen, ErrorCode.WATCHDOG, Engine.FETCH, 0, what)
        note = way
        if way in ("late", "in the reset") or seen.outcome.done:
            if way == "in the reset" and not seen.outcome.done:
                case.stand.bench.write("CONTROL", CONTROL_RESET)
                case.stand.bench.run(case.rng.randrange(500))
            case.stand.cure(what)
        elif way == "never":
            if case.stand.reset_engines(2000):
                note = "never; nothing was under way"
            else:
                note = "never; hardware reset"
            case.stand.reset_hardware()
        return Told(engine, seen.observed.cycle if seen.observed.injected else -1, seen.code, note)

    return run


BREAKS: Mapping[str, tuple[Kind, int, int]] = {
    # name: kind, how its place is counted (0 cycles, 1 beats, 2 responses), arguments
    "stray R": (Kind.STRAY_R, 0, 4),
    "stray B": (Kind.STRAY_B, 0, 2),
    "RLAST early": (Kind.EARLY_LAST, 1, 2),
    "RLAST never": (Kind.NO_LAST, 1, 1),
    "wrong RID": (Kind.WRONG_R_ID, 1, 1),
    "R beat lost": (Kind.LOST_BEAT, 1, 1),
    "R beat twice": (Kind.DOUBLE_BEAT, 1, 1),
    "B before WLAST": (Kind.EARLY_B, 2, 1),
    "wrong BID": (Kind.WRONG_B_ID, 2, 1),
}

HARMLESS = {Kind.NO_LAST, Kind.WRONG_B_ID, Kind.EARLY_B, Kind.STRAY_B}
"""Breaks that leave all data in its place."""


def _breaks(name: str) -> Callable[[Case], Told]:
    kind, counted, arguments = BREAKS[name]

    def run(case: Case) -> Told:
        """Let the memory break its protocol once."""
        stand, observed = case.stand, case.clean.observed
        if kind is Kind.EARLY_B:
            case.timing = replace(case.timing, data_first=False, address_first=True)
        limit = (0, observed.read_beats, observed.responses)[counted]
        at = case.rng.randrange(limit) if counted else case.any_cycle()
        argument = case.rng.randrange(arguments)
        what = f"{name} {argument} at {at}"
        case.begin(Injection(kind, at, 1, argument))
        seen = stand.end()
        if not counted:  # it may come after the end
            stand.bench.run(max(0, at + 100 - seen.observed.cycles))
            seen = replace(seen, observed=stand.bench.observe())
        if not seen.interrupt:
            raise FaultError("hang", f"{what}: no end")
        struck, engine = seen.observed.injected, _reader(seen).name
        if kind in (Kind.STRAY_B, Kind.EARLY_B, Kind.WRONG_B_ID):
            engine = "STORE"
        late = ""
        try:
            if seen.outcome.done:
                case.check_exact(seen, what)
        except FaultError as error:
            if error.kind != "silent" or kind in HARMLESS:
                if error.kind != "rule":  # what is outstanding is not known any more
                    raise
            else:
                late = str(error)
        if seen.outcome.failed and kind in HARMLESS and seen.code not in ("PROTOCOL", "LEFTOVER"):
            raise FaultError("report", f"{what}: {seen.outcome}")
        if seen.outcome.done and not struck:
            return Told(engine, -1, seen.code)
        stand.check_outside(case.layer.before)
        note = _cure_break(case, seen, what)
        if note == "not told":
            raise FaultError("silent", f"{what}: not told; {late or 'the result is exact'}")
        if late:
            note = "wrong, and told at the next start"
        return Told(engine, seen.observed.cycle, seen.code, note)

    return run


def _cure_break(case: Case, seen: Seen, what: str) -> str:
    """Reset after a broken protocol as the documentation says; return what was needed."""
    stand, layer = case.stand, case.layer
    stand.bench.heal()
    if seen.outcome.done:
        # The error waits for the next start.
        stand.set_up()
        following = stand.run(layer, BusTiming((1, 4)), case.seed)
        if following.outcome.done:
            stand.check_exact(following, layer.after, f"{what}; the next program")
            return "not told"
        if following.code not in ("PROTOCOL", "LEFTOVER"):
            raise FaultError("report", f"{what}; at the next start: {following.outcome}")
        stand.cure(f"{what}, told at the next start")
        return "told at the next start"
    if seen.code in ("PROTOCOL", "LEFTOVER"):
        stand.cure(what)
        return ""
    # Beats that are missing are no broken rule, until others come: as a memory that has died.
    if stand.reset_engines():
        stand.set_up()
        return ""
    stand.reset_hardware()
    return "hardware reset"


def _reset_engines(case: Case) -> Told:
    """Reset by CONTROL in any cycle, once or twice, alone or with a start."""
    stand, cycle = case.stand, case.any_cycle()
    case.begin()
    stand.bench.run(cycle)
    value = CONTROL_RESET | case.rng.choice([0, CONTROL_START])
    if case.rng.random() < 0.3:
        stand.bench.write("CONTROL", value)
        stand.bench.run(case.rng.randrange(300))
    if not stand.reset_engines(value=value):
        raise FaultError("hang", f"reset in cycle {cycle}: it does not end")
    seen = stand.end(0)
    if seen.outcome.status:
        raise FaultError("report", f"after a reset STATUS is {seen.outcome.status}")
    stand.check_outside(case.layer.before)
    stand.set_up()
    return Told("all", cycle, "DONE")


def _reset_hardware(case: Case) -> Told:
    """Reset accelerator and memory in any cycle."""
    cycle = case.any_cycle()
    case.begin()
    case.stand.bench.run(cycle)
    case.stand.reset_hardware(case.rng.randint(1, 3))
    case.stand.check_outside(case.layer.before)
    return Told("all", cycle, "DONE")


def _start_again(case: Case) -> Told:
    """Write CONTROL while the program runs: any value that does not reset."""
    cycle = case.rng.randrange(max(1, case.cycles - 60))
    value = case.rng.choice([CONTROL_START, CONTROL_START, 0, 0xFFFFFFFD])
    case.begin()
    case.stand.bench.run(cycle)
    if case.stand.bench.read("STATUS") & 1:
        case.stand.bench.write("CONTROL", value)
        case.check_exact(case.stand.end(), f"CONTROL = {value:#x} in cycle {cycle}")
        return Told("all", cycle, "DONE")
    case.check_exact(case.stand.end(), "a run")
    return Told("all", -1, "DONE")


LOCAL_ERRORS = {
    "WATCHDOG": ("WATCHDOG",),
    "WINDOW_BASE": ("ADDRESS",),
    "WINDOW_END": ("ADDRESS",),
}
"""Errors that a register may cause if it is written while a program runs."""


def _write_register(case: Case) -> Told:
    """Write any register, or to no register at all, while the program runs."""
    rng, stand = case.rng, case.stand
    names = [name for name in REGISTERS if name != "CONTROL"]
    likely = ["PROGRAM_ADDR", "PROGRAM_COUNT", *LOCAL_ERRORS, "IRQ_ENABLE", "IRQ_PENDING"]
    name = rng.choice(likely) if rng.random() < 0.7 else rng.choice(names)
    value = rng.choice([0, 1, 2, 5, 64, 0xFFFFFFFF, rng.getrandbits(32), rng.randrange(1 << 15)])
    high = REGISTERS[name].width == 64 and rng.random() < 0.3
    offset = REGISTERS[name].offset + 4 * high
    if rng.random() < 0.05:
        name, offset = "none", rng.randrange(0x400, 0x1000, 4)
    cycle = rng.randrange(case.cycles)
    case.begin()
    stand.bench.run(cycle)
    stand.bench.write_word(offset, value)
    stand.masked = name == "IRQ_ENABLE"
    seen = stand.end()
    what = f"{name} (offset {offset:#x}) = {value:#x} in cycle {cycle}"
    if seen.outcome.failed and seen.code in LOCAL_ERRORS.get(name, ()):
        if not seen.interrupt:
            raise FaultError("hang", what)
        stand.check_outside(case.layer.before)
        stand.cure(what)
    else:
        case.check_exact(seen, what)
        stand.set_up()
    return Told("all", cycle, seen.code, name)


def _many(case: Case) -> Told:
    """Run 50 programs one after the other, the interrupt masked or not."""
    rng, stand = case.rng, case.stand
    for number in range(50):
        layer = rng.choice(stand.layers)
        masked = rng.random() < 0.5
        stand.bench.write("IRQ_ENABLE", not masked)
        stand.masked = masked
        timing = random_timing(rng) if rng.random() < 0.2 else BusTiming((1, 4))
        seen = stand.run(layer, timing, rng.getrandbits(30))
        if masked and seen.observed.interrupt:
            raise FaultError("report", f"program {number}: an interrupt that is masked")
        stand.check_exact(seen, layer.after, f"program {number}")
    stand.set_up()
    return Told("all", 0, "DONE")


MEMORY_KINDS: Mapping[str, Callable[[Case], Told]] = {
    "stalls, latency, order": _stalls,
    "SLVERR, DECERR on R": _read_error,
    "SLVERR, DECERR on B": _write_error,
    **{f"{channel.name} dead": _dead(channel) for channel in Channel},
    **{name: _breaks(name) for name in BREAKS},
}

HOST_KINDS: Mapping[str, Callable[[Case], Told]] = {
    "engine reset": _reset_engines,
    "hardware reset": _reset_hardware,
    "start while running": _start_again,
    "register written while running": _write_register,
    "50 programs back to back": _many,
}
