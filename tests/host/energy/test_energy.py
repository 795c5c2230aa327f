"""Energies: the table's figures, the sums over parts and layers, and what people are shown."""

import json
import sys

import pytest

from systolith_host.cli import app as cli
from systolith_host.cost.estimate import estimate_network
from systolith_host.energy.energy import Energy, Range, energy_of
from systolith_host.energy.table import load_table
from systolith_host.errors import SystolithError
from systolith_hw.spec.presets import PRESETS
from systolith_sim.replay.accesses import Accesses, memories_of

TINY = PRESETS["tiny"]
TABLE = load_table("45nm")


def nothing(config, **accesses):
    names = memories_of(config)
    counts = {"products": 0, "lane_products": 0, "reads": {}, "writes": {}, **accesses}
    for side in ("reads", "writes"):
        counts[side] = dict.fromkeys(names, 0) | counts[side]
    return Accesses(**counts)


def test_the_tables_own_points_come_back():
    assert TABLE.product(8, 8) == pytest.approx(0.2)
    assert TABLE.product(32, 32) == pytest.approx(3.1)
    assert 0.2 < TABLE.product(15, 14) < 3.1
    assert TABLE.sum(32) == pytest.approx(0.1)
    for size, access in ((8192, 10), (32768, 20), (1 << 20, 100)):
        assert 64 * TABLE.memory.of(size) == pytest.approx(access)
    # From 8 to 32 KiB it doubles, so it grows with the root of the size there and below.
    assert 64 * TABLE.memory.of(2048) == pytest.approx(5)


def test_a_layers_energy_is_counts_times_figures():
    dram = energy_of(nothing(TINY), 8, TINY, TABLE)
    assert dram.total == Range(1950.0, 1300.0, 2600.0)
    assert dram.parts["array"] == Range(0.0, 0.0, 0.0)
    array = energy_of(nothing(TINY, products=10), 0, TINY, TABLE).total
    assert array.pj == pytest.approx(10 * (0.2 + TABLE.sum(TINY.acc_width)))
    read = energy_of(nothing(TINY, reads={"weights": 5}), 0, TINY, TABLE).total
    assert read.pj == read.low == pytest.approx(40 * TABLE.memory.of(TINY.weight_depth))
    assert read.high == pytest.approx(40 * TABLE.memory.of(TINY.weight_depth * TINY.cols))
    both = Energy.of([dram, dram])
    assert both.total.pj == 2 * dram.total.pj


def test_an_estimate_gives_each_layer_its_energy(report_validator):
    report = estimate_network("mini", TINY, energy=TABLE)
    assert report.energy is not None
    assert list(report.energy.layers) == [row.name for row in report.layers]
    made = report.to_dict()
    report_validator.validate(made)
    spent = made["energy"]
    assert spent["source"].startswith("M. Horowitz")
    total = sum(layer["total"]["pj"] for layer in spent["layers"].values())
    assert total == pytest.approx(spent["total"]["pj"], abs=1)
    assert spent["total"]["low"] < spent["total"]["pj"] < spent["total"]["high"]
    for row, layer in zip(report.layers, spent["layers"].values(), strict=True):
        crossed = (row.bytes_read or 0) + (row.bytes_written or 0)
        assert layer["parts"]["DRAM"]["low"] == pytest.approx(crossed * 1300 / 8, abs=1)
    assert "energy" not in estimate_network("mini", TINY).to_dict()


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["systolith", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_the_command_shows_parts_totals_and_the_source(monkeypatch, capsys):
    call(monkeypatch, "estimate", "mini", "--config", "tiny", "--energy", "45nm")
    out = capsys.readouterr().out
    for text in ("energy, uJ", "accumulators", "DRAM", "pJ/MAC", "Horowitz", "images per joule"):
        assert text in out


GOOD = """
name = "mine"
technology = "28 nm"
source = "a data sheet"
multiply = [{ bits = 8, pj = 0.1 }]
add = [{ bits = 32, pj = 0.05 }]
memory = [{ bytes = 4096, bits = 32, pj = 2 }]
dram = { bits = 8, pj_low = 40, pj_high = 40 }
"""


def test_a_table_of_ones_own(tmp_path, monkeypatch, capsys):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    table = load_table(str(path))
    assert table.product(8, 8) == table.product(15, 14) == 0.1
    assert table.memory.of(1 << 20) == 2 / 32
    words = ("estimate", "mini", "--config", "tiny", "--energy", str(path), "--json", "-")
    call(monkeypatch, *words)
    assert json.loads(capsys.readouterr().out)["energy"]["table"] == "mine"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "mine"', "name = 3", "name must be a line of text"),
        ('"28 nm"', '"28\\n nm"', "technology must be a line of text"),
        ("pj = 0.1", "pj = -1", "multiply: pj must be a positive number, not -1"),
        ("pj = 0.05", "pj = nan", "add: pj must be a positive number, not nan"),
        ("pj = 0.05", "pj = true", "add: pj must be a positive number, not True"),
        ("bits = 32, pj = 2", "pj = 2", "memory must have bytes, bits, pj and nothing else"),
        ("pj_low = 40", "pj_low = 41", "dram: pj_low must not be more than pj_high"),
        ("dram =", "dramm =", "no field 'dramm'"),
        ("{ bytes = 4096, bits = 32, pj = 2 }", "", "memory must be an array of tables"),
        (
            "{ bits = 8, pj = 0.1 }",
            "{ bits = 8, pj = 0.1 }, { bits = 8, pj = 0.2 }",
            "multiply: two entries have the same bits",
        ),
        ("name", "name name", "not TOML"),
    ],
)
def test_a_wrong_table_is_named_with_its_field(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(SystolithError) as error:
        load_table(str(path))
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(SystolithError, match="must be one of 45nm or a TOML file, not '28nm'"):
        load_table("28nm")
    with pytest.raises(SystolithError, match="cannot be read"):
        load_table(str(tmp_path / "none.toml"))
