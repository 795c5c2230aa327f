"""Stage 5: bytes per cycle of a long LOAD and of a long STORE, by the accelerator's counters.

Neither needs data of its own: LOADs read whatever memory holds, STOREs drain whatever sums there
are. So only the instructions cross the link.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.program.counters import LayerCounters
from systolith_host.program.program import LayerProgram
from systolith_host.selftest.bench import Bench
from systolith_host.selftest.result import Absent, Finding
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Buffer, Instruction, Opcode, walk_steps
from systolith_hw.spec.memory import Memory

__all__ = ["LEAST_SHARE", "check_bandwidth"]

MOVED_BYTES = 1 << 18
"""Of a program of LOADs, and of one of STOREs, at least."""

STORE_BYTES = 1 << 14
"""Of a STORE, at least: its instruction hardly counts then."""

LEAST_SHARE = 0.4
"""Of what bus, engine and memory can, below which something is wrong: models of SDRAM give 0.76
to 0.96 of their pins' rate to long reads."""

LIMIT_CYCLES = 100 * MOVED_BYTES
"""Far beyond the slowest memory."""

DATA = 1 << 16
"""Where the data begin, behind the instructions."""


@dataclass(frozen=True)
class _Rate:
    """What an engine moved.

    Parameters
    ----------
    name : str
    measured : float
        Bytes per cycle.
    limits : dict of str to float
        In bytes per cycle, by what limits.
    """

    name: str
    measured: float
    limits: dict[str, float]

    @property
    def limit(self) -> tuple[float, str]:
        """The smallest limit, and its name."""
        return min((rate, name) for name, rate in self.limits.items())

    def text(self, mhz: float | None) -> str:
        """Return it in words, in MB/s too if the clock is known."""
        rate, name = self.limit
        seconds = "" if mhz is None else f" ({self.measured * mhz:.1f} MB/s)"
        return (
            f"{self.name} {self.measured:.2f} bytes per cycle{seconds}, {self.measured / rate:.0%} "
            f"of what the {name} can ({rate:.4g})"
        )


def check_bandwidth(bench: Bench) -> Finding:
    """Measure both rates and compare them with what bus, engine and memory can.

    Raises
    ------
    SystolithError
        If one is far below that.
    Absent
        If the device counts no cycles.
    """
    facts, config = bench.opened.facts, bench.config
    if not facts.counts_cycles:
        raise Absent(f"{facts.device} counts no cycles")
    bench.log.stage("bandwidth")
    memory = facts.memory or Memory()
    shared = {"bus": float(config.bus_bytes)}
    if facts.memory is not None:
        shared["memory"] = memory.bytes_per_cycle or float(config.bus_bytes)
    wait = memory.latency + config.burst_beats
    reads, writes = config.outstanding_reads, config.outstanding_writes
    loads, stores = _load(bench), _store(bench)
    loaded, stored = _measure(bench, "LOAD", loads), _measure(bench, "STORE", stores)
    fetched = len(loads) * INSTRUCTION_BYTES
    own = {
        "LOAD": {
            "weight buffer": float(config.cols),
            "reads under way": reads * config.burst_bytes / wait,
        },
        "STORE": {
            "lanes of STORE": float(config.post_lanes),
            "writes under way": writes * config.burst_bytes / wait,
        },
    }
    measured = {
        "LOAD": (loaded.bytes_read - fetched) / loaded.cycles,
        "STORE": stored.bytes_written / stored.cycles,
    }
    rates = [_Rate(name, measured[name], shared | own[name]) for name in own]
    peaks = f"the bus has {config.bus_bytes}, the memory " + (
        f"{shared['memory']:.4g}" if "memory" in shared else "an unknown rate"
    )
    text = f"{'; '.join(rate.text(facts.clock_mhz) for rate in rates)}; {peaks}"
    for rate in rates:
        if rate.measured < LEAST_SHARE * rate.limit[0]:
            raise SystolithError(
                f"{text}; {rate.name} is too slow: look at the memory's clock and at what else "
                "uses the memory"
            )
    return Finding(text, {rate.name: _figures(rate) for rate in rates})


def _figures(rate: _Rate) -> dict[str, Any]:
    return {"bytes_per_cycle": round(rate.measured, 4), "limits": rate.limits}


def _load(bench: Bench) -> list[Instruction]:
    """Return LOADs that fill the weight buffer again and again."""
    config = bench.config
    size = config.weight_depth * config.cols
    room = (bench.memory_bytes - DATA) // size
    base = bench.opened.memory_base + DATA
    return [
        Instruction(
            Opcode.LOAD,
            {
                "buffer": Buffer.WEIGHT,
                "addr": base + number % room * size,
                "run_words": config.weight_depth,
            },
        )
        for number in range(-(-MOVED_BYTES // size))
    ]


def _store(bench: Bench) -> list[Instruction]:
    """Return STOREs each of which drains an accumulator bank again and again."""
    config = bench.config
    blocks = config.cols // config.block
    times = -(-STORE_BYTES // (config.acc_depth * config.cols))
    counts = (config.acc_depth, times)
    steps = walk_steps(counts, (1, 0))
    size = config.acc_depth * config.cols * times
    room = (bench.memory_bytes - DATA) // size
    base = bench.opened.memory_base + DATA
    return [
        Instruction(
            Opcode.STORE,
            {
                "addr": base + number % room * size,
                "run_words": config.acc_depth * times * blocks,
                "x_count": counts[0],
                "x_step": steps[0],
                "y_count": counts[1],
                "y_step": steps[1],
                "blocks": blocks,
                "low": -128,
                "high": 127,
            },
        )
        for number in range(-(-MOVED_BYTES // size))
    ]


def _measure(bench: Bench, name: str, instructions: list[Instruction]) -> LayerCounters:
    """Run a program and return its counters."""
    code = b"".join(instruction.encode() for instruction in instructions)
    bench.opened.device.write_memory(0, np.frombuffer(code, np.uint8))
    count = len(code) // INSTRUCTION_BYTES
    layer = LayerProgram(name, (), "copy", "", "", 0, count, 0, 0, 0, 0, LIMIT_CYCLES)

    def progress(cycles: int) -> None:
        bench.log.update(f"{name}, {cycles:,} cycles", 0, 0)

    return bench.driver().run_layer(layer, LIMIT_CYCLES, progress)
