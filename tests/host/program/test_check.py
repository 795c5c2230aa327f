"""Damaged program files: one line that names the fault, or a run that is right."""

import dataclasses
import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.flow.fits import check_network
from systolith_host.lab.fuzz.networks import random_qgraph
from systolith_host.network.golden import run_golden
from systolith_host.program.check import check, record
from systolith_host.program.program import LayerProgram, Place, Program
from systolith_host.runtime.backend import Observer
from systolith_host.runtime.emulator import EmulatorBackend
from systolith_host.runtime.jobs import plan_jobs
from systolith_hw.spec.presets import PRESETS
from systolith_sim.testing.limited import run_limited

FORMAT = "systolith program"
BATCH = 2


def parts(path):
    """Return a program file's description and segments."""
    with safe_open(str(path), framework="numpy") as file:
        meta = json.loads(file.metadata()[FORMAT])
        return meta, {name: file.get_tensor(name) for name in file.keys()}


@pytest.fixture(name="made")
def _made(tmp_path):
    qgraph = random_qgraph(random.Random(3))
    path = tmp_path / "p.systolith"
    compile_network(qgraph, PRESETS["tiny"], BATCH).save(path)
    return qgraph, path


def damaged(made, change):
    """Return the error for a file after a change of its description and segments."""
    qgraph, path = made
    meta, segments = parts(path)
    change(meta, segments)
    save_file(segments, str(path), {FORMAT: json.dumps(meta)})
    with pytest.raises(SystolithError) as raised:
        check_network(Program.load(path), path, qgraph)
    text = str(raised.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


def setting(where, index, name, value):
    """Return a change of a field; a number is added where `value` is a function."""

    def change(meta, segments):
        entry = meta if where is None else meta[where][index]
        entry[name] = value(entry[name]) if callable(value) else value

    return change


CHANGES = {
    "memory of 2^50": (setting(None, 0, "memory_size", 1 << 50), "memory_size must be a whole num"),
    "larger memory": (setting(None, 0, "memory_size", 1 << 31), "memory_size must be "),
    "memory in words": (setting(None, 0, "memory_size", "4096"), "memory_size must be a whole"),
    "memory of half a byte": (setting(None, 0, "memory_size", 4096.5), "memory_size must be a who"),
    "no batch": (setting(None, 0, "batch", 0), "batch must be a whole number from 1"),
    "another batch": (setting(None, 0, "batch", 3), "must have a batch of 3, not 2"),
    "a batch of truth": (setting(None, 0, "batch", True), "batch must be a whole number"),
    "no layers": (setting(None, 0, "layers", []), "there must be some"),
    "layers twice": (setting(None, 0, "layers", lambda old: old + old), "names of their own"),
    "a layer less": (setting(None, 0, "layers", lambda old: old[:-1]), "computes other layers"),
    "places twice": (setting(None, 0, "places", lambda old: old + old[:1]), "has two places"),
    "places in words": (setting(None, 0, "places", "abc"), "Place must be an object"),
    "no name": (setting(None, 0, "network", None), "must be names"),
    "another input": (setting(None, 0, "input", "lost"), "tensor lost has no place"),
    "another array": (
        lambda meta, segments: meta["config"].update(rows=8),
        "is not the one that it was compiled for",
    ),
    "no configuration": (setting(None, 0, "config", {}), "missing field"),
    "a configuration in words": (setting(None, 0, "config", 3), "is damaged"),
    "a block of 0": (setting("places", 0, "block", 0), "must have blocks of 4, not 0"),
    "another block": (setting("places", 0, "block", 8), "must have blocks of 4, not 8"),
    "another size": (setting("places", 0, "size", lambda old: old + 64), "bytes, not"),
    "no channels": (setting("places", 0, "channels", 0), "channels must be a whole number from 1"),
    "channels of 2^62": (setting("places", 0, "channels", 1 << 62), "channels must be a whole"),
    "a negative height": (setting("places", 0, "height", -1), "height must be a whole number"),
    "another width": (setting("places", 0, "width", lambda old: old + 1), "bytes, not"),
    "no scale": (setting("places", 0, "scale", 0.0), "must have a positive scale, not 0.0"),
    "an infinite scale": (setting("places", 0, "scale", float("inf")), "positive scale, not inf"),
    "a scale in words": (setting("places", 0, "scale", "1"), "scale must be of type float"),
    "zero elsewhere": (setting("places", 0, "zero_point", 300), "zero_point must be a whole"),
    "a shape of no map": (setting(None, 0, "input_shape", [2, 3]), "input_shape must be a list of"),
    "a shape in words": (setting(None, 0, "output_shape", ["4"]), "output_shape must be a whole"),
    "another shape": (setting(None, 0, "output_shape", [9999]), "which is not (9999,)"),
    "odd pixels": (setting("places", 0, "pixel_bytes", 3), "cannot have pixels of 3"),
    "a place beyond": (setting("places", 0, "address", 1 << 31), "must lie within the program's"),
    "a place before": (setting("places", 0, "address", -64), "must lie within the program's"),
    "a place aside": (setting("places", 0, "address", lambda old: old + 4), "at a multiple of 64"),
    "a parent from nowhere": (setting("places", 0, "parent", "x"), "must stand inside a tensor"),
    "a pitch alone": (setting("places", 0, "image_pitch", 64), "bytes, not"),
    "a sign in words": (setting("places", 0, "unsigned", 1), "unsigned must be of type bool"),
    "an unknown field": (setting("places", 0, "colour", 1), "unknown 'colour'"),
    "another kind": (setting("layers", 0, "kind", "rnn"), "kind must be one of conv, fc"),
    "no instructions": (setting("layers", 0, "instruction_count", 0), "instruction_count must be"),
    "instructions beyond": (
        setting("layers", 0, "instruction_count", 1 << 31),
        "no segment holds its instructions",
    ),
    "instructions from elsewhere": (
        setting("layers", 0, "instruction_address", lambda old: old + 1),
        "no segment holds its instructions",
    ),
    "negative work": (setting("layers", 0, "macs", -1), "macs must be a whole number"),
    "covers in words": (setting("layers", 0, "covers", "conv"), "covers must be a list of names"),
    "an unknown tensor": (setting("layers", 0, "output", "lost"), "tensor lost has no place"),
    "a sign": (setting("places", 0, "unsigned", lambda old: not old), "does not fit"),
    "a segment beyond": (setting(None, 0, "segments", lambda old: [1 << 40] * len(old)), "within"),
    "a segment before": (setting(None, 0, "segments", lambda old: [-1] * len(old)), "address must"),
    "floats": (
        lambda meta, segments: segments.update(segment0=np.zeros(8, np.float32)),
        "a segment must be a row of bytes, not float32",
    ),
    "no segments": (lambda meta, segments: segments.clear(), "is damaged"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_is_said_in_a_line(name, made):
    change, message = CHANGES[name]
    assert message in damaged(made, change)


def test_places_that_overlap(made):
    def change(meta, segments):
        meta["places"][1]["address"] = meta["places"][0]["address"]

    assert "overlaps" in damaged(made, change)


def test_an_illegal_instruction(made):
    def change(meta, segments):
        layer, starts = meta["layers"][0], meta["segments"]
        place = layer["instruction_address"]
        index = max(i for i, start in enumerate(starts) if start <= place)
        data = np.array(segments[f"segment{index}"])
        data[place - starts[index]] = 0xFF
        segments[f"segment{index}"] = data

    text = damaged(made, change)
    assert "instruction 0: opcode must be one of" in text


def test_a_deep_description(made):
    _, path = made
    _, segments = parts(path)
    save_file(segments, str(path), {FORMAT: "[" * 200_000})
    with pytest.raises(SystolithError, match=r"is damaged: its description is too deep$"):
        Program.load(path)
    save_file(segments, str(path), {FORMAT: '{"version": ' + "9" * 5000 + "}"})
    with pytest.raises(SystolithError, match=r"p\.systolith: is damaged: [^\n]*$"):
        Program.load(path)


def test_a_program_of_another_network(made):
    _, path = made
    other = random_qgraph(random.Random(4))
    with pytest.raises(SystolithError, match=r"does not fit"):
        check_network(Program.load(path), path, other)


@pytest.mark.parametrize("seed", range(12))
def test_what_the_compiler_makes_passes(seed):
    qgraph = random_qgraph(random.Random(seed))
    program = compile_network(qgraph, PRESETS["tiny"], 1 + seed % 3)
    check(program)
    check_network(program, Path(), qgraph)
    for place in program.places.values():
        assert record(Place, dataclasses.asdict(place)) == place
    layer = json.loads(json.dumps(dataclasses.asdict(program.layers[0])))
    assert record(LayerProgram, layer) == program.layers[0]


def changed(rng, value):
    """Return another value: of another type, of an extreme size, or a little off."""
    choices = [None, True, "", [], {}, 0, -1, 1, 1 << 31, 1 << 50, -(1 << 63), 1e308, "a\x1b[1m"]
    if isinstance(value, bool):
        choices.append(not value)
    elif isinstance(value, int):
        choices += [value + 1, value - 1, value * 2, value + 64, value + 4096] * 2
    elif isinstance(value, list) and value:
        choices += [value[:-1], value + value[:1], value[::-1]]
    return rng.choice(choices)


def mutated(rng, meta, segments):
    """Change a description or a few bytes; return whether other instructions or weights run."""
    if rng.random() < 0.4:
        name = rng.choice(sorted(segments))
        data = np.array(segments[name])
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(data.size)] ^= 1 << rng.randrange(8)
        segments[name] = data
        return True
    others = False
    for _ in range(rng.randint(1, 2)):
        holders = [meta, meta["config"], *meta["layers"], *meta["places"]]
        holder = rng.choice([entry for entry in holders if isinstance(entry, dict) and entry])
        key = rng.choice(sorted(holder))
        others |= key.startswith("instruction_") or key == "layers"
        if rng.random() < 0.1:
            del holder[key]
        else:
            holder[key] = changed(rng, holder[key])
        if any(not isinstance(meta.get(name), kind) for name, kind in KINDS.items()):
            break
    return others


KINDS = {"config": dict, "layers": list, "places": list}

EACH = int(os.environ.get("SYSTOLITH_FUZZ", "400")) // 4 or 1
FIRST = int(os.environ.get("SYSTOLITH_FUZZ_FIRST", "0"))
MORE_BYTES = 3 << 29
CASE_SECONDS = 60


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 4))
def test_no_mutation_ends_in_a_traceback(seed, tmp_path):
    """A changed description is refused or changes no result; changed bytes never break the host."""
    code = run_limited(run_mutations, seed, tmp_path, more_bytes=MORE_BYTES, seconds=60 * EACH)
    case = (tmp_path / "case").read_text()
    assert code == 0, f"seed {seed}: case {case}; the file is {tmp_path / 'p.systolith'}"


def run_mutations(seed, tmp_path):
    rng = random.Random(seed)
    qgraph = random_qgraph(rng)
    path = tmp_path / "p.systolith"
    program = compile_network(qgraph, PRESETS["tiny"], BATCH)
    tensor = qgraph.tensors[qgraph.input]
    values = np.random.default_rng(seed).integers(0, 100, (BATCH, *tensor.shape))
    golden = run_golden(qgraph, values.astype(np.uint8 if tensor.unsigned else np.int8))
    ended = {"refused": 0, "failed": 0, "right": 0, "wrong": 0}
    for number in range(EACH):
        signal.alarm(CASE_SECONDS)
        program.save(path)
        meta, segments = parts(path)
        bytes_changed = mutated(rng, meta, segments)
        save_file(segments, str(path), {FORMAT: json.dumps(meta)})
        (tmp_path / "case").write_text(str(number))
        outcome, error = outcome_of(path, qgraph, golden)
        assert "\n" not in error
        assert bytes_changed or outcome != "wrong", (outcome, error)
        ended[outcome] += 1
    signal.alarm(0)
    assert sum(ended.values()) == EACH
    assert EACH < 50 or (ended["refused"] and ended["right"])


def outcome_of(path, qgraph, golden):
    """Return how a file ends, and the error."""
    try:
        program = Program.load(path)
        check_network(program, path, qgraph)
    except SystolithError as error:
        return "refused", str(error)
    try:
        jobs = plan_jobs(program.layers, golden, sequential=True, parts=program.parts)
        outcomes = EmulatorBackend().run(program, jobs, Observer())
    except SystolithError as error:
        return "failed", str(error)
    outputs = {layer.name: layer.output for layer in program.layers}
    right = all(np.array_equal(one.output, golden[outputs[one.layer]]) for one in outcomes)
    return "right" if right else "wrong", ""
