"""The first wrong value, its tile and its CONVs, on outputs that were damaged on purpose."""

import json
import random

import numpy as np
import pytest

from systolith_host.cli.views.triage import triage_lines, verdict_lines
from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.flow.case import Case, Verdict, run_case, window_of
from systolith_host.flow.triage import find_first_wrong
from systolith_host.lab.fuzz.networks import random_input, random_qgraph
from systolith_host.network.golden import run_golden
from systolith_host.program.instructions import layer_instructions
from systolith_host.program.program import Program
from systolith_host.runtime.backend import Observer
from systolith_host.runtime.emulator import EmulatorBackend
from systolith_host.runtime.jobs import Job
from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_sim.emulator.device import Emulator

SEEDS = range(6)
CONFIGS = ["tiny", "ecp5-85f-winograd"]


def compiled(seed, config="tiny"):
    print(f"seed {seed}")
    rng = random.Random(seed)
    qgraph = random_qgraph(rng)
    program = compile_network(qgraph, PRESETS[config])
    return program, run_golden(qgraph, random_input(rng, qgraph, 1))


def stored_by(program, layer, tensors):
    """Return, by the emulator, the number of the STORE that wrote each value of the output."""
    place = program.places[layer.output]
    instructions = layer_instructions(program, layer)
    memory = np.zeros(program.memory_size, np.uint8)
    for address, data in program.segments:
        memory[address : address + data.size] = data
    for name in layer.inputs:
        for address, data in program.places[name].pieces(tensors[name]):
            memory[address : address + data.size] = data
    device = Emulator(program.config, memory)
    engines = device._engines
    engines.window = (0, program.memory_size)
    engines.start()
    owners = np.full(place.shape, -1)
    steps = {Opcode.LOAD: engines.load, Opcode.CONV: engines.conv, Opcode.STORE: engines.store}
    for number, one in enumerate(instructions):
        if one.opcode is not Opcode.STORE:
            steps[one.opcode](one)
            continue
        # Both fillings stay nowhere that the STORE writes.
        touched = np.zeros(place.shape, bool)
        for filling in (0, 255):
            memory[place.address : place.address + place.size] = filling
            engines.store(one)
            after = place.unpack(memory[place.address : place.address + place.size].copy())
            touched |= after.view(np.uint8) != (filling ^ (0x80 if place.unsigned else 0))
        owners[touched] = number
    return owners


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_store_is_the_one_that_wrote_the_value_in_the_emulator(seed, config):
    program, tensors = compiled(seed, config)
    rng = np.random.default_rng(seed)
    for layer in program.layers:
        wanted = tensors[layer.output]
        owners = stored_by(program, layer, tensors)
        assert find_first_wrong(program, layer, wanted, wanted) is None
        for _ in range(3):
            wrong = rng.random(wanted.shape) < rng.choice([0.02, 0.3])
            wrong.flat[rng.integers(wrong.size)] = True
            found = np.where(wrong, wanted ^ 1, wanted).astype(wanted.dtype)
            triage = find_first_wrong(program, layer, found, wanted)
            assert triage is not None
            assert triage.tile is not None
            assert (triage.differing, triage.values) == (wrong.sum(), wanted.size)
            assert triage.tile.instruction == owners[wrong].min()
            assert triage.wrong_tiles == len(np.unique(owners[wrong]))
            at = (triage.image, triage.channel, triage.row, triage.column)
            assert wrong[at]
            assert owners[at] == triage.tile.instruction
            assert (triage.found, triage.wanted) == (found[at], wanted[at])
            held = np.argwhere(owners == triage.tile.instruction)
            spans = [triage.tile.images, triage.tile.channels, triage.tile.rows]
            spans.append(triage.tile.columns)
            assert spans == [(axis.min(), axis.max()) for axis in held.T]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_only_the_convs_named_change_what_the_store_writes(seed, config):
    program, tensors = compiled(seed, config)
    for layer in program.layers:
        wanted = tensors[layer.output]
        found = wanted ^ np.array(1, wanted.dtype)
        triage = find_first_wrong(program, layer, found, wanted)
        assert triage is not None
        assert triage.tile is not None
        instructions = layer_instructions(program, layer)
        convs = triage.tile.convs
        store = instructions[triage.tile.instruction]
        assert instructions[convs[0]]["clear"]
        assert all(instructions[number]["bank"] == store["bank"] for number in convs)
        computed = [n for n, one in enumerate(instructions) if one.opcode is Opcode.CONV]
        # The STORE waits for the last of them, and for none after it.
        assert computed.index(convs[-1]) + 1 == store["after_computed"]


def test_a_case_is_a_program_of_one_layer_and_runs_again(tmp_path):
    program, tensors = compiled(1)
    for layer in program.layers:
        wanted = tensors[layer.output]
        found = wanted ^ np.array(1, wanted.dtype)
        folder = tmp_path / f"{layer.name}.case"
        memory = Memory(latency=17)
        Case.of(program, layer, tensors, found, "a board", memory).save(folder)
        case = Case.load(folder)
        assert (case.device, case.memory) == ("a board", memory)
        assert [one.name for one in case.program.layers] == [layer.name]
        assert sum(data.size for _, data in case.program.segments) <= sum(
            data.size for _, data in program.segments
        )
        verdict = run_case(case, EmulatorBackend(), Observer())
        assert verdict == Verdict("emulator", None, None)
        triage = find_first_wrong(program, layer, found, wanted)
        assert triage is not None
        facts = json.loads((folder / "case.json").read_text())
        assert facts["triage"] == json.loads(json.dumps(triage.to_dict()))
        first, last = window_of(case, triage.tile, memory) or (0, 0)
        assert 0 <= first < last
        assert window_of(case, None, memory) is None


def test_a_wrong_program_is_told_from_a_wrong_device():
    program, tensors = compiled(1)
    layer = program.layers[0]
    wanted = tensors[layer.output] ^ np.array(1, tensors[layer.output].dtype)
    case = Case.of(program, layer, {**tensors, layer.output: wanted}, wanted, "", None)
    verdict = run_case(case, EmulatorBackend(), Observer())
    assert verdict.triage is not None
    assert verdict.triage == verdict.emulated
    text = "\n".join(verdict_lines(verdict))
    assert "the emulator differs, too, in the same values: look at the program first" in text


def test_what_is_no_case_is_refused_in_a_line(tmp_path):
    program, tensors = compiled(1)
    layer = program.layers[0]
    wanted = tensors[layer.output]
    case = Case.of(program, layer, tensors, wanted, "", None)
    with pytest.raises(SystolithError, match=r"none: is no case of a mismatch.*No such file"):
        Case.load(tmp_path / "none")
    (tmp_path / "other").mkdir()
    with pytest.raises(SystolithError, match=r"other: is there already, and no case"):
        case.save(tmp_path / "other")
    folder = tmp_path / "case"
    case.save(folder)
    case.save(folder)  # a newer one takes its place
    np.save(folder / "wanted.npy", wanted[:, :1])
    if wanted.shape[1] > 1:
        with pytest.raises(SystolithError, match=r"wanted.npy: must be u?int8 of shape"):
            Case.load(folder)
    (folder / "wanted.npy").write_bytes(b"no array")
    with pytest.raises(SystolithError, match=r"wanted.npy: is damaged"):
        Case.load(folder)
    (folder / "case.json").write_text("{")
    with pytest.raises(SystolithError, match=r"case.json: is damaged"):
        Case.load(folder)
    (folder / "case.json").write_text("[]")
    with pytest.raises(SystolithError, match=r"case.json: is not of a case that this version"):
        Case.load(folder)
    with pytest.raises(SystolithError, match=r"layer.program: cannot be read|no such file|No such"):
        Program.load(tmp_path / "layer.program")


def test_a_value_that_nothing_writes_is_said_to_be_so():
    program, tensors = compiled(1)
    layer = program.layers[0]
    wanted = tensors[layer.output]
    found = wanted ^ np.array(1, wanted.dtype)
    triage = find_first_wrong(program, layer, found, wanted)
    assert triage is not None
    lines = triage_lines(triage)
    assert lines[0].startswith(f"first wrong layer: {layer.name}, {wanted.size:,} of")
    (job,) = [Job((layer,), {name: tensors[name] for name in layer.inputs})]
    assert job.cost == layer.predicted_cycles
