"""Simulations that fail: each ends in one line that says why, and none hangs."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.lab.fuzz.networks import random_qgraph, sought
from systolith_host.program.program import Program
from systolith_host.runtime.rtl import simulate as module
from systolith_host.runtime.rtl.simulate import Progress, run_layers, simulate
from systolith_hw.spec.presets import PRESETS
from systolith_sim.memory.timing import MemoryTiming
from systolith_sim.rtl.build import Build
from systolith_sim.rtl.simulator import accelerator_build

pytestmark = pytest.mark.rtl

CONFIG = PRESETS["tiny"]


@pytest.fixture(scope="module")
def program() -> Program:
    rng = random.Random(4)

    def draw():
        compiled = compile_network(random_qgraph(rng), CONFIG)
        short = sum(layer.predicted_cycles for layer in compiled.layers) < 20_000
        return compiled if short else None

    return sought(draw)


@pytest.fixture
def image(program: Program, tmp_path: Path) -> Path:
    path = tmp_path / "image"
    program.write_image(path)
    return path


def test_progress_is_told(program: Program, image: Path) -> None:
    seen: list[Progress] = []
    counters = simulate(program, None, image, progress=seen.append)
    assert len(counters) == len(program.layers)
    runs = [progress for progress in seen if progress.stage != "build"]
    for layer, counted in zip(program.layers, counters, strict=True):
        own = [progress for progress in runs if progress.layer == layer.name]
        assert own[0].stage == "start"
        assert own[-1] == Progress("end", "", layer.name, counted.cycles, layer.predicted_cycles)


def test_layer_takes_the_same_cycles_alone(program: Program, image: Path) -> None:
    together = simulate(program, None, image)
    assert simulate(program, [program.layers[-1].name], image) == together[-1:]


def test_bus_error_is_reported(program: Program, image: Path) -> None:
    place = program.places[program.layers[0].output]
    timing = MemoryTiming(errors=(place.address, place.address + place.size))
    with pytest.raises(SystolithError, match=r"^\S+: STORE: the memory answered with a bus error"):
        simulate(program, None, image, memory=timing)


def test_dead_memory_is_reported_by_the_watchdog(program: Program, image: Path) -> None:
    message = r"^\S+: no progress for 3000 cycles: 0 instructions fetched, LOAD is idle"
    with pytest.raises(SystolithError, match=message):
        simulate(program, None, image, memory=MemoryTiming(dead=True), watchdog=3000)


def test_missing_interrupt_is_a_time_out(program: Program, image: Path) -> None:
    message = r"^\S+: no interrupt within 4000 cycles: 0 of \d+ instructions fetched"
    with pytest.raises(SystolithError, match=message):
        simulate(
            program, None, image, memory=MemoryTiming(dead=True), watchdog=0, limit_cycles=4000
        )


def test_other_configuration_is_refused(program: Program, image: Path) -> None:
    build = accelerator_build(CONFIG)
    other = replace(CONFIG, queue_depth=8)
    with pytest.raises(SystolithError, match=r"^the accelerator was built for another config"):
        run_layers(build, other, program.layers, image)


def test_crash_of_the_simulator_is_reported(program: Program, image: Path) -> None:
    build = Build("verilator", "tb_top", ("/bin/false",))
    with pytest.raises(
        SystolithError, match=r"^\S+: the simulator ended with status 1: it printed"
    ):
        run_layers(build, CONFIG, program.layers, image)


def test_silent_simulator_is_ended(program: Program, image: Path, tmp_path: Path) -> None:
    script = tmp_path / "silent"
    script.write_text("#!/bin/sh\nexec sleep 100\n")
    script.chmod(0o755)
    build = Build("verilator", "tb_top", (str(script),))
    with pytest.raises(SystolithError, match=r"^the simulator was silent for 1 s and was ended"):
        run_layers(build, CONFIG, program.layers, image, silence_seconds=1)


def test_simulator_that_cannot_start_is_reported(program: Program, image: Path) -> None:
    build = Build("verilator", "tb_top", ("/nowhere/tb_top",))
    with pytest.raises(SystolithError, match=r"^/nowhere/tb_top cannot be started: "):
        run_layers(build, CONFIG, program.layers, image)


def test_missing_image_and_unknown_names_are_refused(program: Program, tmp_path: Path) -> None:
    with pytest.raises(SystolithError, match=r"/none: the memory image does not exist$"):
        simulate(program, None, tmp_path / "none")
    with pytest.raises(SystolithError, match=r"has no layer convX; it has "):
        simulate(program, ["convX"], tmp_path / "none")
    with pytest.raises(SystolithError, match=r"^simulator must be verilator or icarus, not 'vcs'$"):
        simulate(program, None, tmp_path / "none", simulator="vcs")


def test_waves_are_written(program: Program, image: Path, tmp_path: Path) -> None:
    for simulator in ("icarus", "verilator"):
        waves = tmp_path / f"{simulator}.vcd"
        simulate(program, [program.layers[0].name], image, simulator=simulator, waves=waves)
        text = waves.read_text()
        assert "$enddefinitions" in text
        assert "s_axil_awaddr" in text


def test_limit_grows_with_a_slow_memory(program: Program) -> None:
    layer = program.layers[0]
    fast = module._limit(layer, CONFIG, MemoryTiming())
    slow = module._limit(layer, CONFIG, MemoryTiming(bytes_per_cycle=1, stalls=0.5))
    assert slow > fast > layer.predicted_cycles
