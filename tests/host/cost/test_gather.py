"""Costs of layers that gather their weights: by shapes, by tensors, and in the RTL."""

import sys
from dataclasses import replace

import pytest

from systolith_host.cli import app as cli
from systolith_host.cost.estimate import estimate_network
from systolith_host.cost.explain import explain_layer
from systolith_host.errors import SystolithError
from systolith_host.flow.load import shape_network
from systolith_host.flow.log import SilentLog
from systolith_host.flow.run import Request, run
from systolith_host.program.instructions import kind_of_convs
from systolith_host.runtime.choose import DeviceOptions
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

CONFIG = replace(PRESETS["tiny"], name="tiny-gather", gather=1024)
MEMORY = Memory(bytes_per_cycle=5, latency=25, turnaround=3)
COUNTED = ("name", "cycles", "bytes_read", "bytes_written", "states", "bound_cycles")


def counted(report):
    return [{name: getattr(row, name) for name in COUNTED} for row in report.layers]


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("sequential", "weight_depth", "memory", "least_waits"),
    [
        (False, CONFIG.weight_depth, MEMORY, 0),
        (True, CONFIG.weight_depth, MEMORY, 0),
        (False, 32, Memory(latency=2), 10),  # few units, and a memory faster than the array
    ],
)
def test_the_model_counts_what_the_rtl_counts_for_the_same_image(
    sequential, weight_depth, memory, least_waits
):
    found = []
    for device in ("rtl", "model"):
        request = Request(
            network="mini",
            config=replace(CONFIG, weight_depth=weight_depth),
            density=0.1,
            device=device,
            sequential=sequential,
            options=DeviceOptions(memory=memory),
        )
        done = run(request, SilentLog())
        assert done.report.groups["all"].mismatches == 0
        found.append(counted(done.report))
        kinds = [kind_of_convs(done.program, layer) for layer in done.program.layers]
        assert "gather" in kinds
        for row, kind in zip(done.report.layers, kinds, strict=True):
            assert row.cycles
            assert row.bytes_read
            assert row.bound_cycles <= row.cycles
            assert {sum(states.values()) for states in row.states.values()} == {row.cycles}
            if kind == "gather":
                assert row.skipped_bytes > 0
                assert row.bytes_read < row.compulsory_bytes * 1.5 + 2000
                assert row.states["LOAD"]["wait_compute"] > least_waits
    assert found[0] == found[1]


def test_fewer_active_inputs_cost_less_and_have_a_lower_bound():
    reports = [estimate_network("mini", CONFIG, MEMORY, density=d) for d in (0.1, {"fc4": 0.1}, 1)]
    rows = [{row.name: row for row in report.layers} for report in reports]
    for name, low in rows[0].items():
        high = rows[2][name]
        assert low.cycles
        assert high.cycles
        assert low.bound_cycles <= low.cycles
        if name == "fc4":
            assert low.cycles < 0.6 * high.cycles
            assert low.compulsory_bytes < 0.6 * high.compulsory_bytes
            assert low.skipped_bytes == high.compulsory_bytes - low.compulsory_bytes > 0
            assert high.skipped_bytes == 0
        elif low.kind == "fc":
            assert low.cycles <= high.cycles
        else:
            assert low == high
    assert rows[1]["fc4"] == rows[0]["fc4"]


def test_densities_of_other_layers_are_refused_by_name():
    with pytest.raises(SystolithError, match=r"^--density: 'conv1_1' is not a fully connected "):
        estimate_network("mini", CONFIG, density={"conv1_1": 0.5})


def test_an_explanation_counts_the_same_cycles():
    (row,) = (
        row
        for row in estimate_network("mini", CONFIG, MEMORY, density=0.2).layers
        if row.name == "fc4"
    )
    page = explain_layer(shape_network("mini"), CONFIG, "fc4", memory=MEMORY, density=0.2)
    assert page.cycles == row.cycles
    assert page.bound_cycles == row.bound_cycles
    assert page.skipped_bytes == row.skipped_bytes > 0
    assert page.chosen.order.startswith("gathered")


@pytest.mark.parametrize("command", ["estimate", "run", "compile"])
def test_commands_take_a_density_and_refuse_what_is_none(command, monkeypatch, capsys, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('base = "tiny"\ngather = 1024\n')

    def called(*more):
        arguments = [command, "mini", "--config", str(file), *more]
        monkeypatch.setattr(sys, "argv", ["systolith", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr()

    options = {"compile": ["--explain", "fc4"], "run": ["--device", "emulator"]}.get(command, [])
    status, said = called(*options, "--density", "7")
    assert status == 2
    assert "--density must be a number from 0 to 1" in " ".join(said.err.split())
    status, said = called(*options, "--density", "fc4=0.1", "--json", "-")
    assert status == 0
    assert "fc4" in said.out
