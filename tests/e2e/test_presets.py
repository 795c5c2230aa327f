"""Presets in the RTL, each as it is: the self-test that new boards go through."""

import json
import os
import random

import pytest
from typer.testing import CliRunner

from systolith_host.cli.app import app

pytestmark = pytest.mark.rtl

SHOWN = ("tiny", "default", "default-direct", "ecp5-85f")

SEED = os.environ.get("SYSTOLITH_SEED")


@pytest.mark.requirement("REG-1", "REG-2", "NUM-1", "ERR-1", "RST-1", "CNT-1", presets=SHOWN)
@pytest.mark.parametrize("preset", SHOWN)
def test_the_self_test_passes(preset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seed = int(SEED) if SEED else random.SystemRandom().getrandbits(31)
    print(f"SYSTOLITH_SEED={seed}")
    options = [
        "--layers",
        "6",
        "--memory-test",
        "4096",
        "--seed",
        str(seed),
        "--json",
        "found.json",
    ]
    done = CliRunner().invoke(app, ["selftest", "--config", preset, *options])
    assert done.exit_code == 0, done.output
    stages = json.loads((tmp_path / "found.json").read_text())["stages"]
    assert [stage["stage"] for stage in stages] == [
        "identity",
        "memory",
        "layers",
        "faults",
        "bandwidth",
    ]
    assert {stage["verdict"] for stage in stages} == {"pass"}
