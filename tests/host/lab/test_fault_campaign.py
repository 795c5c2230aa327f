"""Campaigns of faults on the whole accelerator, and broken accelerators that they must notice.

SYSTOLITH_FAULTS_MORE multiplies the cases, SYSTOLITH_SEED is their seed, and with
SYSTOLITH_MUTANTS all broken accelerators are tried. Without the latter each
state of gateware and models has other cases, the same ones wherever it is tested.
"""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from systolith_host.lab.fault_campaign import (
    CAMPAIGN_CONFIGS,
    KINDS,
    run_campaign,
    run_on,
)
from systolith_host.lab.faulty_programs import GUARD, WINDOW
from systolith_hw import accelerator
from systolith_hw.bus import registers
from systolith_hw.compute import core, weights
from systolith_hw.control import controller, fetch
from systolith_hw.generate import Flavour, component_verilog
from systolith_hw.load import engine as load_engine
from systolith_hw.store import engine as store_engine
from systolith_sim.faults.bench import FaultBench
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.mutants import mutant

pytestmark = pytest.mark.rtl

MORE = os.environ.get("SYSTOLITH_MUTANTS")
CASES = 250 * int(os.environ.get("SYSTOLITH_FAULTS_MORE", "1"))


def fresh():
    """Return a seed from the hashes of gateware and models in the last commit; 0 without git."""
    command = ["git", "rev-parse", "HEAD:hw", "HEAD:sim"]
    found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    if found.returncode:
        return 0
    first, second = (int(line[:7], 16) for line in found.stdout.split())
    return first ^ second


SEED = int(os.environ.get("SYSTOLITH_SEED") or fresh())


@pytest.mark.parametrize("name", CAMPAIGN_CONFIGS)
def test_nothing_comes_of_a_fault_that_must_not(name, tmp_path):
    print(f"SYSTOLITH_SEED={SEED}")
    results = []
    run_campaign(CAMPAIGN_CONFIGS[name], range(CASES), SEED, tmp_path, results.append)
    assert [result for result in results if result.problem] == []
    assert {result.kind for result in results} >= set(KINDS) - {"50 programs back to back"}
    struck = [result for result in results if result.moment]
    assert len(struck) > 0.8 * len(results)
    assert Counter(result.code for result in struck)["DONE"] < 0.7 * len(struck)


def test_programs_follow_each_other_and_the_interrupt_may_be_masked(tmp_path):
    results = []
    kinds = ["50 programs back to back"]
    run_campaign(CAMPAIGN_CONFIGS["tiny"], range(2), SEED, tmp_path, results.append, kinds=kinds)
    assert [result.problem for result in results] == ["", ""]


MUTANTS = {
    "the weight loader's `full` is not reset": (
        "engine reset",
        (core, "WeightLoader", weights),
        ("        full = Signal()\n", "        full = Signal(reset_less=True)\n"),
    ),
    "the count of a running program is the host's": (
        "register written while running",
        (accelerator, "Controller", controller),
        (
            "with m.If(self.begin):\n            m.d.sync += count",
            "with m.If(1):\n            m.d.sync += count",
        ),
    ),
    "fetch's `beat` is not reset": (
        "engine reset",
        (accelerator, "Fetch", fetch),
        (
            "beat = Signal(range(max(2, beats)))",
            "beat = Signal(range(max(2, beats)), reset_less=True)",
        ),
    ),
    "the engines are reset for too short a time": (
        "engine reset",
        (accelerator, "Controller", controller),
        ("2 * (self.config.rows + self.config.cols) + 128 +", "1 +"),
    ),
    "a write is answered before it is there": (
        "stalls, latency, order",
        (accelerator, "RegisterFile", registers),
        (
            "[addr.eq(bus.awaddr), have_addr.eq(1)]",
            "[addr.eq(bus.awaddr), have_addr.eq(1), bus.bvalid.eq(1)]",
        ),
    ),
    "a STORE's words are not counted": (
        "count off by one",
        (accelerator, "StoreEngine", store_engine),
        ("moved & (drain.word.p.last != (last & runs.o.p.last))", "0"),
    ),
    "a LOAD's words are not counted": (
        "count off by one",
        (accelerator, "LoadEngine", load_engine),
        ("(wants & spent) | (ended & ~spent)", "0"),
    ),
}


# Each is compiled, which takes most of a minute.
@pytest.mark.parametrize("name", MUTANTS if MORE else list(MUTANTS)[:2])
def test_a_broken_accelerator_is_noticed(name, tmp_path, monkeypatch):
    kind, (user, component, module), change = MUTANTS[name]
    monkeypatch.setattr(user, component, getattr(mutant(module, change), component))
    config = small_config(4, 2, act_depth=512, param_depth=32)
    verilog = component_verilog(
        accelerator.Accelerator(config), "accelerator", Flavour.SIMULATION, flatten=True
    )
    monkeypatch.undo()
    results = []
    with FaultBench.of(config, verilog, tmp_path / "image", WINDOW + GUARD) as bench:
        run_on(bench, range(300), 1, results.append, kinds=[kind])
    found = Counter(result.problem for result in results if result.problem)
    print(f"{found} of {len(results)}")
    assert found
