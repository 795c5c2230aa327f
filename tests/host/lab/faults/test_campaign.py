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

from systolith_host.lab.faults.campaign import (
    CAMPAIGN_CONFIGS,
    KINDS,
    run_campaign,
    run_on,
)
from systolith_host.lab.faults.programs import GUARD, WINDOW
from systolith_hw.bus import registers
from systolith_hw.control import controller
from systolith_sim.faults.bench import FaultBench
from systolith_sim.testing.broken import BROKEN, Broken, broken_verilog
from systolith_sim.testing.configs import small_config

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


@pytest.mark.requirement("ERR-2", "ERR-3", "AXI-2", "AXI-3", "AXI-4", "AXI-5", "RST-2", "RST-3")
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


@pytest.mark.requirement("REG-4", "ERR-4")
def test_programs_follow_each_other_and_the_interrupt_may_be_masked(tmp_path):
    results = []
    kinds = ["50 programs back to back"]
    run_campaign(CAMPAIGN_CONFIGS["tiny"], range(2), SEED, tmp_path, results.append, kinds=kinds)
    assert [result.problem for result in results] == ["", ""]


COUNT = Broken(
    "Controller",
    controller,
    (
        (
            "with m.If(self.begin):\n            m.d.sync += count",
            "with m.If(1):\n            m.d.sync += count",
        ),
    ),
)
EARLY_B = Broken(
    "RegisterFile",
    registers,
    (
        (
            "[addr.eq(bus.awaddr), have_addr.eq(1)]",
            "[addr.eq(bus.awaddr), have_addr.eq(1), bus.bvalid.eq(1)]",
        ),
    ),
)
NOTICED_BY = {
    "the weight loader's `full` is not reset": "engine reset",
    "the count of a running program is the host's": "register written while running",
    "fetch's `beat` is not reset": "engine reset",
    "the engines are reset for too short a time": "engine reset",
    "a write is answered before it is there": "stalls, latency, order",
    "a STORE's words are not counted": "count off by one",
    "a LOAD's words are not counted": "count off by one",
}
"""The kind of fault that each broken accelerator does not survive."""

MUTANTS = {
    **BROKEN,
    "the count of a running program is the host's": COUNT,
    "a write is answered before it is there": EARLY_B,
}


# Each is compiled, which takes most of a minute.
@pytest.mark.parametrize("name", NOTICED_BY if MORE else list(NOTICED_BY)[:2])
def test_a_broken_accelerator_is_noticed(name, tmp_path):
    config = small_config(4, 2, act_depth=512, param_depth=32)
    verilog = broken_verilog(config, MUTANTS[name])
    results = []
    with FaultBench.of(config, verilog, tmp_path / "image", WINDOW + GUARD) as bench:
        run_on(bench, range(300), 1, results.append, kinds=[NOTICED_BY[name]])
    found = Counter(result.problem for result in results if result.problem)
    print(f"{found} of {len(results)}")
    assert found
