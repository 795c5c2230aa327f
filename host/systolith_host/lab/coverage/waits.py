"""Directed tests of waiting: a slow or dead memory, orders of tokens, resets in every cycle."""

import numpy as np

from systolith_host.lab.coverage.draft import DATA, OUT, SIZE, Draft
from systolith_host.lab.coverage.stand import FAST, LONG_WAIT, USUAL, Director, with_params
from systolith_host.lab.faults.judge import FaultError
from systolith_host.lab.faults.stand import random_timing
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Opcode
from systolith_hw.spec.registers import Engine
from systolith_sim.faults.bench import BusTiming, Channel, Injection, Kind

__all__ = ["dead_writes", "late_scans", "leftovers", "resets", "slow_reads", "tokens"]

_SCANNED = DATA + 0x10000
"""What is scanned, apart from parameters."""


def slow_reads(director: Director) -> None:
    """Let weights, parameters or activations come long after the others, from a slow memory."""
    config = director.stand.config
    words = {Buffer.WEIGHT: config.rows, Buffer.PARAM: config.cols, Buffer.ACT: 4}
    for late in words:
        draft = Draft(config)
        place = {}
        for buffer in (*(buffer for buffer in words if buffer is not late), late):
            if buffer is late:  # the bursts before it fill the memory's queue
                for _ in range(2 * config.outstanding_reads):
                    draft.load(Buffer.PARAM, 1, config.cols)
            draft.load(buffer, words[buffer], addr=DATA + 4096 * int(buffer))
            place[buffer] = draft.counts[Opcode.LOAD]
        tokens = {
            "after_loaded_act": place[Buffer.ACT],
            "after_loaded_weight": place[Buffer.WEIGHT],
        }
        for bank in range(2):
            draft.conv(4, bank=bank, **tokens)
            draft.store(4, bank=bank, after_loaded=place[Buffer.PARAM], addr=OUT + 4096 * bank)
        memory = with_params(draft, DATA + 4096 * int(Buffer.PARAM))
        latency = LONG_WAIT + 99
        director.run(draft, memory, f"{late.name} late", BusTiming((latency, latency)))


def dead_writes(director: Director) -> None:
    """Let the memory take nothing for a long time, while all engines wait for that."""
    config, rng = director.stand.config, director.rng
    draft = Draft(config)
    draft.fill(Buffer.WEIGHT)
    draft.load(Buffer.ACT, 4)
    draft.load(Buffer.PARAM, config.cols)
    for number in range(6):
        draft.conv(config.acc_depth, x_step=0, bank=number % 2, after_drained=max(0, number - 1))
        draft.store(config.acc_depth, bank=number % 2, addr=OUT + 8192 * number)
    draft.load(Buffer.PARAM, 1, config.cols, after_drained=0)
    draft.load(Buffer.PARAM, 1, config.cols, after_stored=0)
    memory = with_params(draft, DATA)
    clean = director.run(draft, memory, "six STOREs")
    for channel in (Channel.AW, Channel.W, Channel.B, Channel.AR, Channel.R):
        for at in (0, rng.randrange(clean.observed.cycles), rng.randrange(clean.observed.cycles)):
            dead = Injection(Kind.DEAD, at, LONG_WAIT, 1 << channel)
            director.run(draft, memory, f"{channel.name} dead from {at}", faults=[dead])


def leftovers(director: Director) -> None:
    """Let beats come that nobody requested, and weights be gathered for no CONV."""
    _stray_beats(director)
    if director.stand.config.gather:
        _units_left(director)


def _units_left(director: Director) -> None:
    """Let the LOAD that gathers for no CONV be the last, or one of the last."""
    stand = director.stand
    config = stand.config
    for behind in range(4):
        draft = Draft(config)
        draft.load(Buffer.ACT, 1, scan=1)
        shape = {"runs": config.block, "run_pitch": config.cols, "units": 2}
        draft.load(Buffer.WEIGHT, 1, gather=1, **shape)
        for _ in range(behind):
            draft.load(Buffer.PARAM, 1)
        stand.set_window(0, SIZE)
        stand.prepare(draft.memory(lambda size: np.ones(size, np.uint8)), 0, draft.count, behind)
        stand.start()
        seen = stand.end()
        if (seen.code, seen.outcome.engine) != ("LEFTOVER", Engine.COMPUTE):
            raise FaultError("report", f"weights for no CONV, {behind} LOADs behind: {seen}")
        stand.cure("weights for no CONV")
    stand.set_up()


def _stray_beats(director: Director) -> None:
    """Let a beat that nobody requested come in each of the cycles around a start."""
    stand = director.stand
    draft = Draft(stand.config)
    draft.load(Buffer.PARAM, 1)
    memory = draft.memory()
    stand.set_window(0, SIZE)
    told = set()
    for argument in range(4):
        for at in range(16):
            stand.prepare(memory, 0, draft.count, at)
            stand.bench.inject(Injection(Kind.STRAY_R, at, 1, argument))
            stand.start()
            seen = stand.end()
            told.add(seen.code)
            if not seen.interrupt or seen.code not in ("DONE", "PROTOCOL", "LEFTOVER"):
                raise FaultError("report", f"a stray beat in cycle {at}: {seen}")
            stand.reset_hardware()
            stand.set_window(0, SIZE)
    if "LEFTOVER" not in told:
        raise FaultError("report", f"stray beats around a start: only {sorted(told)}")
    stand.set_up()


def _stored(config: AcceleratorConfig) -> Draft:
    """Return a program that ends with a STORE."""
    draft = Draft(config)
    draft.fill(Buffer.WEIGHT)
    draft.load(Buffer.ACT, 4)
    draft.load(Buffer.PARAM, config.cols)
    draft.conv(4)
    draft.store(4)
    return draft


def late_scans(director: Director) -> None:
    """Let a scan, and a LOAD that gathers by bits of an earlier one, end before a response."""
    stand = director.stand
    config = stand.config
    if not config.gather:
        return
    # Into words that the CONV does not read.
    half = config.act_depth // 2
    at_once = {"after_computed": 0, "after_drained": 0, "after_stored": 0}
    late = Injection(Kind.DEAD, 0, 3000, 1 << Channel.B)
    draft = _stored(config)
    draft.load(Buffer.ACT, 20, half, scan=1, **at_once)
    draft.load(Buffer.PARAM, 1)
    director.run(draft, with_params(draft, DATA), "a scan before a response", faults=[late])
    # The second scan leaves a bit of the first one behind its end, where the LOAD still looks.
    draft = _stored(config)
    inputs = config.gather // config.block // 2 * config.block
    draft.load(Buffer.ACT, inputs // config.block, half, _SCANNED, scan=1, **at_once)
    draft.load(Buffer.ACT, 2, half, _SCANNED + 4096, scan=1, **at_once)
    shape = {"runs": inputs, "run_pitch": config.cols, "units": 1}
    draft.load(Buffer.WEIGHT, 1, gather=1, **shape, **at_once)
    draft.load(Buffer.PARAM, 1)
    memory = with_params(draft, DATA)
    memory[_SCANNED:][:inputs] = 0
    for place in (_SCANNED, _SCANNED + 4096):
        memory[place:][: 2 * config.block] = 1
    memory[_SCANNED + 3 * inputs // 4] = 1
    stand.set_window(0, SIZE)
    stand.bench.behave(USUAL)
    stand.bench.write("WATCHDOG", 4000)
    stand.prepare(memory, 0, draft.count, 0)
    stand.bench.inject(late)
    stand.start()
    seen = stand.end()
    if seen.code != "WATCHDOG":
        raise FaultError("report", f"a LOAD that gathers more than was scanned: {seen}")
    stand.cure("a LOAD that gathers more than was scanned")
    stand.set_up()


def tokens(director: Director) -> None:
    """Let LOADs, CONVs and STOREs wait for each other in every order."""
    config, rng = director.stand.config, director.rng
    pixels = min(16, config.acc_depth)
    for _ in range(400):
        draft = Draft(config)
        draft.fill(Buffer.WEIGHT)
        draft.load(Buffer.ACT, pixels)
        draft.load(Buffer.PARAM, config.cols)
        first, drained = dict(draft.counts), [0, 0]
        for _ in range(60):
            kind = rng.choice(list(Opcode))
            some = {
                opcode: rng.randint(max(0, count - 3), count)
                for opcode, count in draft.counts.items()
            }
            # The one before is often acknowledged when the last sum of the next one leaves.
            stored = max(0, some[Opcode.STORE] - rng.randint(0, 2))
            if kind is Opcode.LOAD:
                # Into entries that nobody reads, so it may come at any time.
                draft.load(
                    Buffer.PARAM,
                    1,
                    config.cols,
                    after_computed=some[Opcode.CONV] * rng.randrange(2),
                    after_drained=some[Opcode.STORE] * (rng.random() < 0.7),
                    after_stored=stored * (rng.random() < 0.7),
                )
            elif kind is Opcode.CONV:
                loaded = max(first[Opcode.LOAD], some[Opcode.LOAD])
                bank = draft.counts[Opcode.CONV] % 2
                tokens = {"after_loaded_act": loaded, "after_drained": drained[bank]}
                draft.conv(rng.randint(1, pixels), bank=bank, **tokens)
            elif draft.counts[Opcode.CONV]:
                loaded = max(first[Opcode.LOAD], some[Opcode.LOAD])
                bank = (draft.counts[Opcode.CONV] - 1) % 2
                draft.store(1, after_loaded=loaded, bank=bank, addr=OUT + 64 * draft.count)
                drained[bank] = draft.counts[Opcode.STORE]
        memory = with_params(draft, DATA)
        director.run(draft, memory, "tokens", random_timing(rng))
    _together(director)


def _together(director: Director) -> None:
    """Let the CONV and the STORE for which a LOAD waits end before, with and after each other."""
    config = director.stand.config
    for pixels in range(1, min(64, config.acc_depth)):
        draft = Draft(config)
        draft.fill(Buffer.WEIGHT)
        draft.load(Buffer.PARAM, config.cols)
        draft.load(Buffer.ACT, min(64, config.act_depth))
        draft.conv()
        draft.store(12, x_step=0)
        draft.conv(pixels, bank=1, after_drained=0)
        draft.load(Buffer.ACT, 1, after_stored=0)
        director.run(draft, with_params(draft, DATA), "a CONV and a STORE end")


def resets(director: Director) -> None:
    """Reset the engines in successive cycles of a program of small LOADs and STOREs."""
    config = director.stand.config
    draft = Draft(config)
    draft.fill(Buffer.WEIGHT)
    draft.load(Buffer.ACT, 4)
    draft.load(Buffer.PARAM, config.cols)
    loaded = draft.counts[Opcode.LOAD]
    draft.conv(4)
    for _ in range(6):
        draft.store(1, after_loaded=loaded)
        for _ in range(2):
            draft.load(Buffer.PARAM, 1, config.cols, after_computed=0, after_drained=0)
    memory = with_params(draft, DATA)
    clean = director.run(draft, memory, "small LOADs and STOREs")
    cycles = clean.observed.cycles
    for cycle in range(cycles - 300, cycles):
        for hardware in (False, True):
            _reset_at(director, draft, memory, cycle, hardware=hardware)
    # A STORE that waits for its parameters.
    draft = Draft(config)
    draft.fill(Buffer.WEIGHT)
    draft.load(Buffer.ACT, 4)
    loaded = draft.counts[Opcode.LOAD]
    for _ in range(4 * config.outstanding_reads):
        draft.load(Buffer.PARAM, config.cols)
    draft.conv(4, after_loaded_act=loaded, after_loaded_weight=loaded)
    draft.store(1)
    memory, slow = with_params(draft, DATA), BusTiming((500, 500))
    cycles = director.run(draft, memory, "late parameters", slow).observed.cycles
    for cycle in range(200, cycles, 2 * (cycles // 200)):
        _reset_at(director, draft, memory, cycle, slow, hardware=cycle % 2 == 0)
    director.run(draft, memory, "a program after resets")


def _reset_at(
    director: Director,
    draft: Draft,
    memory: np.ndarray,
    cycle: int,
    timing: BusTiming = FAST,
    *,
    hardware: bool,
) -> None:
    stand = director.stand
    stand.set_window(0, SIZE)
    stand.bench.behave(timing)
    stand.prepare(memory, 0, draft.count, cycle)
    stand.start()
    stand.bench.run(cycle)
    if hardware:
        stand.reset_hardware()
    else:
        stand.cure(f"a reset in cycle {cycle}")
