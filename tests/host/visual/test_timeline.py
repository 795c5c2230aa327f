"""Timelines: the RTL's recorded events, next to the model's replay."""

import random

import numpy as np
import pytest

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.lab.fuzz.cases import random_memory
from systolith_host.lab.fuzz.networks import random_qgraph
from systolith_host.lab.fuzz.winograd import random_tilings
from systolith_host.network.shapes import timing_network
from systolith_host.runtime.replay import MOST_SAMPLES, SAMPLES
from systolith_host.visual.timeline import (
    modelled_timeline,
    recorded_timeline,
    sample_interval,
)
from systolith_hw.spec.isa import Opcode
from systolith_hw.spec.presets import PRESETS
from systolith_sim.memory.timing import MemoryTiming


@pytest.fixture(scope="module")
def mini():
    return compile_network(timing_network(build_network("mini")), PRESETS["tiny"])


def test_instructions_pass_begin_and_end_in_this_order(mini):
    for layer in mini.layers:
        timeline = modelled_timeline(mini, layer, MemoryTiming())
        stores = timeline.opcodes == Opcode.STORE
        assert (timeline.times[:, :3] >= 1).all()
        assert (np.diff(timeline.times[:, :3], axis=1) >= 0).all()
        assert (timeline.times[stores, 3] > timeline.times[stores, 2]).all()
        assert (timeline.times[~stores, 3] == -1).all()
        assert timeline.times.max() <= timeline.cycles


def test_samples_add_up_to_the_counters(mini):
    timeline = modelled_timeline(mini, mini.layers[0], MemoryTiming(), interval=1000)
    assert len(timeline.samples) == timeline.cycles // 1000
    for engine in ("LOAD", "COMPUTE", "STORE"):
        states = [name for name in SAMPLES if name.startswith(engine)]
        assert sum(timeline.rates(state) for state in states) == pytest.approx(1.0)


@pytest.mark.parametrize("cycles", [0, 1, 999, 7_228_014, 10**9])
def test_samples_fit_what_the_replay_takes_at_most(cycles):
    interval = sample_interval(cycles)
    assert interval & (interval - 1) == 0
    assert cycles // interval <= MOST_SAMPLES


@pytest.mark.rtl
def test_rtl_events_are_the_models_cycle_by_cycle():
    rng = random.Random(11)
    compared = 0
    while compared < 4:
        qgraph, memory = random_qgraph(rng), random_memory(rng, PRESETS["tiny"].bus_bytes)
        with random_tilings(rng):
            try:
                program = compile_network(qgraph, PRESETS["tiny"])
            except SystolithError:
                continue
        layer = rng.choice(program.layers)
        model = modelled_timeline(program, layer, memory, interval=32)
        rtl = recorded_timeline(program, layer, memory, interval=32)
        assert (rtl.source, model.source) == ("rtl", "model")
        assert "RTL" in rtl.origin
        assert rtl.cycles == model.cycles
        assert np.array_equal(rtl.times, model.times)
        assert np.array_equal(rtl.samples, model.samples)
        compared += 1


@pytest.mark.rtl
def test_icarus_records_the_same_events(mini):
    layer = mini.layers[-1]
    model = modelled_timeline(mini, layer, MemoryTiming(), interval=16)
    rtl = recorded_timeline(mini, layer, MemoryTiming(), interval=16, simulator="icarus")
    assert np.array_equal(rtl.times, model.times)
    assert np.array_equal(rtl.samples, model.samples)
