"""Campaigns of faults on the whole accelerator: thousands of random cases.

A case runs a correct program twice, the second time with a fault, judges what the accelerator
says, cures it as documented, and runs another correct program, whose result must be exact.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from systolith_host.lab.faults.code import CODE_KINDS
from systolith_host.lab.faults.judge import FaultError
from systolith_host.lab.faults.kinds import BREAKS, HOST_KINDS, MEMORY_KINDS, Case, Told, moment_of
from systolith_host.lab.faults.programs import GUARD, WINDOW, random_layers
from systolith_host.lab.faults.stand import Seen, Stand, random_timing
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.presets import PRESETS
from systolith_sim.faults.bench import FaultBench
from systolith_sim.rtl.simulator import simulation_verilog
from systolith_sim.testing.configs import small_config

__all__ = ["CAMPAIGN_CONFIGS", "KINDS", "FaultResult", "kind_of", "run_campaign", "run_on"]

_TINY = PRESETS["tiny"]

CAMPAIGN_CONFIGS = {
    config.name: config
    for config in (
        _TINY,
        # The widest bus: a beat is an instruction, and most runs are shorter than a beat.
        replace(_TINY, name="wide-bus", bus_bytes=64, burst_beats=8, out_depth=256),
        # More columns than rows, two blocks of channels in a word, few reads under way.
        small_config(
            4, 8, name="broad", bus_bytes=16, act_depth=512, post_lanes=2, outstanding_reads=2
        ),
        # More rows than columns, and everything that can be added.
        small_config(
            4,
            2,
            name="all-units",
            act_depth=1024,
            weight_depth=200,
            param_depth=32,
            acc_depth=216,
            acc_width=30,
            winograd=6,
            functions=1,
            gather=400,
            nibbles=1,
        ),
    )
}

KINDS = {**MEMORY_KINDS, **HOST_KINDS, **CODE_KINDS}

_RARE = "50 programs back to back"
_TURN = [name for name in KINDS if name != _RARE]
RARELY = 10
"""A case of the rare kind comes once in so many rounds of the others."""

POOL_LAYERS = 12
POOL_CASES = 500
"""Cases that share the same layers."""


@dataclass(frozen=True)
class FaultResult:
    """What came of a case.

    Parameters
    ----------
    config : str
    index : int
        Number of the case in its campaign.
    kind : str
        Of the fault.
    engine : str
        That it struck; "all" where it is no single one's.
    moment : str
        "start" (first tenth of the run), "middle", "end" (last tenth), "after", or "" if the fault
        did not strike.
    code : str
        What the accelerator said.
    note : str
    problem : str
        "silent", "hang", "rule", "report", or "" if everything was as it must be.
    text : str
        The problem in words.
    """

    config: str
    index: int
    kind: str
    engine: str
    moment: str
    code: str
    note: str = ""
    problem: str = ""
    text: str = ""


def kind_of(index: int, kinds: Sequence[str] = ()) -> str:
    """Return the kind of fault of a case; `kinds` take turns, all of them if there are none."""
    if kinds:
        return kinds[index % len(kinds)]
    rounds, place = divmod(index, len(_TURN) * RARELY + 1)
    del rounds
    return _RARE if place == len(_TURN) * RARELY else _TURN[place % len(_TURN)]


def _run_case(stand: Stand, index: int, kind: str, rng: random.Random) -> FaultResult:
    name = stand.config.name
    layer, timing, seed = rng.choice(stand.layers), random_timing(rng), rng.getrandbits(30)
    told, cycles = Told("all", -1, ""), 1
    try:
        clean = stand.run(layer, timing, seed)
        stand.check_exact(clean, layer.after, "a run without a fault")
        cycles = clean.observed.cycles
        told = KINDS[kind](Case(stand, rng, layer, timing, seed, clean))
        stand.run_good(rng, kind, hot=kind in BREAKS)
    except FaultError as error:
        stand.reset_hardware()
        text = str(error)
        return FaultResult(name, index, kind, told.engine, "", told.code, "", error.kind, text)
    moment = "" if told.cycle < 0 else moment_of(told.cycle, cycles)
    return FaultResult(name, index, kind, told.engine, moment, told.code, told.note)


def run_on(
    bench: FaultBench,
    indices: Sequence[int],
    seed: int,
    done: Callable[[FaultResult], None],
    *,
    kinds: Sequence[str] = (),
    watch: Callable[[bytes, Seen], None] | None = None,
) -> None:
    """Run the cases of these numbers on a bench.

    Parameters
    ----------
    bench : FaultBench
        With a memory of WINDOW + GUARD bytes.
    indices : sequence of int
        Number and `seed` decide everything that is random in a case.
    seed : int
    done : callable
        Is called with each result.
    kinds : sequence of str
        Kinds of faults, to take turns; all of :data:`KINDS` if there are none.
    watch : callable, optional
        Is called with each program that was run, and its end.
    """
    name, pool, stand = bench.config.name, -1, Stand(bench, ())
    stand.watch = watch
    stand.reset_hardware()
    for index in indices:
        if index // POOL_CASES != pool:
            pool = index // POOL_CASES
            rng = random.Random(f"{seed} {name} layers {pool}")
            stand.layers = random_layers(rng, bench.config, POOL_LAYERS)
        kind = kind_of(index, kinds)
        done(_run_case(stand, index, kind, random.Random(f"{seed} {name} {index}")))


def run_campaign(
    config: AcceleratorConfig,
    indices: Sequence[int],
    seed: int,
    folder: Path,
    done: Callable[[FaultResult], None],
    *,
    kinds: Sequence[str] = (),
) -> None:
    """Build the bench of a configuration and run a campaign on it.

    Parameters
    ----------
    config : AcceleratorConfig
    indices : sequence of int
        Numbers of the cases.
    seed : int
        Also of the random bits with which the accelerator's registers and memories begin.
    folder : Path
        For the memory's image.
    done : callable
        Is called with each result.
    kinds : sequence of str
        Only these kinds of faults.

    Raises
    ------
    SimulatorError
        If a tool is missing or fails.
    """
    verilog = simulation_verilog(config)
    image = folder / f"{config.name}.image"
    start = seed + (indices[0] if indices else 0)
    with FaultBench.of(config, verilog, image, WINDOW + GUARD, start) as bench:
        run_on(bench, indices, seed, done, kinds=kinds)
