"""Trials: what they count is the work that the compiler makes, and so are their cycles."""

import dataclasses
import random

import numpy as np
import pytest

import systolith_host.compiler.compile as compiler
from systolith_host.compiler import compile_network
from systolith_host.compiler.emit import order_layer
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.order import NoRoomError
from systolith_host.compiler.schedule.outline import outline_of
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.compiler.schedule.trial import Trials
from systolith_host.compiler.schedule.work import Item, TooManyStepsError, make_work
from systolith_host.cost.evaluate import places_of
from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.lab.random_networks import random_config, random_qgraph
from systolith_host.network.shapes import timing_network
from systolith_hw.spec.presets import PRESETS


class Checked(Trials):
    """Holds every trial against the work of the same schedule."""

    tried = 0

    def cost(self, schedule, rate, latency=40, turnaround=0):
        outline = self.outline(schedule)
        work = make_work(self.operation, schedule, self.config, self.addresses)
        expected = outline_of(work)
        spans = [outline.items[first:end] for first, end in outline.bounds]
        starts = outline.bounds[:, 0] - expected.bounds[:, 0]
        assert (np.concatenate(spans) == expected.items).all()
        steps, stores = outline.steps.copy(), outline.stores.copy()
        steps[:, 1] -= starts[0]
        steps[:, 2] -= starts[1]
        stores[:, 1] -= starts[2]
        assert (steps == expected.steps).all()
        assert (stores == expected.stores).all()
        Checked.tried += 1
        memory = (rate, latency, turnaround)
        arguments = (self.operation, schedule, self.config, self.addresses, *memory)
        cycles, count = super().cost(schedule, *memory)
        order, ordered = order_layer(*arguments)
        loads = sum(len(entry.loads) for entry in order if isinstance(entry, Item))
        others = sum(not isinstance(entry, Item) for entry in order)
        assert (cycles, count) == (ordered, loads + others)
        return cycles, count


def test_a_trial_is_the_work_that_the_compiler_makes(monkeypatch):
    monkeypatch.setattr(compiler, "Trials", Checked)
    monkeypatch.setattr(compiler, "TRIALS", 50)
    rng = random.Random(5)
    for _ in range(15):
        config, qgraph = random_config(rng), random_qgraph(rng)
        try:
            compile_network(
                qgraph,
                config,
                rng.choice([1, 2, 3]),
                memory_rate=rng.choice([1, 2.5]),
                memory_turnaround=rng.choice([0, 9]),
            )
        except SystolithError:
            continue  # the buffers are too small for it
    assert Checked.tried > 200


def test_too_many_convs_are_refused_before_the_work(monkeypatch):
    monkeypatch.setattr("systolith_host.compiler.schedule.trial.MOST_STEPS", 3)
    rng = random.Random(1)
    with pytest.raises(SystolithError, match="CONVs on this accelerator") as caught:
        compile_network(random_qgraph(rng), random_config(rng))
    assert not isinstance(caught.value, TooManyStepsError)


def test_what_has_no_room_is_no_candidate():
    qgraph, config = timing_network(build_network("mini")), PRESETS["tiny"]
    operation = lower(qgraph, config)[0]
    addresses = places_of(qgraph, operation, config, 1)
    found = schedule_candidates(operation, config, 1, 8.0)
    largest = max(found, key=lambda schedule: schedule.rows * schedule.columns)
    assert Trials(operation, config, addresses).cost(largest, 8.0)[0] > 0
    small = dataclasses.replace(config, act_depth=16)
    with pytest.raises(NoRoomError):
        Trials(operation, small, addresses).cost(largest, 8.0)
    with pytest.raises(NoRoomError):
        order_layer(operation, largest, small, addresses, 8.0)
