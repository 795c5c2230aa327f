"""Broken accelerators: a run names the first wrong value, tile and instruction, and keeps a case.

Each breaks data alone, so that nothing but the comparison with the golden model can notice it.
"""

import json
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from typer.testing import CliRunner

from systolith_host.cli.app import app
from systolith_host.flow.case import Case, window_of
from systolith_host.flow.triage import find_first_wrong
from systolith_host.program.instructions import layer_instructions
from systolith_hw.compute import accumulator, core
from systolith_hw.generate import Flavour
from systolith_hw.load import engine as load_engine
from systolith_hw.load import tiles
from systolith_hw.spec.isa import Buffer, Opcode
from systolith_hw.store import lanes, requantize
from systolith_sim.rtl import simulator
from systolith_sim.testing.broken import Broken, broken_verilog

pytestmark = pytest.mark.rtl

MUTANTS = {
    "the second bank drains the first one's sums": Broken(
        "AccumulatorColumn",
        accumulator,
        (("drained.eq(Mux(drain_bank, olds[1], olds[0]))", "drained.eq(olds[0])"),),
        core,
    ),
    "padding has the wrong value": Broken(
        "TileWriter",
        tiles,
        (("padding.eq(job.pad_value.", "padding.eq(~job.pad_value."),),
        load_engine,
    ),
    "results are not rounded": Broken(
        "Requantizer",
        requantize,
        (("((saturated + 1) >> 1)", "(saturated >> 1)"),),
        lanes,
    ),
}
LAYER = "conv3_1"
CLOCK_PS = 10_000


def break_gateware(monkeypatch, name):
    def verilog(config, flavour=Flavour.SIMULATION, progress=None):
        return broken_verilog(config, MUTANTS[name], flavour=flavour)

    monkeypatch.setattr(simulator, "simulation_verilog", verilog)


def run(monkeypatch, tmp_path, name):
    """Run a layer on a broken accelerator; return what is printed, the report and the case."""
    break_gateware(monkeypatch, name)
    monkeypatch.chdir(tmp_path)
    command = ["run", "mini", "--config", "tiny", "--layers", LAYER, "--simulator", "icarus"]
    done = CliRunner().invoke(app, [*command, "--json", "run.json"], catch_exceptions=False)

    assert done.exit_code == 1, done.output
    case = Case.load(tmp_path / f"{LAYER}.case")
    return done, json.loads((tmp_path / "run.json").read_text()), case


def check_lines(done, triage):
    """Check that the lines for people have the numbers of the report."""
    tile = triage["tile"]
    assert (
        f"first wrong layer: {LAYER}, {triage['differing']:,} of 256 values differ" in done.stdout
    )
    place = "image {image}, channel {channel}, row {row}, column {column}".format(**triage)
    assert f"value: {place} (from 0) is {triage['found']}, not {triage['wanted']}" in done.stdout
    assert f"instruction {tile['instruction']}, STORE number {tile['store']}" in done.stdout
    assert f"{LAYER}.case" in done.stderr


@pytest.mark.parametrize("name", MUTANTS)
def test_a_run_names_what_is_wrong_first(name, monkeypatch, tmp_path):
    done, report, case = run(monkeypatch, tmp_path, name)
    triage = report["triage"]
    check_lines(done, triage)
    instructions = layer_instructions(case.program, case.layer)
    stores = [n for n, one in enumerate(instructions) if one.opcode is Opcode.STORE]
    tile = triage["tile"]
    assert stores[tile["store"]] == tile["instruction"]
    # The case has the run's own outputs, and says the same of them.
    again = find_first_wrong(case.program, case.layer, case.found, case.wanted)
    assert again is not None
    assert json.loads(json.dumps(again.to_dict())) == triage
    if "bank" in name:  # the first tile of that bank, and nothing of the other
        second = [n for n in stores if instructions[n]["bank"] == 1]
        assert tile["instruction"] == second[0]
        assert all(instructions[n]["bank"] == 1 for n in tile["convs"])
        assert triage["wrong_tiles"] <= len(second)
    elif "padding" in name:  # the first tile that has padding
        padded = [
            n
            for n, one in enumerate(instructions)
            if one.opcode is Opcode.LOAD and one["buffer"] == Buffer.ACT and one["pad_top"]
        ]
        assert padded
        assert triage["row"] == 0
    else:
        assert triage["found"] == triage["wanted"] - 1


def test_a_case_runs_again_and_tells_device_from_program(monkeypatch, tmp_path):
    name = next(iter(MUTANTS))
    _, report, case = run(monkeypatch, tmp_path, name)
    invoke = partial(CliRunner().invoke, app)
    good = invoke(["triage", f"{LAYER}.case", "--device", "emulator"])
    assert good.exit_code == 0, good.output
    assert "emulator: the layer equals the golden model" in good.stdout
    # With its Verilator, the broken accelerator is wrong in the same way, and shows it.
    bad = invoke(["triage", f"{LAYER}.case", "--waves", "--retired", "--json", "again.json"])
    assert bad.exit_code == 1, bad.output
    assert "the program is right, the device wrong" in bad.stdout
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["triage"] == report["triage"]
    assert again["emulated"] is None
    # The STORE that drains the other bank is the first instruction that writes something else.
    lines = (tmp_path / f"{LAYER}.case" / "retired.jsonl").read_text().splitlines()
    retired = [json.loads(line) for line in lines]
    number = report["triage"]["tile"]["instruction"]
    assert f"first wrong instruction: {LAYER}, instruction {number} (STORE): " in bad.stdout
    assert [one["number"] for one in retired] == list(range(number + 1))
    assert [one["number"] for one in retired if one["emulator"] != one["rtl"]] == [number]
    # Surfer's reader of waveforms finds the STORE at the end of the window that the tile takes.
    pywellen: Any = import_module("pywellen")  # it has no types
    waves = pywellen.Waveform(str(tmp_path / f"{LAYER}.case" / "waves.fst"))
    found = {signal.full_name: signal for signal in waves.all_vars()}
    triage = find_first_wrong(case.program, case.layer, case.found, case.wanted)
    assert triage is not None
    window = window_of(case, triage.tile, case.memory)
    assert window is not None
    edges = [time for time, value in found["tb_top.clk"].tv if value == 1]
    assert len(edges) == window[1] - window[0]
    drained = [time for time, value in found["tb_top.dut.store.status__done"].tv if value == 1]
    assert triage.tile is not None
    assert len(drained) == 1 + triage.tile.store  # the window begins before the first STORE ends
    assert edges[-1] - drained[-1] < 200 * CLOCK_PS
    view = (tmp_path / f"{LAYER}.case" / "waves.gtkw").read_text().splitlines()
    shown = [line.partition("[")[0] for line in view if line.startswith("tb_top.")]
    assert len(shown) > 40
    assert set(shown) <= found.keys()
    assert {"tb_top.dut.core.status__state", "tb_top.m_axi_rdata"} <= set(shown)
