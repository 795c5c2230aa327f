"""Random networks, configurations and inputs, and a run of a program, for tests."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from systolith_host.lab.fuzz.layers import RandomLayers, limits_of
from systolith_host.network.qgraph import QGraph
from systolith_host.program.program import Program
from systolith_host.runtime.device import Device
from systolith_host.runtime.driver import Driver
from systolith_hw.spec.config import AcceleratorConfig, least_out_depth

__all__ = [
    "random_config",
    "random_input",
    "random_qgraph",
    "random_small_config",
    "run_program",
    "sought",
]

Drawn = TypeVar("Drawn")


def random_config(rng: random.Random) -> AcceleratorConfig:
    """Return a small configuration of any shape."""
    small = rng.choice([2, 3, 4, 5, 8])
    large = small * rng.choice([1, 1, 1, 2, 3, 4])
    rows, cols = rng.choice([(small, large), (large, small)])
    block = min(rows, cols)
    bus_bytes = rng.choice([4, 8, 16])
    burst_beats = rng.choice([1, 4, 16])
    words = least_out_depth(bus_bytes, burst_beats, block)
    return AcceleratorConfig(
        name="random",
        rows=rows,
        cols=cols,
        act_depth=rng.choice([256, 500, 1024, 4096]),
        weight_depth=rng.choice([2 * rows, 5 * rows, 12 * rows + 1, 100 * rows]),
        param_depth=cols * rng.choice([2, 3, 8]),
        acc_depth=rng.choice([16, 50, 64, 300]),
        acc_width=rng.choice([28, 32]),
        post_lanes=rng.choice([lanes for lanes in (1, 2, 4, 8) if block % lanes == 0]),
        multiplier_width=rng.choice([12, 16, 24]),
        out_depth=words + rng.choice([0, 3, 64]),
        bus_bytes=bus_bytes,
        burst_beats=burst_beats,
        outstanding_reads=rng.choice([1, 2, 8]),
        outstanding_writes=rng.choice([1, 4]),
        queue_depth=rng.choice([1, 2, 3, 8, 16]),
        functions=rng.choice([0, 1]),
    )


def random_small_config(rng: random.Random) -> AcceleratorConfig:
    """Return a configuration of a few hundred bytes to a few kilobytes, from 2x2 multipliers up."""
    config = random_config(rng)
    small = rng.choice([2, 2, 2, 3, 4])
    large = small * rng.choice([1, 1, 1, 2, 3])
    rows, cols = rng.choice([(small, large), (large, small)])
    block = min(rows, cols)
    return replace(
        config,
        rows=rows,
        cols=cols,
        act_depth=rng.choice([16, 17, 25, 40, 64, 100, 256, 1000]),
        weight_depth=rows * rng.choice([2, 3, 5, 9, 18, 40]) + rng.choice([0, 0, 1]),
        param_depth=cols * rng.choice([2, 2, 3, 5]),
        acc_depth=rng.choice([4, 5, 8, 16, 50]),
        post_lanes=rng.choice([lanes for lanes in (1, 2, 4) if block % lanes == 0]),
        out_depth=least_out_depth(config.bus_bytes, config.burst_beats, block) + rng.choice([0, 3]),
    )


def sought(draw: Callable[[], Drawn | None], tries: int = 1000) -> Drawn:
    """Return the first draw that gives something, of so many at most.

    Raises
    ------
    LookupError
        If none does.
    """
    for _ in range(tries):
        if (found := draw()) is not None:
            return found
    raise LookupError(f"none of {tries} draws gives what is sought")


def random_qgraph(rng: random.Random, *, functions: bool = False, mosaics: bool = False) -> QGraph:
    """Return a small network of convolutions, pools, sums, joins and fully connected layers.

    Multipliers have at most 12 bits and sums at most 28, so that every :func:`random_config` can
    take them. Now and then the network branches.

    Parameters
    ----------
    rng : random.Random
    functions : bool
        Whether half of the layers that can have a function, a table of any numbers, have one.
    mosaics : bool
        Whether some of the layers are :mod:`mosaics <systolith_host.network.mosaic>`.
    """
    builder = RandomLayers(rng, functions)
    for _ in range(rng.randint(1, 3)):
        if mosaics and rng.random() < 0.3:
            builder.add_mosaic()
        else:
            builder.add_random()
    if not builder.layers:
        builder.add_fully_connected()
    if rng.random() < 0.5:
        builder.add_fully_connected()
        if rng.random() < 0.5:
            builder.add_fully_connected()
    return QGraph(
        name="random",
        tensors=builder.tensors,
        layers=tuple(builder.layers),
        input="input",
        output=builder.layers[-1].output,
    )


def random_input(rng: random.Random, qgraph: QGraph, batch: int) -> np.ndarray:
    """Return images of the input's type, shape (N, C, H, W), with many extreme values."""
    tensor = qgraph.tensors[qgraph.input]
    low, high = limits_of(tensor.unsigned)
    generator = np.random.default_rng(rng.getrandbits(64))
    values = generator.integers(low - 20, high + 21, (batch, *tensor.shape))
    return np.clip(values, low, high).astype(np.uint8 if tensor.unsigned else np.int8)


def run_program(program: Program, device: Device, images: np.ndarray) -> dict[str, np.ndarray]:
    """Run all layers on a device whose memory is empty; return every tensor that has a place."""
    driver = Driver(device, program.config, program.memory_size)
    for address, data in program.segments:
        device.write_memory(address, data)
    for address, data in program.places[program.input].pieces(images):
        device.write_memory(address, data)
    for layer in program.layers:
        driver.run_layer(layer, limit_cycles=100 * layer.predicted_cycles + 100_000)
    return {
        name: place.unpack(device.read_memory(place.address, place.size))
        for name, place in program.places.items()
    }
