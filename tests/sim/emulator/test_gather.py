"""Layers that gather their weights on the emulator, against the golden model's plain layer."""

import random
from dataclasses import replace

import numpy as np
import pytest

from systolith_hw.spec.isa import INSTRUCTION_BYTES, Instruction, Opcode
from systolith_hw.spec.registers import CONTROL_START, REGISTERS, STATUS_DONE, ErrorCode
from systolith_sim.emulator.device import Emulator, EmulatorError
from systolith_sim.emulator.gather import ring_places, scan
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.gathered import random_layer

SHAPES = [(4, 4), (4, 8), (8, 4), (3, 6), (12, 12), (2, 2), (16, 4)]
DENSITIES = [0, 0.02, 0.1, 0.5, 1]


def emulator(layer, program=None, *, strict=True):
    program = layer.program() if program is None else program
    image = layer.memory()
    code = np.frombuffer(b"".join(one.encode() for one in program), np.uint8)
    device = Emulator(layer.config, image.size + code.size, strict=strict)
    device.write_memory(0, image)
    device.write_memory(image.size, code)
    values = {"PROGRAM_ADDR": image.size, "PROGRAM_COUNT": len(program), "WINDOW_END": 1 << 31}
    for name, value in (*values.items(), ("CONTROL", CONTROL_START)):
        device.write_register(REGISTERS[name].offset, value)
    return device


def read(device, name):
    return device.read_register(REGISTERS[name].offset)


def result(layer, device):
    assert read(device, "STATUS") == STATUS_DONE
    *_, output, end = layer.places
    return device.read_memory(output, end - output)[: len(layer.weight)].view(np.int8)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(
    ("rows", "cols", "nibbles"),
    [*((*shape, 0) for shape in SHAPES), (4, 4, 1), (4, 8, 1), (12, 12, 1), (2, 6, 1), (16, 4, 1)],
)
def test_a_gathered_layer_is_the_plain_layer(rows, cols, nibbles, density):
    rng = random.Random(f"{rows}x{cols} {density}")
    config = small_config(rows, cols, gather=64 * min(rows, cols), nibbles=nibbles)
    kinds = set()
    for _ in range(12):
        layer = random_layer(rng, config, density)
        kinds.add((layer.unsigned, len(layer.slices) > 1))
        outputs = result(layer, emulator(layer))
        np.testing.assert_array_equal(outputs, layer.wanted(), err_msg=str(layer))
        assert len(np.unique(outputs)) > 1
    assert {many for _, many in kinds} == {False, True}
    assert density < 0.1 or {unsigned for unsigned, _ in kinds} == {False, True}


def test_only_active_inputs_weights_are_read():
    config = small_config(gather=256)
    layer, dense = (random_layer(random.Random(3), config, density) for density in (0.2, 1))
    assert layer.inputs.size > 100
    assert layer.weight.shape == dense.weight.shape
    bytes_read = []
    for one in (layer, dense):
        device = emulator(one)
        result(one, device)
        runs = one.active * one.weight.shape[0]
        rest = one.inputs.size + len(one.weight) * 8 + len(one.program()) * INSTRUCTION_BYTES
        # A run may begin and end within a beat.
        most = one.active * len(one.slices) * 14
        assert runs + rest <= read(device, "BYTES_READ") <= runs + rest + most + 16
        bytes_read.append(read(device, "BYTES_READ"))
    assert 2 * bytes_read[0] < bytes_read[1]


def test_without_an_active_input_the_last_one_is():
    found = scan(np.full(8, 5, np.int8), 5, 4)
    assert found.mask.tolist() == [False] * 7 + [True]
    assert found.words.tolist() == [[0, 0, 0, 0]]


def test_units_follow_each_other_in_their_ring():
    places = ring_places(13, (5, 2, 3), 4)
    assert places.shape == (13, 3)
    for run, found in enumerate(places.tolist()):
        start = 5 + run // 4 % 2 * 12 + run % 4
        assert found == [start, start + 4, start + 8]


def test_differences_are_packed_modulo_256_and_zeros_fill_the_last_word():
    data = np.array([-128, 127, -128, 0, -128, -127, 1, -128, 5], np.int8)
    found = scan(data, -128, 4)
    assert found.mask.tolist() == [False, True, False, True, False, True, True, False, True]
    assert found.words.view(np.uint8).tolist() == [[255, 128, 1, 129], [133, 0, 0, 0]]


def changed(program, number, **fields):
    one = program[number]
    return [
        *program[:number],
        Instruction(one.opcode, {**one.fields, **fields}),
        *program[number + 1 :],
    ]


def two_slices():
    rng = random.Random(3)
    while True:
        layer = random_layer(rng, small_config(gather=64), 0.5)
        if len(layer.slices) == 3 and layer.active > 8 and layer.units > 1:
            return layer


LAYER = two_slices()
PROGRAM = LAYER.program()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (changed(PROGRAM, 2, after_loaded_act=0), "after_loaded_act does not wait for the scan"),
        (
            changed(PROGRAM, 2, after_loaded_weight=0),
            "after_loaded_weight does not wait for the scan, LOAD 0",
        ),
        (
            changed(PROGRAM, 5, after_computed=0),
            r"instruction 5 \(LOAD 3\) overwrites weight words that CONV 0 may still read",
        ),
        (
            [*PROGRAM[:2], PROGRAM[3], PROGRAM[2], *PROGRAM[4:]],
            r"instruction 2 \(LOAD 2\) comes where no CONV takes them right before",
        ),
        (
            [PROGRAM[0], *PROGRAM[2:]],
            r"instruction 1 \(CONV\): no LOAD before it gathers weights for its ring of units",
        ),
        (
            changed(PROGRAM, 2, units=LAYER.units - 1),
            r"instruction 2 \(CONV\): no LOAD before it gathers weights for its ring of units",
        ),
        (
            changed(PROGRAM, 1, runs=LAYER.inputs.size - 1),
            rf"instruction 1 \(LOAD\): LOAD gathers from {LAYER.inputs.size - 1} runs, but the "
            rf"last scan had {LAYER.inputs.size} bytes",
        ),
        (
            [*PROGRAM[:5], PROGRAM[0], *PROGRAM[5:]],
            r"instruction 5 \(LOAD 3\) overwrites act words that CONV 0 may still read",
        ),
        (
            changed(PROGRAM, 10, after_drained=0),
            r"instruction 10 \(CONV 2\) uses bank 0, which STORE 0 may drain",
        ),
    ],
)
def test_missing_dependencies_are_found(program, message):
    with pytest.raises(EmulatorError, match=message):
        read(emulator(LAYER, program), "STATUS")


@pytest.mark.parametrize(
    ("number", "fields", "code", "info"),
    [
        (0, {"run_words": 17}, ErrorCode.BUFFER, 16),
        (0, {"dest": 256}, ErrorCode.BUFFER, 256),
        (1, {"dest": 256}, ErrorCode.BUFFER, 256),
        (1, {"runs": 1}, ErrorCode.WATCHDOG, 0),
        (1, {"runs": 500}, ErrorCode.WATCHDOG, 0),
        (2, {"acc_base": 64}, ErrorCode.BUFFER, 64),
        (2, {"act_base": 256}, ErrorCode.BUFFER, 256),
        (4, {"acc_base": 63}, ErrorCode.BUFFER, 64),
    ],
)
def test_places_beyond_a_memory_and_runs_of_other_scans_are_faults(number, fields, code, info):
    layer = replace(LAYER, blocks=2, units=1)
    device = emulator(layer, changed(layer.program(), number, **fields), strict=False)
    assert read(device, "ERROR_CODE") == code
    assert read(device, "ERROR_INFO") == info


def test_weights_that_no_conv_takes_are_noticed():
    device = emulator(LAYER, PROGRAM[:2], strict=False)
    assert read(device, "ERROR_CODE") == ErrorCode.WATCHDOG
    assert PROGRAM[1].opcode is Opcode.LOAD
