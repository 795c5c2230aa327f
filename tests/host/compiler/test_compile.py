"""Compiled programs: bounds, traffic, fusing, and refusals."""

import dataclasses
import itertools
import random

import numpy as np
import pytest

from systolith_host.compiler import compile_network, explain_network
from systolith_host.errors import SystolithError
from systolith_host.lab.exact import run_exactly
from systolith_host.lab.fuzz.networks import random_input, random_qgraph, run_program
from systolith_host.network.qgraph import QConv, QGraph, QMaxPool, QTake, QTensor
from systolith_hw.spec.isa import INSTRUCTION_BYTES, Opcode, decode
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_sim.emulator.device import Emulator

TINY = PRESETS["tiny"]


def conv(name, source, target, weight, **numbers):
    outputs = len(weight)
    fields = {
        "kind": "conv",
        "bias": np.zeros(outputs, np.int32),
        "multiplier": np.full(outputs, 100),
        "shift": np.full(outputs, 16),
        "low": -128,
        "high": 127,
    }
    return QConv(name=name, input=source, output=target, weight=weight, **{**fields, **numbers})


def network(*layers, **shapes):
    tensors = {name: QTensor(name, shape, False, 1.0, 0) for name, shape in shapes.items()}
    return QGraph("net", tensors, layers, layers[0].input, layers[-1].output)


def small(weight=None, **numbers):
    weight = np.ones((4, 4, 3, 3), np.int8) if weight is None else weight
    layer = conv("c", "x", "y", weight, **numbers)
    return network(layer, x=(weight.shape[1], 8, 8), y=(len(weight), 6, 6))


def instructions(program, layer):
    memory = np.zeros(program.memory_size, np.uint8)
    for address, data in program.segments:
        memory[address : address + data.size] = data
    start = layer.instruction_address
    for number in range(layer.instruction_count):
        place = start + number * INSTRUCTION_BYTES
        yield decode(memory[place : place + INSTRUCTION_BYTES].tobytes(), program.config)


@pytest.fixture(scope="module")
def vgg16():
    """VGG-16 with weights of zero."""
    tensors, layers = {}, []
    current, channels, side = "input", 3, 224
    tensors[current] = QTensor(current, (3, 224, 224), True, 1.0, 0)

    def add(layer, shape):
        tensors[layer.output] = QTensor(layer.output, shape, True, 1.0, 0)
        layers.append(layer)
        return layer.output, shape[0]

    limits = {"low": 0, "high": 255}
    for stage, (outputs, count) in enumerate(
        [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], start=1
    ):
        for number in range(1, count + 1):
            name = f"conv{stage}_{number}"
            weight = np.zeros((outputs, channels, 3, 3), np.int8)
            layer = conv(name, current, name, weight, padding=(1, 1, 1, 1), **limits)
            current, channels = add(layer, (outputs, side, side))
        side //= 2
        name = f"pool{stage}"
        pool = QMaxPool(name, current, name, (2, 2), (2, 2))
        current, channels = add(pool, (channels, side, side))
    for name, outputs, side in (("fc6", 4096, 7), ("fc7", 4096, 1), ("fc8", 1000, 1)):
        weight = np.zeros((outputs, channels, side, side), np.int8)
        layer = conv(name, current, name, weight, kind="fc", **limits)
        current, channels = add(layer, (outputs, 1, 1))
    return QGraph("vgg16", tensors, tuple(layers), "input", current)


def test_vgg16_has_the_bounds_of_its_table_and_comes_close_to_them(vgg16):
    program = compile_network(vgg16, PRESETS["default-direct"])
    convolutions = [layer for layer in program.layers if layer.kind == "conv"]
    connected = [layer for layer in program.layers if layer.kind == "fc"]
    assert [layer.covers for layer in convolutions[:2]] == [("conv1_1",), ("conv1_2", "pool1")]
    assert len(convolutions) == 13
    assert len(connected) == 3
    assert sum(layer.bound_cycles for layer in convolutions) == 59_947_776
    assert sum(layer.bound_cycles for layer in connected) == 7_729_759
    assert convolutions[0].bound_cycles == 338_688
    assert round(sum(layer.compulsory_bytes for layer in program.layers) / 1e5) == 1564
    assert sum(layer.predicted_cycles for layer in convolutions) < 1.01 * 59_947_776
    assert sum(layer.predicted_cycles for layer in connected) < 1.02 * 7_729_759
    traffic = 0
    for layer in program.layers:
        traffic += layer.instruction_count * INSTRUCTION_BYTES
        for instruction in instructions(program, layer):
            if instruction.opcode is not Opcode.CONV:
                words = instruction["run_words"] * instruction["runs"] * instruction["planes"]
                buffer = instruction.fields.get("buffer")
                traffic += words * (8 if buffer == 2 else 16)
    assert traffic < 1.10 * 156.4e6


def test_vgg16_at_a_quarter_of_the_bus_stays_close_to_the_bound(vgg16):
    program = compile_network(vgg16, PRESETS["large-direct"], memory=Memory(bytes_per_cycle=8))
    cycles = sum(layer.predicted_cycles for layer in program.layers if layer.kind == "conv")
    assert cycles < 1.02 * 15_322_712


def test_regions_do_not_overlap_and_are_aligned():
    program = compile_network(random_qgraph(random.Random(1)), TINY, 2)
    spans = [(place.address, place.address + place.size) for place in program.places.values()]
    spans += [(address, address + data.size) for address, data in program.segments]
    spans.sort()
    assert all(start % 64 == 0 for start, _ in spans)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    assert spans[-1][1] <= program.memory_size


def test_a_pool_is_fused_only_where_nobody_else_wants_the_sums():
    first = conv("c", "x", "y", np.ones((4, 4, 3, 3), np.int8))
    pool = QMaxPool("p", "y", "z", (2, 2), (2, 2))
    shapes = {"x": (4, 8, 8), "y": (4, 6, 6), "z": (4, 3, 3)}
    fused = compile_network(network(first, pool, **shapes), TINY)
    assert [layer.covers for layer in fused.layers] == [("c", "p")]
    assert set(fused.places) == {"x", "z"}
    apart = compile_network(network(first, pool, **shapes), TINY, fuse_pool=False)
    assert [layer.covers for layer in apart.layers] == [("c",), ("p",)]
    other = conv("d", "y", "w", np.ones((4, 4, 1, 1), np.int8))
    both = compile_network(network(first, pool, other, **shapes, w=(4, 6, 6)), TINY)
    assert [layer.covers for layer in both.layers] == [("c",), ("p",), ("d",)]


def test_an_overlapping_pool_is_not_fused():
    first = conv("c", "x", "y", np.ones((4, 4, 3, 3), np.int8))
    pool = QMaxPool("p", "y", "z", (3, 3), (2, 2), (1, 1, 1, 1))
    shapes = {"x": (4, 8, 8), "y": (4, 6, 6), "z": (4, 3, 3)}
    program = compile_network(network(first, pool, **shapes), TINY)
    assert [layer.kind for layer in program.layers] == ["conv", "pool"]
    assert program.layers[1].macs == 0


def test_few_input_channels_are_packed():
    layer = conv("c", "x", "y", np.ones((4, 1, 3, 3), np.int8))
    program = compile_network(network(layer, x=(1, 8, 8), y=(4, 6, 6)), TINY)
    assert program.places["x"].pixel_bytes == 1
    assert program.places["y"].pixel_bytes == 0


def test_weights_of_a_fully_connected_layer_are_read_once_a_batch():
    weight = np.ones((64, 32, 1, 1), np.int8)
    graph = network(conv("f", "x", "y", weight, kind="fc"), x=(32, 1, 1), y=(64, 1, 1))
    counts = []
    for batch in (1, 3):
        program = compile_network(graph, TINY, batch)
        counts.append(
            sum(
                instruction["run_words"]
                for instruction in instructions(program, program.layers[0])
                if instruction.opcode is Opcode.LOAD and instruction["buffer"] == 1
            )
        )
    assert counts[0] == counts[1] == 64 * 32 // 4


@pytest.mark.parametrize("seed", range(4))
def test_instructions_follow_those_that_they_wait_for(seed):
    rng = random.Random(seed)
    program = compile_network(random_qgraph(rng), TINY)
    for layer in program.layers:
        counts = {"loaded": 0, "computed": 0, "drained": 0, "stored": 0}
        for instruction in instructions(program, layer):
            for name, value in instruction.fields.items():
                if name.startswith("after_"):
                    assert value <= counts[name.split("_")[1]]
            for counter in {
                Opcode.LOAD: ["loaded"],
                Opcode.CONV: ["computed"],
                Opcode.STORE: ["drained", "stored"],
            }[instruction.opcode]:
                counts[counter] += 1


def test_memory_rate_changes_the_schedule_and_not_the_result():
    rng = random.Random(11)
    graph = random_qgraph(rng)
    images = random_input(rng, graph, 2)
    results = []
    for rate in (None, 0.5):
        program = compile_network(graph, TINY, 2, memory=Memory(bytes_per_cycle=rate))
        device = Emulator(TINY, program.memory_size, strict=True)
        results.append(run_program(program, device, images))
    for name, values in results[0].items():
        np.testing.assert_array_equal(values, results[1][name])


def test_the_schedules_explain_the_programs_layers():
    graph = random_qgraph(random.Random(5))
    program = compile_network(graph, TINY, 2)
    schedules = explain_network(graph, TINY, 2)
    for schedule, layer in zip(schedules, program.layers, strict=True):
        assert schedule.name == layer.name
        assert schedule.estimate == layer.predicted_cycles >= schedule.compute_cycles > 0
        assert 0 < schedule.pixels <= TINY.acc_depth


def test_compiling_twice_gives_the_same_program():
    graph = random_qgraph(random.Random(5))
    first, second = (compile_network(graph, TINY) for _ in range(2))
    assert first.layers == second.layers
    for (_, data), (_, other) in zip(first.segments, second.segments, strict=True):
        np.testing.assert_array_equal(data, other)


def test_sums_that_could_overflow_are_refused():
    config = dataclasses.replace(TINY, acc_width=20)
    weight = np.full((4, 64, 3, 3), 127, np.int8)
    layer = conv("c", "x", "y", weight)
    with pytest.raises(
        SystolithError, match=r"^c: sums of channel 0 reach [\d,]+ .* acc_width 25$"
    ):
        compile_network(network(layer, x=(64, 8, 8), y=(4, 6, 6)), config)


def test_multipliers_beyond_their_width_are_refused():
    with pytest.raises(SystolithError, match=r"^c: multipliers reach 65536, .*multiplier_width 16"):
        compile_network(small(multiplier=np.full(4, 65536)), TINY)


def test_a_network_beyond_the_address_space_is_refused():
    config = dataclasses.replace(TINY, addr_width=16)
    weight = np.ones((128, 128, 3, 3), np.int8)
    pattern = (
        r"^net: needs [\d,]+ bytes .*weights 147,456.*65,536 of addr_width 16; .*addr_width 18"
    )
    with pytest.raises(SystolithError, match=pattern):
        compile_network(small(weight), config)


def test_buffers_without_room_for_a_tile_are_refused():
    config = dataclasses.replace(TINY, act_depth=16)
    weight = np.ones((4, 4, 7, 7), np.int8)
    layer = conv("c", "x", "y", weight)
    with pytest.raises(SystolithError, match=r"^c: no tile .*activation.*act_depth"):
        compile_network(network(layer, x=(4, 8, 8), y=(4, 2, 2)), config)


def test_a_layer_whose_shapes_disagree_is_refused():
    layer = conv("c", "x", "y", np.ones((4, 4, 3, 3), np.int8))
    with pytest.raises(SystolithError, match=r"^c: its output is \(4, 6, 6\), but y has"):
        compile_network(network(layer, x=(4, 8, 8), y=(4, 8, 8)), TINY)
    with pytest.raises(SystolithError, match=r"^c: weights take 4 channels, but x has 5$"):
        compile_network(network(layer, x=(5, 8, 8), y=(4, 6, 6)), TINY)


@pytest.mark.parametrize("padding", [(0, 1, 0, 2), (2, 0, 1, 0), (1, 2, 2, 0), (0, 0, 2, 1)])
def test_a_pool_of_its_own_pads_each_side_by_its_own_number(padding):
    top, bottom, left, right = padding
    height, width = ((8 + both - 3) // 2 + 1 for both in (top + bottom, left + right))
    pool = QMaxPool("p", "x", "y", (3, 3), (2, 2), padding)
    qgraph = network(pool, x=(5, 8, 8), y=(5, height, width))
    images = random_input(random.Random(1), qgraph, 1)
    run_exactly(compile_network(qgraph, TINY, 1), qgraph, images)


def test_a_pool_between_different_numbers_is_refused():
    pool = QMaxPool("p", "x", "y", (2, 2), (2, 2))
    graph = network(pool, x=(4, 8, 8), y=(4, 4, 4))
    tensors = {**graph.tensors, "y": QTensor("y", (4, 4, 4), True, 1.0, 0)}
    with pytest.raises(SystolithError, match=r"^p: input and output of a pool must share"):
        compile_network(dataclasses.replace(graph, tensors=tensors), TINY)


def test_a_network_of_a_part_of_its_input_is_one_copy():
    part = QTake("t", "x", "y", tuple(range(4)), (0, 8, 1), (0, 8, 1))
    program = compile_network(network(part, x=(8, 8, 8), y=(4, 8, 8)), TINY)
    assert [layer.kind for layer in program.layers] == ["copy"]


def test_an_empty_network_and_an_empty_batch_are_refused():
    graph = small()
    with pytest.raises(SystolithError, match=r"^net: has no layers$"):
        compile_network(dataclasses.replace(graph, layers=()), TINY)
    with pytest.raises(SystolithError, match=r"^batch must be at least 1, not 0$"):
        compile_network(graph, TINY, 0)
