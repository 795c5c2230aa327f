"""A simulator's process: its environment, its log, and that it cannot be started."""

import os
import sys

import pytest

from systolith_sim.rtl.build import Build, SimulatorError
from systolith_sim.rtl.process import start_simulator

SHOW = "import os, sys; print(sys.argv[1:], os.getcwd()); print(dict(os.environ))"


def started(folder, simulator="icarus", **options):
    build = Build(simulator, "tb_top", (sys.executable, "-c", SHOW))
    process = start_simulator(build, "some.module", ["+a=1", "+b"], folder, **options)
    assert process.wait(60) == 0
    shown, environment = (folder / "simulator.log").read_text().splitlines()
    return shown, eval(environment)


def test_it_runs_in_its_folder_with_module_seed_and_arguments(tmp_path):
    shown, environment = started(tmp_path, seed=5)
    assert shown == f"['+a=1', '+b'] {tmp_path}"
    assert environment["COCOTB_TEST_MODULES"] == "some.module"
    assert environment["COCOTB_TOPLEVEL"] == "tb_top"
    assert environment["COCOTB_RANDOM_SEED"] == "5"
    assert environment["COCOTB_RESULTS_FILE"] == str(tmp_path / "results.xml")
    assert set(environment["PYTHONPATH"].split(os.pathsep)) >= {path for path in sys.path if path}


@pytest.mark.parametrize(("simulator", "trust"), [("verilator", "1"), ("icarus", "0")])
def test_only_verilator_writes_at_once(tmp_path, simulator, trust):
    _, environment = started(tmp_path, simulator)
    assert environment["COCOTB_TRUST_INERTIAL_WRITES"] == trust


def test_a_filter_of_an_outer_run_is_not_inherited(tmp_path, monkeypatch):
    monkeypatch.setenv("COCOTB_TEST_FILTER", "outer")
    _, environment = started(tmp_path)
    assert "COCOTB_TEST_FILTER" not in environment
    _, environment = started(tmp_path, environment={"COCOTB_TEST_FILTER": "own", "MORE": "1"})
    assert (environment["COCOTB_TEST_FILTER"], environment["MORE"]) == ("own", "1")


def test_a_simulator_that_is_gone_is_said_in_a_line(tmp_path):
    build = Build("icarus", "tb_top", (str(tmp_path / "gone"),))
    with pytest.raises(SimulatorError, match=r"gone cannot be started: "):
        start_simulator(build, "some.module", [], tmp_path)
