"""What the compiler makes of random networks, and what the replay counts of it, as short figures.

They are for the golden metrics: they show any change of what is chosen, written or counted, also
where all results stay exact.
"""

import hashlib
import random
from dataclasses import astuple, replace

from systolith_host.compiler import compile_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.cost.replay import replay_program
from systolith_host.errors import SystolithError
from systolith_host.lab.fuzz.cases import random_memory
from systolith_host.lab.fuzz.gather import random_dense_qgraph
from systolith_host.lab.fuzz.networks import random_qgraph
from systolith_host.lab.fuzz.nibbles import narrow_weights
from systolith_host.lab.fuzz.winograd import random_winograd_case
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["program_metrics"]


def program_metrics(config: AcceleratorConfig, count: int) -> dict[str, int | str]:
    """Return hashes and sums of random networks on a configuration.

    Parameters
    ----------
    config : AcceleratorConfig
    count : int
        Networks; those that are too large for its buffers count as such.

    Returns
    -------
    dict of str to int or str
        Hashes of the layers and their possible schedules, with estimates, of all that the programs
        write into memory, and of what the replay counts of them; the sum of its cycles.
    """
    rng = random.Random(f"{config.name} 1")
    layers, programs, replays = (hashlib.sha256() for _ in range(3))
    cycles = 0
    for _ in range(count):
        if config.gather and rng.random() < 0.5:
            qgraph = random_dense_qgraph(rng)
        elif config.winograd and rng.random() < 0.5:
            qgraph, _ = random_winograd_case(rng, config)
        else:
            qgraph = random_qgraph(rng, functions=bool(config.functions), mosaics=True)
        if config.nibbles:
            qgraph = narrow_weights(rng, qgraph)
        memory = random_memory(rng, config.bus_bytes)
        batch, density = rng.choice([1, 2, 3]), rng.choice([0.001, 0.1, 1])
        for operation in lower(qgraph, config):
            for schedule in schedule_candidates(operation, config, batch, memory):
                layers.update(f"{replace(schedule, estimate=0)} {schedule.estimate:.6g}".encode())
        try:
            program = compile_network(qgraph, config, batch, memory=memory, density=density)
        except SystolithError:
            layers.update(b"The buffers are too small.")
            continue
        layers.update(repr(program.layers).encode())
        for address, data in program.segments:
            programs.update(address.to_bytes(8, "little") + bytes(data))
        for layer in replay_program(program, memory):
            cycles += layer.cycles
            replays.update(repr(layer.counters).encode() + layer.times.tobytes())
            replays.update(repr((layer.read_bytes, layer.write_bytes, layer.buffer_words)).encode())
            replays.update(repr(astuple(layer.accesses)).encode())
    return {
        "layers": layers.hexdigest()[:16],
        "programs": programs.hexdigest()[:16],
        "replays": replays.hexdigest()[:16],
        "cycles": cycles,
    }
