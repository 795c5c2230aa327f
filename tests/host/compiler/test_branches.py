"""Sums, concatenations, means and grouped convolutions: how they are compiled, and their limits."""

import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.compiler.lower.lower import lower
from systolith_host.errors import SystolithError
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.networks import random_input
from systolith_host.network.golden import run_golden
from systolith_host.network.qgraph import QAdd, QConcat, QConv, QGraph, QLayer, QTake, QTensor
from systolith_host.program.program import Program
from systolith_host.runtime.jobs import plan_jobs
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]
BLOCK = TINY.block


def conv(name, source, outputs, inputs, size=1, groups=1):
    rng = np.random.default_rng(len(name) + outputs)
    return QConv(
        name,
        source,
        name,
        "conv",
        rng.integers(-127, 128, (outputs, inputs // groups, size, size)).astype(np.int8),
        np.zeros(outputs, np.int32),
        np.full(outputs, 3000),
        np.full(outputs, 18),
        -128,
        127,
        padding=(size // 2, size // 2, size // 2, size // 2),
        groups=groups,
    )


def network(layers, output, **channels):
    tensors = {name: QTensor(name, (c, 6, 5), False, 1.0, 3) for name, c in channels.items()}
    return QGraph("net", tensors, tuple(layers), "x", output)


def check(qgraph, config=TINY, batch=2):
    """Run a network on the emulator; return its program."""
    program = compile_network(qgraph, config, batch)
    images = random_input(random.Random(1), qgraph, batch)
    run_exactly(program, qgraph, images)
    return program


def channels_of(program):
    return {name: [part[:3] for part in parts] for name, parts in program.parts.items()}


def joined(first, second):
    """Return x -> a, b -> j = (a, b) -> c."""
    layers = [
        conv("a", "x", first, 4),
        conv("b", "x", second, 4),
        QConcat("j", ("a", "b"), "j"),
        conv("c", "j", 4, first + second, 3),
    ]
    return network(layers, "c", x=4, a=first, b=second, j=first + second, c=4)


def test_parts_are_written_into_their_concatenation():
    program = check(joined(2 * BLOCK, 3))
    assert [layer.name for layer in program.layers] == ["a", "b", "c"]
    parent, part = program.places["j"], program.places["b"]
    assert part.address == parent.address + 2 * parent.plane_bytes
    assert part.image_pitch == parent.image_bytes
    assert channels_of(program) == {"j": [("a", 0, 2 * BLOCK), ("b", 0, 3)]}


def test_channels_between_blocks_are_copied():
    program = check(joined(BLOCK + 1, BLOCK))
    assert [layer.kind for layer in program.layers] == ["conv", "conv", "copy", "conv"]
    assert program.layers[2].inputs == ("a", "b")


def test_a_part_of_two_concatenations_is_copied_for_one():
    layers = [
        conv("a", "x", BLOCK, 4),
        conv("b", "x", BLOCK, 4),
        QConcat("j", ("a", "b"), "j"),
        QConcat("k", ("b", "a", "j"), "k"),
        conv("c", "k", 4, 4 * BLOCK),
    ]
    channels = {"x": 4, "a": BLOCK, "b": BLOCK, "j": 2 * BLOCK, "k": 4 * BLOCK, "c": 4}
    program = check(network(layers, "c", **channels))
    assert [layer.name for layer in program.layers] == ["a", "b", "k", "c"]


def test_concatenations_inside_one_another():
    layers = [
        conv("a", "x", BLOCK, 4),
        conv("b", "x", BLOCK, 4),
        conv("d", "x", 3, 4),
        QConcat("j", ("a", "b"), "j"),
        QConcat("k", ("j", "d"), "k"),
    ]
    qgraph = network(layers, "k", x=4, a=BLOCK, b=BLOCK, d=3, j=2 * BLOCK, k=2 * BLOCK + 3)
    program = check(qgraph)
    assert program.places["j"].parent == "k"
    assert {program.places[name].image_pitch for name in "abdj"} == {
        program.places["k"].image_bytes
    }
    tensors = run_golden(qgraph, random_input(random.Random(1), qgraph, 2))
    (job,) = plan_jobs(program.layers, tensors, sequential=True, parts=program.parts)
    assert job.inputs.keys() == {"x"}


def test_concatenations_that_begin_alike_are_one_place():
    names, channels = ["a"], {"x": 4, "a": 2 * BLOCK}
    layers: list[QLayer] = [conv("a", "x", 2 * BLOCK, 4)]
    for number in range(3):
        source = names[0]
        if number:
            source = f"j{number}"
            layers.append(QConcat(source, tuple(names), source))
            channels[source] = sum(channels[name] for name in names)
        names.append(f"c{number}")
        layers.append(conv(names[-1], source, BLOCK, channels[source], 3))
        channels[names[-1]] = BLOCK
    layers.append(QConcat("k", tuple(names), "k"))
    qgraph = network(layers, "k", **channels, k=5 * BLOCK)
    program = check(qgraph)
    assert [layer.name for layer in program.layers] == names
    assert {place.parent for name, place in program.places.items() if name not in "kx"} == {"k"}
    assert program.places["j2"].address == program.places["k"].address
    parts = {name: tuple(part.tensor for part in each) for name, each in program.parts.items()}
    assert parts == {"j1": ("a", "c0"), "j2": ("a", "c0", "c1"), "k": ("a", "c0", "c1", "c2")}
    # A choice of layers needs what the others would have left.
    tensors = run_golden(qgraph, random_input(random.Random(1), qgraph, 2))
    last = program.layers[2:]
    (job,) = plan_jobs(last, tensors, sequential=True, parts=program.parts)
    assert job.inputs.keys() == {"a", "c0"}
    (job,) = plan_jobs(last[1:], tensors, sequential=True, parts=program.parts)
    assert job.inputs.keys() == {"a", "c0", "c1"}
    (job,) = plan_jobs(program.layers, tensors, sequential=True, parts=program.parts)
    assert job.inputs.keys() == {"x"}


def take(name, source, channels, rows=(0, 6, 1), columns=(0, 5, 1)):
    return QTake(name, source, name, tuple(channels), rows, columns)


def test_channels_of_whole_blocks_are_ranges_of_memory():
    layers = [
        conv("a", "x", 3 * BLOCK, 4),
        take("b", "a", range(BLOCK, 3 * BLOCK)),
        take("d", "x", range(4)),
        conv("c", "b", 4, 2 * BLOCK, 3),
        QAdd("s", ("c", "d"), "s", (3, 5), 3000, 12, -128, 127),
    ]
    qgraph = network(layers, "s", x=4, a=3 * BLOCK, b=2 * BLOCK, c=4, d=4, s=4)
    program = check(qgraph)
    assert [layer.name for layer in program.layers] == ["a", "c", "s"]
    assert program.places["b"].parent == "a"
    assert channels_of(program) == {"b": [("a", BLOCK, 3 * BLOCK)], "d": [("x", 0, 4)]}
    tensors = run_golden(qgraph, random_input(random.Random(1), qgraph, 2))
    (job,) = plan_jobs(program.layers[1:], tensors, sequential=True, parts=program.parts)
    assert job.inputs.keys() == {"a", "x"}


@pytest.mark.parametrize("config", [TINY, PRESETS["default"]])
@pytest.mark.parametrize(
    ("channels", "rows", "columns"),
    [
        (range(3, 9), (0, 6, 1), (0, 5, 1)),
        (range(BLOCK), (1, 6, 1), (0, 5, 1)),
        (range(2 * BLOCK), (0, 5, 2), (2, 4, 1)),
        ([10, 0, 5, 7, 1, 2, 3], (5, 6, 3), (0, 5, 4)),
    ],
)
def test_other_parts_of_tensors_are_copied(config, channels, rows, columns):
    layers = [conv("a", "x", 3 * BLOCK, 4), take("b", "a", channels, rows, columns)]
    qgraph = network(layers, "b", x=4, a=3 * BLOCK, b=len(channels))
    shape = (len(channels), len(range(*rows)), len(range(*columns)))
    tensors = {**qgraph.tensors, "b": replace(qgraph.tensors["b"], shape=shape)}
    program = check(replace(qgraph, tensors=tensors), config)
    assert [layer.kind for layer in program.layers] == ["conv", "copy"]


def test_halves_joined_again_are_written_once():
    layers = [
        conv("a", "x", 2 * BLOCK, 4),
        take("b", "a", range(BLOCK)),
        take("d", "a", range(BLOCK, 2 * BLOCK)),
        conv("e", "d", BLOCK, BLOCK, 3),
        QConcat("j", ("b", "d", "e"), "j"),
        conv("c", "j", 4, 3 * BLOCK),
    ]
    sizes = {"x": 4, "a": 2 * BLOCK, "b": BLOCK, "d": BLOCK, "e": BLOCK, "j": 3 * BLOCK, "c": 4}
    program = check(network(layers, "c", **sizes))
    assert [layer.name for layer in program.layers] == ["a", "e", "c"]


def test_a_slice_of_other_numbers_is_refused():
    qgraph = network([take("b", "x", [1, 0])], "b", x=4, b=2)
    tensors = {**qgraph.tensors, "b": replace(qgraph.tensors["b"], zero_point=4)}
    with pytest.raises(SystolithError, match=r"^b: input and output of a slice must share type"):
        compile_network(replace(qgraph, tensors=tensors), TINY)


@pytest.mark.parametrize("config", [TINY, PRESETS["ecp5-85f"]], ids=lambda config: config.name)
def test_parts_survive_a_file(config, tmp_path):
    # A block of 12 bytes does not divide the multiples of 64 at which whole tensors begin.
    program = compile_network(joined(config.block, config.block), config)
    assert any(place.parent for place in program.places.values())
    program.save(tmp_path / "p")
    again = Program.load(tmp_path / "p")
    assert again.places == program.places
    assert again.layers == program.layers


def add(factors, multiplier=3000, shift=27, **numbers):
    sum_ = QAdd("s", ("a", "x"), "s", factors, multiplier, shift, -128, 127, **numbers)
    return network([conv("a", "x", 6, 6), sum_], "s", x=6, a=6, s=6)


@pytest.mark.parametrize("factors", [(32639, 32639), (-32896, 1), (5, -127), (0, 256)])
def test_a_sum_adds_high_bytes_before_low_ones(factors):
    program = check(add(factors))
    layer = program.layers[1]
    assert (layer.kind, layer.inputs) == ("add", ("a", "x"))
    tensors = dict.fromkeys("xas", np.zeros(1))
    assert [job.inputs.keys() for job in plan_jobs([layer], tensors, sequential=False)] == [
        {"a", "x"}
    ]


def test_what_a_sum_cannot_do_is_refused():
    with pytest.raises(SystolithError, match=r"^s: factor 40000 exceeds 16 bits"):
        compile_network(add((40000, 1)), TINY)
    with pytest.raises(SystolithError, match=r"^s: multipliers reach"):
        compile_network(add((1, 1), multiplier=1 << TINY.multiplier_width), TINY)
    narrow = replace(TINY, acc_width=24)
    with pytest.raises(SystolithError, match=r"^s: its sum reaches .* build with acc_width \d+$"):
        compile_network(add((32639, 32639)), narrow)


@pytest.mark.parametrize("config", [TINY, PRESETS["default"]])
def test_depthwise_convolutions_take_only_the_blocks_of_their_channels(config):
    qgraph = network([conv("d", "x", 40, 40, 3, groups=40)], "d", x=40, d=40)
    check(qgraph, config)
    (operation,) = lower(qgraph, config)
    assert operation.reached == 1
    assert operation.reach == tuple(range(-(-40 // config.cols)))


def test_groups_take_only_the_blocks_that_they_reach():
    outputs = inputs = 16 * BLOCK
    qgraph = network([conv("g", "x", outputs, inputs, 3, groups=4)], "g", x=inputs, g=outputs)
    check(qgraph)
    (operation,) = lower(qgraph, TINY)
    assert operation.reached == 4
    assert sorted(set(operation.reach)) == [0, 4, 8, 12]


def test_a_mean_divides_by_the_multiplier():
    mean = replace(
        conv("m", "x", 6, 6, groups=6),
        kind="pool",
        weight=np.ones((6, 1, 6, 5), np.int8),
        multiplier=np.full(6, 34953),
        shift=np.full(6, 20),
    )
    qgraph = network([mean], "m", x=6, m=6)
    tensors = {**qgraph.tensors, "m": replace(qgraph.tensors["m"], shape=(6, 1, 1))}
    check(replace(qgraph, tensors=tensors), replace(TINY, multiplier_width=16))
