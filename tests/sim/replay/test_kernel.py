"""The loop over the cycles: counts, samples, limits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from systolith_hw.spec.isa import Buffer
from systolith_sim.replay.kernel import COUNTS

PLAIN = """
import json
import conftest
from systolith_hw.spec.isa import Buffer

loads = [conftest.load(Buffer.WEIGHT, 0, 16), conftest.load(Buffer.ACT, 0, 12)]
conv = conftest.conv(12, 2, after_loaded_act=2, after_loaded_weight=1)
done = conftest.replayed(*loads, conv, conftest.store(4096, 12, after_computed=1))
print(json.dumps([done.counts, done.times.tolist()]))
"""


def test_latency_counts_once_for_the_instruction_and_once_for_its_data(run, made):
    program = [made.load(Buffer.PARAM, 0, 4)]
    short, long = (run(*program, latency=cycles).counts for cycles in (20, 33))
    assert long["cycles"] - short["cycles"] == 2 * 13
    assert (short["read_beats"], short["write_beats"]) == (8 + 4, 0)


@pytest.mark.parametrize("interval", [7, 50])
def test_samples_are_the_counts_of_their_cycle(run, made, interval):
    done = run(made.load(Buffer.PARAM, 0, 4), interval=interval)
    cycles = done.counts["cycles"]
    assert done.samples[:, 0].tolist() == list(range(interval, cycles + 1, interval))
    for column in range(1, len(COUNTS)):
        assert (done.samples[1:, column] >= done.samples[:-1, column]).all()
        assert done.samples[-1, column] <= done.counts[COUNTS[column]]


def test_what_waits_for_what_never_comes_ends_at_the_limit(run, made):
    done = run(made.load(Buffer.PARAM, 0, 4, after_computed=1), limit=500)
    assert done.counts["cycles"] == 500
    assert done.times.tolist() == [[-1, -1, -1, -1]]


def test_the_same_program_takes_the_same_cycles_again(run, made):
    program = [made.load(Buffer.WEIGHT, 4, 40), made.load(Buffer.ACT, 1004, 70)]
    first, again = run(*program), run(*program)
    assert (first.times[:, 2] > 0).all()
    assert first.counts == again.counts
    assert first.times.tolist() == again.times.tolist()


def test_plain_python_counts_the_same_cycles():
    def run(**environment):
        done = subprocess.run(
            [sys.executable, "-c", PLAIN],
            cwd=Path(__file__).parent,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        return json.loads(done.stdout)

    compiled = run(NUMBA_DISABLE_JIT="0")
    assert min(compiled[1][-1]) > 0
    assert run(NUMBA_DISABLE_JIT="1") == compiled
