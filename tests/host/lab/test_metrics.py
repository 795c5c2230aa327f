"""The golden metrics: what networks cost on each preset, and what the gateware needs."""

import json
from pathlib import Path

import pytest

from systolith_host.boards.board import BOARDS
from systolith_host.errors import SystolithError
from systolith_host.lab import metrics
from systolith_hw.spec.presets import PRESETS

FILE = Path(__file__).parents[2] / "golden_metrics.json"
GOLDEN = metrics.read_metrics(FILE)
RENEW = "if that is meant: `systolith lab metrics`, and say why in the commit"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_network_keeps_its_cycles_and_bytes(preset):
    found = metrics.measure([preset], (), (), lambda text: None)
    assert metrics.differences(GOLDEN["networks"], found["networks"]) == [], RENEW


@pytest.mark.parametrize("preset", ["tiny", "ecp5-85f-winograd"])
def test_the_gateware_keeps_its_resources(preset):
    found = metrics.measure((), [preset], (), lambda text: None)
    assert metrics.differences(GOLDEN["resources"], found["resources"]) == [], RENEW


def test_every_preset_is_in_the_file():
    assert {name.split()[-1] for name in GOLDEN["networks"]} == set(PRESETS)
    assert set(GOLDEN["resources"]) == set(metrics.SYNTHESISED) <= set(PRESETS)


def test_every_clock_in_the_file_was_reached():
    for name, build in GOLDEN["boards"].items():
        board, config = name.split()
        assert board in BOARDS
        assert config in PRESETS
        assert build["clocks"], name
        for clock, speed in build["clocks"].items():
            assert speed["reached"] >= speed["wanted"] > 0, (name, clock)


def test_a_difference_names_the_figure_and_both_values():
    wanted = {"networks": {"tiny": {"cycles": 1234, "bytes_read": 5}}}
    found = {"networks": {"tiny": {"cycles": 1235, "bytes_read": 5, "new": 1}}, "resources": {}}
    assert metrics.differences(wanted, found) == [
        "networks, tiny, cycles: 1,235, not 1,234",
        "networks, tiny, new: 1, not None",
    ]


def test_a_file_keeps_what_is_written(tmp_path):
    path = tmp_path / "metrics.json"
    metrics.write_metrics(GOLDEN, path)
    assert path.read_text() == FILE.read_text()
    assert json.loads(path.read_text()) == GOLDEN


@pytest.mark.parametrize("text", ["", "[]", '{"board": {}}', '{"board": 3}'])
def test_what_is_no_report_of_a_build_is_refused(tmp_path, text):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(SystolithError, match="not the report of a build"):
        metrics.board_metrics(path)
