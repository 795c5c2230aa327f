"""What notebooks show: tables with escaped text, the roofline, data frames."""

import dataclasses
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

import systolith as sy
from systolith import notebook
from systolith.notebook import data_frame, roofline, table

X = np.random.default_rng(1).standard_normal((3, 32, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    return sy.load("mini", calibrate=X)


@pytest.fixture(scope="module")
def run(net):
    return net.compile("tiny").run(X)


class Cells(HTMLParser):
    """Collects the text of cells."""

    def __init__(self):
        super().__init__()
        self.tags, self.found = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.found.append("")

    def handle_data(self, data):
        if self.found:
            self.found[-1] += data


def cells(text):
    parser = Cells()
    parser.feed(text)
    return parser.found


def test_tables_group_numbers_and_escape_text():
    rows = [{"layer": "<b>&", "macs": 1234567, "share": 0.51234}, {"layer": "x", "macs": None}]
    assert cells(table(rows)) == [
        "layer", "macs", "share", "<b>&", "1,234,567", "0.5123", "x", "", ""
    ]  # fmt: skip
    assert "<b>" not in table(rows)
    assert table([]).count("<td") == 0


def test_a_report_is_a_table_of_its_layers_and_a_roofline(run):
    shown = run._repr_html_()
    found = cells(shown)
    assert {"conv1_1 + pool1", "fc6", f"{run.report.layers[0].cycles:,}"} <= set(found)
    assert f"{run.report.cycles:,} cycles" in shown
    assert "<svg" in shown


def test_the_roofline_has_a_point_for_each_layer_that_multiplies(run):
    svg = ElementTree.fromstring(roofline(run.report))
    assert svg.tag.endswith("svg")
    text = " ".join(ElementTree.tostring(svg, "unicode").split())
    count = sum(1 for row in run.report.layers if row.macs)
    assert count == 7
    assert text.count("<use") + text.count(":use ") >= count


def test_winograd_has_a_roof_of_its_own(run):
    assert "Winograd" not in roofline(run.report)
    config = {**run.report.config, "winograd": 14}
    svg = roofline(dataclasses.replace(run.report, config=config))
    assert f"<!-- Winograd's roof: {4 * run.report.multipliers:,} MACs -->" in svg


def test_without_matplotlib_or_counts_there_is_no_picture(run, monkeypatch):
    rows = tuple(dataclasses.replace(row, cycles=None) for row in run.report.layers)
    assert roofline(dataclasses.replace(run.report, layers=rows)) == ""
    monkeypatch.setattr(notebook, "is_installed", lambda name: name != "matplotlib")
    assert roofline(run.report) == ""
    assert "<svg" not in run._repr_html_()


def test_all_objects_show_themselves(net, run):
    program = net.compile("tiny")
    sweep = sy.explore(net, base="tiny", rows=[4])
    for one in (net, program, run, run.report, sweep, sy.Accelerator.preset("tiny")):
        assert "<table" in one._repr_html_()
        assert len(repr(one)) < 100


def test_data_frames_have_a_column_for_each_field(run, monkeypatch):
    taken = []
    monkeypatch.setattr(notebook, "is_installed", lambda name: True)
    module = SimpleNamespace(DataFrame=lambda rows: taken.append(rows) or "frame")
    monkeypatch.setitem(__import__("sys").modules, "pandas", module)
    assert run.report.to_pandas() == "frame"
    (rows,) = taken
    assert [row["layer"] for row in rows] == [row.title for row in run.report.layers]
    for row in rows:
        stalls = sum(count for name, count in row.items() if name.startswith("stall_"))
        assert stalls + row["busy_cycles"] == row["cycles"]


def test_without_pandas_one_line_says_so(monkeypatch):
    monkeypatch.setattr(notebook, "is_installed", lambda name: False)
    with pytest.raises(sy.SystolithError, match=r"^to_pandas needs pandas; pip install pandas$"):
        data_frame([])


def test_pandas_takes_the_rows(run):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = run.report.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.cycles.sum() == run.report.cycles
