"""Stage 3: random layers of every kind that the configuration has, bit for bit."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.flow.case import Case
from systolith_host.flow.triage import find_first_wrong
from systolith_host.lab.fuzz.gather import random_dense_qgraph
from systolith_host.lab.fuzz.networks import random_input, random_qgraph, sought
from systolith_host.lab.fuzz.nibbles import narrow_weights
from systolith_host.lab.fuzz.winograd import random_winograd_case
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QConv, QGraph, QMaxPool
from systolith_host.program.instructions import kind_of_convs, weight_bits
from systolith_host.program.program import Program
from systolith_host.selftest.bench import Bench
from systolith_host.selftest.result import Finding
from systolith_hw.spec.config import AcceleratorConfig

__all__ = ["KINDS", "Drawn", "Kind", "check_layers", "kinds_of"]

MOST_BYTES = 1 << 16
"""Memory of a network: under a second on a serial line of 1 Mbaud."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A random network, compiled, with its input images."""

    qgraph: QGraph
    program: Program
    images: np.ndarray


@dataclass(frozen=True)
class Kind:
    """A kind of layers.

    Parameters
    ----------
    name : str
    present : callable
        Whether a configuration has it.
    shown : callable
        Whether a network has a layer of it.
    draw : callable
        Returns a network that may well have one, and images or None for any.
    """

    name: str
    present: Callable[[AcceleratorConfig], bool]
    shown: Callable[[Drawn], bool]
    draw: Callable[[random.Random, AcceleratorConfig], tuple[QGraph, np.ndarray | None]] = (
        lambda rng, config: (random_qgraph(rng, functions=bool(config.functions)), None)
    )


def _convs(drawn: Drawn) -> list[QConv]:
    return [layer for layer in drawn.qgraph.layers if isinstance(layer, QConv)]


def _convolved(kind: str) -> Callable[[Drawn], bool]:
    return lambda drawn: any(
        kind_of_convs(drawn.program, layer) == kind for layer in drawn.program.layers
    )


KINDS = (
    Kind(
        "conv 3x3",
        lambda config: True,
        lambda drawn: any(
            layer.kind == "conv" and layer.weight.shape[2:] == (3, 3) for layer in _convs(drawn)
        ),
    ),
    Kind(
        "pooling",
        lambda config: True,
        lambda drawn: any(isinstance(layer, QMaxPool) for layer in drawn.qgraph.layers),
    ),
    Kind(
        "fully connected",
        lambda config: True,
        lambda drawn: any(layer.kind == "fc" for layer in _convs(drawn)),
    ),
    Kind(
        "Winograd",
        lambda config: bool(config.winograd),
        _convolved("winograd"),
        random_winograd_case,
    ),
    Kind(
        "gather",
        lambda config: bool(config.gather),
        _convolved("gather"),
        lambda rng, config: (random_dense_qgraph(rng), None),
    ),
    Kind(
        "tables",
        lambda config: bool(config.functions),
        lambda drawn: any(layer.table is not None for layer in _convs(drawn)),
    ),
    Kind(
        "4 bits",
        lambda config: bool(config.nibbles),
        lambda drawn: any(weight_bits(drawn.program, layer) == 4 for layer in drawn.program.layers),
    ),
)


def kinds_of(config: AcceleratorConfig) -> list[Kind]:
    """Return the kinds that a configuration has."""
    return [kind for kind in KINDS if kind.present(config)]


def draw(rng: random.Random, config: AcceleratorConfig, kind: Kind) -> Drawn:
    """Return a random network with a layer of a kind; it needs no more than MOST_BYTES.

    Raises
    ------
    SystolithError
        If none is found: the configuration is too small for such layers.
    """

    def attempt() -> Drawn | None:
        qgraph, images = kind.draw(rng, config)
        if config.nibbles:
            qgraph = narrow_weights(rng, qgraph)
        batch = 1 if images is None else len(images)
        try:
            program = compile_network(qgraph, config, batch, density=0.01)
        except SystolithError:
            return None  # the buffers are too small for it
        if images is None:
            images = random_input(rng, qgraph, batch)
        drawn = Drawn(qgraph, program, images)
        return drawn if program.memory_size <= MOST_BYTES and kind.shown(drawn) else None

    try:
        return sought(attempt, 300)
    except LookupError:
        raise SystolithError(f"{config.name} is too small for random layers: {kind.name}") from None


def check_layers(bench: Bench) -> Finding:
    """Run random networks, the kinds in turn, until at least so many layers have run.

    Raises
    ------
    SystolithError
        If the accelerator or the link fails.
    """
    rng = random.Random(bench.seed)
    kinds = kinds_of(bench.config)
    ran = {kind.name: 0 for kind in kinds}
    layers = values = 0
    bench.log.stage("layers")
    number = 0
    while layers < bench.layers or 0 in ran.values():
        kind = kinds[number % len(kinds)]
        number += 1
        bench.log.update(kind.name, layers, max(bench.layers, layers + 1))
        drawn = draw(rng, bench.config, kind)
        program = drawn.program
        golden = run_golden(drawn.qgraph, drawn.images)
        try:
            outcomes = bench.run(program, {program.input: drawn.images})
        except SystolithError as error:
            raise SystolithError(
                f"network {number} of seed {bench.seed} ({kind.name}): {error}"
            ) from None
        for layer, outcome in zip(program.layers, outcomes, strict=True):
            wrong = find_first_wrong(program, layer, outcome.output, golden[layer.output])
            if wrong is not None:
                facts = bench.opened.facts
                return Finding(
                    f"network {number} of seed {bench.seed} ({kind.name}), layer {layer.name}: "
                    f"{wrong.differing} of {wrong.values:,} values differ, the first at image "
                    f"{wrong.image}, channel {wrong.channel}, row {wrong.row}, column "
                    f"{wrong.column}: expected {wrong.wanted}, got {wrong.found}; run the layer "
                    "again with `systolith triage`, and look at clocks that were missed",
                    {"layers": layers, "kinds": ran, "wrong": wrong.to_dict()},
                    Case.of(program, layer, golden, outcome.output, facts.device, facts.memory),
                )
            values += outcome.output.size
        layers += len(outcomes)
        ran[kind.name] += 1
    counted = ", ".join(f"{name} {count}" for name, count in ran.items())
    return Finding(
        f"{layers} layers of {number} networks (seed {bench.seed}), {values:,} values as the "
        f"golden model's; networks with {counted}",
        {"layers": layers, "networks": number, "values": values, "kinds": ran},
    )
