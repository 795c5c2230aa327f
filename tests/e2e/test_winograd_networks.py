"""Winograd's convolution on any accelerator that has it: the golden model's tensors in every cut.

SYSTOLITH_FUZZ says how many cases there are (`make fuzz-winograd` has thousands),
SYSTOLITH_FUZZ_FIRST the seed of the first one.
"""

import os
import random
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.shortage import ShortageError
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.lab.fuzz.winograd import (
    random_tilings,
    random_winograd_case,
    random_winograd_config,
)
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QConv, QGraph, QTensor
from systolith_host.program.instructions import kind_of_convs, layer_instructions
from systolith_host.runtime.rtl.simulate import simulate
from systolith_hw.spec.isa import Buffer
from systolith_sim.emulator import engines
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.testing.configs import small_config

CASES = int(os.environ.get("SYSTOLITH_FUZZ", "60"))
FIRST = int(os.environ.get("SYSTOLITH_FUZZ_FIRST", "0"))
PART = 20
"""Cases of a test: few of one case use no Winograd, and a part of them always does."""


def run(seed, wide=None, **changes):
    """Run a case; return how many layers ran, and how many of them by Winograd's convolution."""
    rng = random.Random(seed)
    config = replace(random_winograd_config(rng), **changes)
    if wide is None and rng.random() < 0.1:
        qgraph = random_qgraph(rng)
        images = random_input(rng, qgraph, rng.randint(1, 3))
    else:
        qgraph, images = random_winograd_case(rng, config, wide=wide or rng.random() < 0.1)
    tilings = random_tilings(rng, winograd=0.9) if rng.random() < 0.8 else nullcontext()
    try:
        with tilings:
            program = compile_network(qgraph, config, len(images), fuse_pool=rng.random() < 0.8)
    except ShortageError:
        return Counter(refused=1)  # the buffers are too small for it
    tensors = run_exactly(program, qgraph, images, f"seed {seed}:")
    found = Counter(layers=len(program.layers), values=sum(v.size for v in tensors.values()))
    found["winograd"] = sum(kind_of_convs(program, layer) == "winograd" for layer in program.layers)
    found["cases"], found["with winograd"] = 1, int(found["winograd"] > 0)
    return found


@pytest.mark.requirement("NUM-2")
@pytest.mark.parametrize("first", range(FIRST, FIRST + CASES, PART))
def test_networks_give_the_golden_models_tensors(first):
    found = Counter()
    for seed in range(first, first + PART):
        found += run(seed)
    print(f"seeds {first} to {first + PART - 1}: {dict(found)}")
    assert found["with winograd"] >= PART // 4


WRAP = engines.wrap


@pytest.mark.parametrize(
    "changed",
    [
        lambda sums, width: WRAP(sums, width - 1),
        lambda sums, width: sums + (sums > 1 << 26),
    ],
    ids=["accumulators of a bit less", "large sums by one more"],
)
def test_arithmetic_that_is_wrong_at_its_limits_is_noticed(monkeypatch, changed):
    monkeypatch.setattr(engines, "wrap", changed)
    # 28 bits hold the sums of 512 channels, and 27 do not.
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        run_wide()


def run_wide():
    for seed in range(12):
        run(seed, wide=True, acc_width=28)


@pytest.mark.rtl
@pytest.mark.requirement("NUM-2")
@pytest.mark.parametrize("winograd", [5, 0])
def test_the_last_sums_keep_their_parameters(winograd, tmp_path):
    """The memory is so fast that the next parameters could come before it is scaled."""
    config = small_config(
        name="few-parameters",
        act_depth=1024,
        weight_depth=401,
        param_depth=8,
        acc_depth=189,
        winograd=winograd,
        queue_depth=1,
    )
    rng = random.Random(1)
    numbers = np.random.default_rng(1)
    tensors = {
        "x": QTensor("x", (8, 17, 3), False, 1.0, 0),
        "y": QTensor("y", (13, 15, 1), False, 1.0, 127),
    }
    layer = QConv(
        name="conv",
        input="x",
        output="y",
        kind="conv",
        weight=numbers.integers(-127, 128, (13, 8, 3, 3)).astype(np.int8),
        bias=numbers.integers(-9000, 9000, 13).astype(np.int32),
        multiplier=numbers.integers(1024, 4096, 13).astype(np.int32),
        shift=np.full(13, 22, np.int32),
        low=-128,
        high=127,
    )
    qgraph = QGraph("few", tensors, (layer,), "x", "y")
    images = random_input(rng, qgraph, 1)
    with random_tilings(rng, winograd=1.0):
        program = compile_network(qgraph, config, 1)
    instructions = layer_instructions(program, program.layers[0])
    params = [one for one in instructions if one.fields.get("buffer") == Buffer.PARAM]
    counter = "after_stored" if winograd else "after_drained"
    assert len(params) > 2
    assert all(one[counter] for one in params[2:])
    image = tmp_path / "image"
    program.memory_image({"x": images}).tofile(image)
    simulate(program, None, image, simulator="icarus", memory=MemoryTiming(latency=2))
    place = program.places["y"]
    found = place.unpack(np.fromfile(image, np.uint8)[place.address :][: place.size])
    np.testing.assert_array_equal(found, run_golden(qgraph, images)["y"])
