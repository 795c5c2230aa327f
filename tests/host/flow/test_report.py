"""The report's sums, its JSON and its table."""

import dataclasses
import io
import json

import jsonschema
import pytest
from rich.console import Console

from systolith_host.cli.views.network import network_table
from systolith_host.cli.views.report import report_table
from systolith_host.errors import SystolithError
from systolith_host.flow.report import SCHEMA, LayerReport, Report
from systolith_host.frontend.vgg import build_network
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import ENGINE_STATES

COMPUTE = {"idle": 5, "busy": 80, "wait_input": 10, "wait_weights": 4, "wait_output": 1}
OTHERS = {
    engine.name: dict.fromkeys(names, 0) | {"idle": 100} for engine, names in ENGINE_STATES.items()
}
CONV = LayerReport(
    name="conv1_1",
    covers=("conv1_1", "pool1"),
    kind="conv",
    macs=1200,
    bound_cycles=75,
    compulsory_bytes=500,
    cycles=100,
    bytes_read=400,
    bytes_written=200,
    states={**OTHERS, "COMPUTE": COMPUTE},
    mismatches=0,
    values=64,
    seconds=0.5,
)
FC = dataclasses.replace(
    CONV, name="fc2", covers=("fc2",), kind="fc", macs=160, mismatches=3, seconds=0.25
)


def report(*layers, **changes):
    config = PRESETS["tiny"]
    fields = {
        "network": "net",
        "config": config.to_dict(),
        "multipliers": config.multipliers,
        "device": "rtl (verilator)",
        "measured": True,
        "memory": Memory(bytes_per_cycle=2).to_dict(4),
        "memory_name": "simulated",
        "batch": 2,
        "clock_mhz": 100.0,
        "complete": True,
        "layers": layers or (CONV, FC),
        "top": ((3, 1.5), (1, 0.5)),
        "float_top": (3, 2),
        "sources": {"weights": "random", "images": "a.jpg"},
    }
    return Report(**{**fields, **changes})


def text(content):
    console = Console(width=200, file=io.StringIO())
    with console.capture() as shown:
        console.print(content)
    return shown.get()


def test_stalls_and_busy_cycles_add_up():
    assert sum(CONV.stalls.values()) + (CONV.busy_cycles or 0) == CONV.cycles
    assert "busy" not in CONV.stalls


def test_json_has_the_agreed_keys(tmp_path):
    path = tmp_path / "report.json"
    report().save(path)
    data = json.loads(path.read_text())
    assert {"network", "config", "device", "totals", "layers"} <= data.keys()
    row = data["layers"][0]
    wanted = {"name", "kind", "macs", "cycles", "bound_cycles", "utilisation", "bytes_read"}
    wanted |= {"bytes_written", "compulsory_bytes", "stalls", "mismatches"}
    assert wanted <= row.keys()
    assert row["name"] == "conv1_1"
    assert row["states"]["COMPUTE"] == COMPUTE
    assert (data["schema"], data["measured"]) == (SCHEMA, True)
    assert data["tool"].startswith("systolith ")
    assert data["memory"]["name"] == "simulated"
    assert data["memory"]["bytes_per_cycle"] == 2
    assert row["utilisation"] == pytest.approx(1200 / 1600)
    assert row["bound_share"] == pytest.approx(0.75)
    assert row["stalls"] == {"idle": 5, "wait_input": 10, "wait_weights": 4, "wait_output": 1}
    totals = data["totals"]
    assert (totals["cycles"], totals["macs"], totals["mismatches"]) == (200, 1360, 3)
    assert (totals["layers"], totals["rows"]) == (3, 2)
    assert totals["convolutions"]["cycles"] == totals["fully_connected"]["cycles"] == 100
    assert totals["frames_per_second"] == pytest.approx(2 * 100e6 / 200)


def test_table_shows_layers_totals_and_remarks():
    shown = text(report_table(report()))
    assert "conv1_1 + pool1" in shown
    assert "3 layers, 3 mismatches in 128 values" in shown
    assert "1,000,000.00 frames/s at 100 MHz" in shown
    assert "its 160 busy cycles they add up to the total" in shown
    assert "float network's top 2: 3, 2 (first agrees)" in shown
    assert "DRAM traffic 1,200 bytes, 1.200 times the compulsory 1,000" in shown


def test_a_long_name_cuts_no_number():
    row = dataclasses.replace(CONV, name="block5_" * 9, covers=("block5_" * 9,), cycles=123_456_789)
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(report_table(report(row)))
    shown = console.export_text()
    assert "123,456,789" in shown
    assert "…" not in shown


@pytest.mark.parametrize(
    ("network", "what"),
    [
        ("vgg16", "classes (ImageNet indices)"),
        ("mini", "outputs (by index)"),  # it has ten
        ("net", "outputs (by index)"),
    ],
)
def test_only_networks_of_imagenet_have_its_indices(network, what):
    made = dataclasses.replace(report(), network=network)
    assert f"top 2 {what}: 3" in text(report_table(made))


def test_device_without_cycles_has_empty_columns():
    row = dataclasses.replace(CONV, cycles=None, states={})
    data = report(row, device="emulator").to_dict()
    assert data["layers"][0]["cycles"] is None
    assert data["layers"][0]["utilisation"] is None
    assert data["totals"]["frames_per_second"] is None
    assert "-" in text(report_table(report(row)))


def test_what_was_not_compared_is_not_called_equal():
    row = dataclasses.replace(CONV, mismatches=None)
    made = report(row)
    assert made.to_dict()["totals"]["mismatches"] is None
    assert "2 layers; not compared with the golden model" in text(report_table(made))


def test_part_of_a_network_has_no_frame_rate():
    assert report(complete=False).frames_per_second is None


def test_report_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(SystolithError, match=r"cannot be written: No such file or directory$"):
        report().save(tmp_path / "none" / "report.json")


def test_vgg16_table_recomputes_the_totals():
    shown = text(network_table(build_network("vgg16")))
    for number in ("15,237,608", "138,344,128", "15,470,264,320", "3,211,264", "102,760,448"):
        assert number in shown
    assert "24M activations" in shown
    assert "hold 89% of the weights" in shown
    assert "24M" not in text(network_table(build_network("vgg11")))


def test_the_published_form_refuses_what_is_none(report_validator):
    data = report().to_dict()
    report_validator.validate(data)
    for changes in ({"schema": 2}, {"memory": {}}, {"layers": [{}]}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            report_validator.validate(data | changes)


def test_the_published_form_has_every_field_of_a_configuration(report_validator):
    config = report_validator.schema["properties"]["config"]
    fields = [field.name for field in dataclasses.fields(AcceleratorConfig)]
    assert [*config["properties"]] == config["required"] == fields
