"""Jobs: their order, their inputs, and what happens when one fails."""

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.frontend.images import image_batch
from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.weights import random_weights
from systolith_host.network.golden import run_golden
from systolith_host.program.inside import Part
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.quantize import quantize, quantize_input
from systolith_host.runtime import emulator
from systolith_host.runtime.backend import Observer
from systolith_host.runtime.choose import DeviceOptions, choose_backend
from systolith_host.runtime.emulator import EmulatorBackend
from systolith_host.runtime.jobs import plan_jobs
from systolith_host.runtime.rtl import backend as rtl
from systolith_hw.spec.presets import PRESETS


@pytest.fixture(scope="module")
def case():
    graph = build_network("mini")
    weights = random_weights(graph, 3)
    image = np.random.default_rng(4).normal(size=(3, 32, 32)).astype(np.float32)
    images = image_batch([image], 2)
    qgraph = quantize(graph, weights, calibrate(graph, weights, images), 16)
    program = compile_network(qgraph, PRESETS["tiny"], 2)
    return program, run_golden(qgraph, quantize_input(qgraph, images))


def test_side_by_side_the_longest_layer_starts_first(case):
    program, tensors = case
    jobs = plan_jobs(program.layers, tensors, sequential=False)
    costs = [job.cost for job in jobs]
    assert costs == sorted(costs, reverse=True)
    assert len(jobs) == len(program.layers)
    for job in jobs:
        assert job.inputs.keys() == {job.layers[0].input}


def test_in_sequence_only_the_first_input_is_golden(case):
    program, tensors = case
    (job,) = plan_jobs(program.layers, tensors, sequential=True)
    assert job.inputs.keys() == {program.input}
    skipped = [program.layers[0], *program.layers[3:]]
    (job,) = plan_jobs(skipped, tensors, sequential=True)
    assert job.inputs.keys() == {program.input, program.layers[3].input}


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_every_output_equals_the_golden_model(case, sequential, workers):
    program, tensors = case
    jobs = plan_jobs(program.layers, tensors, sequential=sequential)
    seen = []
    observer = Observer(done=lambda outcome: seen.append(outcome.layer))
    outcomes = EmulatorBackend(workers=workers).run(program, jobs, observer)
    assert sorted(seen) == sorted(layer.name for layer in program.layers)
    for outcome in outcomes:
        (layer,) = [layer for layer in program.layers if layer.name == outcome.layer]
        assert np.array_equal(outcome.output, tensors[layer.output])


def test_a_failing_job_stops_the_others(case, monkeypatch):
    program, tensors = case
    started = []
    failed = threading.Event()

    def run_job(self, program, job, observer):
        started.append(job.layers[0].name)
        if len(started) == 1:
            failed.set()
            raise SystolithError("conv: the memory answered with a bus error")
        failed.wait(10)
        for _ in range(1000):
            observer.at(job.layers[0].name, 1)
            threading.Event().wait(0.01)
        return []

    monkeypatch.setattr(EmulatorBackend, "run_job", run_job)
    jobs = plan_jobs(program.layers, tensors, sequential=False)
    with pytest.raises(SystolithError, match=r"^conv: the memory answered with a bus error$"):
        EmulatorBackend(workers=2).run(program, jobs, Observer())
    assert len(started) < len(jobs)


def test_a_program_for_another_accelerator_is_refused_by_the_device(case, monkeypatch):
    program, tensors = case
    other = dataclasses.replace(program.config, queue_depth=8)
    whole = emulator.Emulator
    monkeypatch.setattr(emulator, "Emulator", lambda config, memory: whole(other, memory))
    (job,) = plan_jobs(program.layers, tensors, sequential=True)
    with pytest.raises(SystolithError, match=r"^the accelerator was built for another config"):
        EmulatorBackend().run(program, [job], Observer())


@pytest.mark.parametrize(
    ("made", "given"),
    [
        ((), {"a", "b", "c"}),
        (("a",), {"b", "c"}),
        (("b",), {"a", "c"}),
        (("b", "c"), {"a"}),
        (("a", "b", "c"), set()),
        (("joined",), set()),
    ],
)
def test_of_a_joined_tensor_the_rest_is_given(case, made, given):
    """Layers may make some of the tensors inside."""
    pixels = (range(1), range(1))
    parts = {"joined": tuple(Part(name, at, at + 1, 0, *pixels) for at, name in enumerate("abc"))}
    first = case[0].layers[0]
    makers = [dataclasses.replace(first, output=name) for name in made]
    reader = dataclasses.replace(first, input="joined", output="y")
    tensors = {name: np.zeros(1) for name in ("joined", "a", "b", "c", first.input)}
    (job,) = plan_jobs([*makers, reader], tensors, sequential=True, parts=parts)
    assert job.inputs.keys() - {first.input} == given


def test_waves_are_written_of_one_layer_alone(case):
    layers = case[0].layers
    parts = rtl._split(layers, layers[2].name)
    assert [(len(part), waves) for part, waves in parts] == [
        (2, False),
        (1, True),
        (len(layers) - 3, False),
    ]
    assert rtl._split(layers, None) == [(layers, False)]
    assert rtl._split(layers[:1], layers[0].name) == [(layers[:1], True)]


@pytest.mark.parametrize(
    ("device", "options", "message"),
    [
        ("fpga", {}, r"--device must be rtl, model, emulator, .* or pynq:FILE.bit, not 'fpga'"),
        ("rtl", {"board": Path("b")}, r"--board needs --device litex://HOST:PORT"),
        ("pynq:a.bit", {"board": Path("b")}, r"--board is for --device litex; .*"),
        ("litex://h:1", {"scheduler": "tcp://h:2"}, r"--scheduler spreads layers, a board .*"),
        ("litex://h:1", {}, r"--device litex needs --board DIR, .*"),
    ],
)
def test_options_that_do_not_go_with_a_device_are_refused(device, options, message):
    with pytest.raises(SystolithError, match=f"^{message}$"):
        choose_backend(device, DeviceOptions(**options))


@pytest.mark.parametrize("sequential", [False, True])
def test_the_model_has_the_emulators_tensors_and_bytes_and_all_counters(case, sequential):
    program, tensors = case
    jobs = plan_jobs(program.layers, tensors, sequential=sequential)
    emulated = EmulatorBackend().run(program, jobs, Observer())
    model = choose_backend("model", DeviceOptions())
    assert model.facts.counts_cycles
    for one, other in zip(model.run(program, jobs, Observer()), emulated, strict=True):
        assert one.layer == other.layer
        assert np.array_equal(one.output, other.output)
        assert one.counters.bytes_read == other.counters.bytes_read
        assert one.counters.bytes_written == other.counters.bytes_written
        assert [sum(states.values()) for states in one.counters.states.values()] == [
            one.counters.cycles
        ] * 3
