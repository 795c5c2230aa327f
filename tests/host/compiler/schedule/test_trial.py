"""Trials: their counts are those of the instructions, their cycles those of the order."""

import dataclasses
import random

import pytest

import systolith_host.compiler.compile as compiler
from systolith_host.compiler import compile_network
from systolith_host.compiler.emit import emit_layer
from systolith_host.compiler.lower.lower import lower
from systolith_host.compiler.schedule.order import NoRoomError
from systolith_host.compiler.schedule.tables import BYTES, CYCLES, LOADS, RUNS, SIZE
from systolith_host.compiler.schedule.tile import schedule_candidates
from systolith_host.compiler.schedule.trial import Trials
from systolith_host.compiler.schedule.work import TooManyStepsError, make_work
from systolith_host.compiler.shortage import ShortageError
from systolith_host.cost.evaluate import places_of
from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.lab.fuzz.networks import random_config, random_qgraph
from systolith_host.network.shapes import timing_network
from systolith_hw.spec.isa import Buffer, Opcode
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.timing import conv_cycles


class Checked(Trials):
    """Compares every trial with the instructions of the same schedule."""

    tried = 0

    def cost(self, schedule, memory):
        cycles, count = super().cost(schedule, memory)
        config = self.config
        tables = make_work(self.operation, schedule, config, self.addresses).tables
        instructions, expected = emit_layer(
            self.operation, schedule, config, self.addresses, memory
        )
        assert (cycles, count) == (expected, len(instructions))
        loads, convs, stores = (
            [one for one in instructions if one.opcode == opcode] for opcode in Opcode
        )
        for buffer, lanes in ((Buffer.ACT, config.block), (Buffer.WEIGHT, config.cols)):
            found = [one for one in loads if one["buffer"] == buffer]
            items = tables.items_of(buffer)
            assert len(found) == items[:, LOADS].sum()
            assert sum(map(words_of, found)) * lanes == items[:, SIZE].sum()
            runs = [one["runs"] * one["planes"] for one in found]
            assert sum(runs) == items[:, RUNS].sum()
        passes = [one["s_count"] * one["r_count"] * one["c_count"] for one in convs]
        pixels = [one["x_count"] * one["y_count"] * one["n_count"] for one in convs]
        assert tables.steps[:, CYCLES].tolist() == [
            conv_cycles(each, many, config.least_pass)
            for many, each in zip(passes, pixels, strict=True)
        ]
        assert tables.stores[:, BYTES].tolist() == [words_of(one) * config.block for one in stores]
        Checked.tried += 1
        return cycles, count


def words_of(instruction):
    """Return the words of an instruction's region."""
    return instruction["run_words"] * instruction["runs"] * instruction["planes"]


def test_a_trial_counts_what_the_instructions_do(monkeypatch):
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
                memory=Memory(bytes_per_cycle=rng.choice([1, 2.5]), turnaround=rng.choice([0, 9])),
            )
        except ShortageError:
            continue  # the buffers are too small for it
    assert Checked.tried > 200


def test_too_many_convs_are_refused_before_the_work(monkeypatch):
    monkeypatch.setattr("systolith_host.compiler.schedule.work.MOST_STEPS", 3)
    rng = random.Random(1)
    with pytest.raises(SystolithError, match="CONVs on this accelerator") as caught:
        compile_network(random_qgraph(rng), random_config(rng))
    assert not isinstance(caught.value, TooManyStepsError)


def test_what_has_no_room_is_no_candidate():
    qgraph, config = timing_network(build_network("mini")), PRESETS["tiny"]
    operation = lower(qgraph, config)[0]
    addresses = places_of(qgraph, operation, config, 1)
    found = schedule_candidates(operation, config, 1, Memory(bytes_per_cycle=8))
    largest = max(found, key=lambda schedule: schedule.rows * schedule.columns)
    assert Trials(operation, config, addresses).cost(largest, Memory(bytes_per_cycle=8))[0] > 0
    small = dataclasses.replace(config, act_depth=16)
    with pytest.raises(NoRoomError):
        Trials(operation, small, addresses).cost(largest, Memory(bytes_per_cycle=8))
    with pytest.raises(NoRoomError):
        emit_layer(operation, largest, small, addresses, Memory(bytes_per_cycle=8))
