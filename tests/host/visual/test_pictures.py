"""Pictures for papers: vector graphics, their size, and the numbers next to them."""

import csv
import io
import json
import re
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from systolith_host.errors import SystolithError
from systolith_host.visual.browser import find_browser
from systolith_host.visual.curves import Curve, Curves
from systolith_host.visual.draw import Size
from systolith_host.visual.figures.curves import bandwidth
from systolith_host.visual.names import figure_names
from systolith_host.visual.page import sections
from systolith_host.visual.picture import Picture, csv_text
from systolith_host.visual.pictures import check_pictures, save_pictures
from systolith_host.visual.single import validation_picture

needs_browser = pytest.mark.skipif(
    find_browser() is None, reason="no Chrome or Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def pictures(data):
    return {one.name: one for part in sections(data) for one in part.pictures}


@needs_browser
def test_every_figure_is_vector_graphics_of_the_size_asked_for(pictures, tmp_path):
    files = [(picture, tmp_path / f"{name}.svg") for name, picture in pictures.items()]
    for kind in (".pdf", ".png"):
        files.append((pictures["stalls"], tmp_path / f"stalls{kind}"))
    written = save_pictures(files, Size(140, 7))
    assert {path.suffix for path in written} == {".svg", ".pdf", ".png", ".csv"}
    for _, path in files:
        assert path.with_suffix(".csv").stat().st_size > 100
    for path in tmp_path.glob("*.svg"):
        text = path.read_text()
        assert text.startswith("<svg")
        assert "<image" not in text
        assert "base64" not in text
        assert re.match(r'<svg width="140mm" height="[0-9.]+mm"', text)
        assert "font-size: 13px" in text
        # 13 pixels of the drawing are 7 points of the paper.
        box = re.search(r'viewBox="0 0 (\d+)', text)
        assert box
        assert 13 * 140 / 25.4 * 72 / float(box[1]) == pytest.approx(7, rel=0.01)
    pdf = (tmp_path / "stalls.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert not re.search(rb"/Subtype\s*/Image", pdf)
    box = re.search(rb"/MediaBox\s*\[0 0 ([0-9.]+)", pdf)
    assert box
    assert float(box[1]) == pytest.approx(140 / 25.4 * 72, abs=1)
    png = (tmp_path / "stalls.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert png[37:41] == b"pHYs"
    assert int.from_bytes(png[16:20], "big") == pytest.approx(140 / 25.4 * 300, rel=0.01)


def test_no_figure_is_a_bitmap_and_each_has_one_legend(pictures):
    for name, picture in pictures.items():
        drawn = picture.draw(1000).to_dict()
        assert {trace["type"] for trace in drawn["data"]} <= {"scatter", "bar"}, name
        assert not drawn["layout"].get("images"), name
        assert not [key for key in drawn["layout"] if re.match(r"legend\d", key)], name
        shown = [
            trace.get("name")
            for trace in drawn["data"]
            if trace.get("showlegend") is not False and trace.get("visible") is not False
        ]
        shown = [one for one in shown if one is not None]
        assert len(shown) == len(set(shown)), name


def test_numbers_of_a_figure_have_units_and_are_those_drawn(pictures, data):
    tables = {
        name: list(csv.DictReader(io.StringIO(csv_text(picture.rows))))
        for name, picture in pictures.items()
    }
    rows = tables["stalls"]
    assert [int(row["cycles"]) for row in rows[:-1]] == [point.cycles for point in data.points]
    assert rows[-1]["layer"] == tables["energy"][-1]["layer"] == "all layers"
    assert int(rows[-1]["cycles"]) == data.cycles
    assert sum(float(row["all_mJ"]) for row in tables["energy"][:-1]) == pytest.approx(
        float(tables["energy"][-1]["all_mJ"])
    )
    states = [name for name in rows[0] if name.endswith("_cycles")]
    assert all(sum(int(row[name]) for name in states) == int(row["cycles"]) for row in rows)
    layers = [row for row in tables["roofline"] if row["source"] == "modelled"]
    drawn = [
        value
        for trace in pictures["roofline"].draw(1000).data
        if trace.name and trace.name.endswith(", modelled")
        for value in trace.x
    ]
    assert sorted(float(row["intensity_macs_per_byte"]) for row in layers) == sorted(drawn)
    curve = [row for row in tables["bandwidth"] if row["layer"] == "all layers"]
    assert [int(row["cycles"]) for row in curve] == [*data.curves.total.cycles, data.cycles]
    for row in tables["energy"]:
        ends = {"layer", "all_mJ", "low_mJ", "high_mJ"}
        parts = sum(float(value) for name, value in row.items() if name not in ends)
        assert parts == pytest.approx(float(row["all_mJ"]))
    count = len(data.timeline.instructions)
    bars = [row for row in tables["timeline"] if row["instruction"]]
    assert len({row["instruction"] for row in bars}) == count
    for study in data.studies:
        rows = tables[f"tilings-{study.operation.name}"]
        assert len(rows) == sum(len(one.tiles) for one in study.maps)
        assert sum(row["mark"] == "best" for row in rows) == len(study.maps)


def test_a_text_with_a_comma_is_one_field_and_missing_values_are_empty():
    text = csv_text([{"layer": "a, b", "cycles": 1}, {"layer": "c", "energy_mJ": 2.5}])
    assert text == 'layer,cycles,energy_mJ\n"a, b",1,\nc,,2.5\n'


def test_curves_that_are_equal_say_so_and_all_differ_in_their_dashes():
    layers = [Curve(name, (40, 20), (1, 1), 10) for name in ("one", "two")]
    layers.append(Curve("twice", (80, 40), (1, 1), 10))
    layers.append(Curve("other", (50, 20), (1, 1), 10))
    total = Curve("all layers", (210, 100), (4, 4), 40)
    figure = bandwidth(Curves((1, 2), (8, 8), tuple(layers), total, ()), (2, 100), 1000)
    lines = [trace for trace in figure.to_dict()["data"] if trace["mode"] == "lines"]
    names = ["one", "two (equal to one)", "twice (equal to one)", "other"]
    assert [trace["name"] for trace in lines] == names
    assert len({(trace["line"]["dash"], trace["line"]["width"]) for trace in lines}) == len(lines)


@pytest.mark.parametrize(("width", "font_size"), [(50, 8), (85, 11), (45, 6.5), (40, 24)])
def test_a_width_without_room_for_the_text_names_one_that_has_it(
    width, font_size, tmp_path, monkeypatch
):
    monkeypatch.setattr("systolith_host.visual.pictures.find_browser", lambda: "chromium")
    path = tmp_path / "stalls.svg"
    with pytest.raises(SystolithError, match=r"^--width [0-9.]+ is too narrow for text") as refused:
        check_pictures([path], Size(width, font_size))
    found = re.search(
        r": --width (\d+) has room for it, or a --font-size of (\S+)$", str(refused.value)
    )
    assert found
    check_pictures([path], Size(float(found[1]), font_size))
    check_pictures([path], Size(width, float(found[2])))


def test_only_the_layout_of_a_figure_depends_on_its_width(pictures):
    def begins(figure):
        axes = (axis for key, axis in figure["layout"].items() if key.startswith("xaxis"))
        return {axis.get("domain", [0])[0] for axis in axes}

    beside = set()
    for name, picture in pictures.items():
        wide, narrow = (json.loads(picture.draw(width).to_json()) for width in (1000, 330))
        assert wide["data"] == narrow["data"], name
        if begins(wide) != {0}:
            beside.add(name.partition("-")[0])
            assert wide["layout"]["height"] < narrow["layout"]["height"]
        assert begins(narrow) == {0}, name
    assert beside == {"stalls", "bandwidth", "tilings"}


def test_names_of_figures_are_known_before_they_are_drawn(pictures, data):
    studies = [study.operation.name for study in data.studies]
    assert figure_names(studies, has_sweep=False) == list(pictures)
    assert figure_names(studies, has_sweep=True) == [*pictures, "pareto"]


def test_the_picture_of_a_validation_has_every_case():
    cases = [("tiny", 10, 10), ("tiny", 200, 202), ("VGG-16", 5000, 5000)]
    picture = validation_picture(cases)
    traces = picture.draw(400).to_dict()["data"]
    assert [trace["name"] for trace in traces] == ["equal", "tiny", "VGG-16"]
    assert csv_text(picture.rows).splitlines() == [
        "group,rtl_cycles,model_cycles",
        "tiny,10,10",
        "tiny,200,202",
        "VGG-16,5000,5000",
    ]


def test_pictures_without_a_browser_say_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr("systolith_host.visual.pictures.find_browser", lambda: None)
    with pytest.raises(SystolithError, match=r"^--picture needs Chrome or Chromium.*apt-get"):
        check_pictures([tmp_path / "stalls.svg"], Size())


@needs_browser
def test_a_picture_that_cannot_be_written_is_one_line(tmp_path):
    picture = Picture("one", lambda _: go.Figure(layout={"height": 300}), [{"cycles": 1}])
    with pytest.raises(SystolithError, match=r"one\.svg: cannot be written: No such file"):
        save_pictures([(picture, tmp_path / "gone" / "one.svg")], Size())


def test_larger_text_makes_the_drawing_narrower_in_its_own_pixels():
    assert Size(180, 8).pixels == 829
    assert replace(Size(180, 8), font_size=16).pixels == pytest.approx(829 / 2, abs=1)
