"""The page: one file, every number of the data, and drawn without complaint by a real browser."""

import asyncio
import re
import shutil
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pytest

from systolith_host.energy.energy import Energy
from systolith_host.errors import SystolithError
from systolith_host.version import version
from systolith_host.visual.assemble import PageOptions, assemble
from systolith_host.visual.browser import Sight, find_browser, look_at, opened
from systolith_host.visual.figures.front import front
from systolith_host.visual.page import page, sections
from systolith_host.visual.points import Measured, whole
from systolith_host.visual.sweep import read_points
from systolith_host.visual.timeline import Timeline

needs_browser = pytest.mark.skipif(
    find_browser() is None, reason="no Chrome or Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def sweep(subject, tmp_path_factory):
    from systolith_host.explore.experiment import Experiment
    from systolith_host.explore.results import Results
    from systolith_host.explore.space import Space
    from systolith_host.explore.sweep import Runner
    from systolith_hw.spec.presets import PRESETS

    folder = tmp_path_factory.mktemp("sweep")
    space = Space(PRESETS["tiny"], {"rows": (4, 8), "bandwidth": (2, 8)})
    results = Results(folder, Experiment.of("mini", space.base, list(space.axes)))
    with Runner(results) as runner:
        runner.run(space.points())
        runner.replay([space.point({"rows": 4, "bandwidth": 8})])
    return read_points(folder, subject)


@pytest.fixture(scope="module")
def full(data, sweep, tmp_path_factory):
    """Return data with everything that a page can show."""
    path = tmp_path_factory.mktemp("run") / "run.json"
    measured = Measured(path, "rtl (verilator)", data.points, 0, 1000)
    return replace(data, measured=measured, sweep=sweep)


def text_of(html):
    body = html.partition("<body>")[2]
    body = re.sub(r"<script.*?</script>", " ", body, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "", body))


def test_page_is_one_file_with_one_script(full):
    html = page(full, sections(full))
    assert html.count("plotly.js v") == 1
    for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", html.partition("<body>")[2]):
        assert "src=" not in tag
        assert "href=" not in tag
    head = html.partition("<script")[0]
    assert re.findall(r'href="([^"]*)"', head) == ["data:,"]


def test_page_says_what_the_figures_are(full):
    text = text_of(page(full, sections(full)))
    assert f"{full.cycles:,}" in text
    for study in full.studies:
        for choice in study.choices:
            assert f"{choice.tiling.cycles:,}" in text
            assert f"{choice.tiling.traffic:,}" in text
    total = Energy.of(point.energy for point in full.points).total
    assert f"{total.pj / 1e9:,.2f} mJ an image" in text
    assert full.energy.source in text
    knee = full.curves.bandwidths[full.curves.total.knee]
    assert f"The knee of the whole network is at {knee:g} bytes per cycle" in text
    assert f"{len(full.points)} of {len(full.points)} layers take exactly the modelled" in text
    made = full.sweep.experiment
    assert f"mini, batch 1, on tiny with other rows, bandwidth, by {made.tool};" in text
    assert (
        f"{len(full.sweep.front.results)} of {len(full.sweep.points)} points are beaten by no"
        in text
    )


def test_exact_and_estimated_points_are_told_apart(full):
    exact = [result for result in full.sweep.points if result.exact]
    assert 0 < len(exact) < len(full.sweep.points)
    traces = front(full.sweep, 1000).to_dict()["data"]
    names = {trace["name"] for trace in traces}
    assert {name.rpartition(", ")[2] for name in names} == {"estimated", "exact"}
    for trace in traces:
        replayed = trace["name"].endswith(", exact")
        assert trace["marker"]["symbol"] == ("circle" if replayed else "circle-open")
        for text, cycles in zip(trace["text"], trace["y"], strict=True):
            assert text.startswith(f"<b>{'' if replayed else '~'}{cycles:,} cycles")
    assert f"1 of {len(full.sweep.points)} points are exact" in text_of(page(full, sections(full)))


def test_page_says_whether_the_rtl_was_run(full):
    timeline: Timeline = replace(full.timeline, source="rtl")
    ran = replace(full, timeline=timeline)
    assert "Events recorded in the simulated RTL" in text_of(page(ran, sections(ran)))
    model = text_of(page(full, sections(full)))
    assert "The performance model's replay of every cycle (no RTL was run for it)" in model
    assert "Events recorded" not in model


def test_names_from_files_are_text_not_html(full):
    subject = replace(full.subject, name="<b>net</b>")
    html = page(replace(full, subject=subject), sections(replace(full, subject=subject)))
    assert "<b>net</b>" not in html


@needs_browser
def test_browser_draws_every_figure_and_finds_points(full, tmp_path):
    path = tmp_path / "a page.html"
    parts = sections(full)
    path.write_text(page(full, parts))
    sight = look_at(path)
    assert sight.console == []
    assert sight.requests == []
    names = [f"figure-{picture.name}" for part in parts for picture in part.pictures]
    assert [figure.name for figure in sight.figures] == names
    for figure in sight.figures:
        assert figure.marks > 0, figure
        assert figure.traces > 0, figure
        assert figure.width > 800, figure
        assert figure.height > 200, figure
        assert figure.overflow == 0, figure
        assert figure.hover, figure


@needs_browser
@pytest.mark.parametrize("look", [{"width": 390}, {"width": 390, "dark": True}, {"printed": True}])
def test_a_narrow_a_dark_and_a_printed_page_are_whole(full, tmp_path, look):
    path = tmp_path / "page.html"
    parts = sections(full)
    path.write_text(page(full, parts))
    sight = look_at(path, **look)
    assert sight.console == []
    assert sight.overflow == 0
    assert all(figure.marks > 0 and figure.overflow == 0 for figure in sight.figures)
    wide = {f"figure-{p.name}": p.draw(1000).layout.height for s in parts for p in s.pictures}
    beside = {"figure-stalls", "figure-bandwidth", "figure-pareto"}
    beside |= {name for name in wide if "tilings" in name}
    for figure in sight.figures:
        assert "printed" in look or 300 <= figure.width <= 390, figure
        # Panels stand one below the other on a narrow page, and fill their place.
        taller = "printed" not in look and figure.name in beside
        assert (figure.height > 1.3 * wide[figure.name]) == taller, figure


@needs_browser
def test_a_window_that_grows_and_shrinks_has_the_fitting_layout_each_time(full, tmp_path):
    path = tmp_path / "page.html"
    parts = sections(full)
    path.write_text(page(full, parts))
    (picture,) = (p for part in parts for p in part.pictures if p.name == "stalls")
    wanted = {width: picture.draw(width).layout.height for width in (330, 1000)}
    size = "(f => [f.clientHeight, f._fullLayout.height])(document.getElementById('figure-stalls'))"

    async def look():
        async with opened(path, Sight(), 390) as (send, evaluate):
            for width, height in ((1200, wanted[1000]), (390, wanted[330]), (1200, wanted[1000])):
                shape = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
                await send("Emulation.setDeviceMetricsOverride", **shape)
                found: Any = None
                for _ in range(300):
                    found = await evaluate(size)
                    if found == [height, height]:
                        break
                    await asyncio.sleep(0.1)
                assert found == [height, height], width

    asyncio.run(look())


def test_multipliers_without_work_are_told_from_those_at_work(full):
    # conv1_1 has 3 input channels for 4 rows.
    first = full.points[0]
    assert first.name == "conv1_1"
    assert first.used == 3 / 4
    (picture,) = (p for part in sections(full) for p in part.pictures if p.name == "stalls")
    bars = {
        trace["name"]: trace["customdata"]
        for trace in picture.draw(1000).to_dict()["data"]
        if trace["type"] == "bar" and "name" in trace
    }
    busy = first.states["busy"]
    assert bars["multipliers at work"][0] == busy * 3 / 4
    assert bars["array works, multipliers without work"][0] == busy / 4
    for number, point in enumerate([*full.points, whole(full.points)]):
        assert 0 < point.used <= 1
        assert sum(bar[number] for bar in bars.values()) == pytest.approx(point.cycles)
    assert "25% of them have no work in conv1_1" in text_of(page(full, sections(full)))


def test_the_table_of_layers_ends_with_its_total(full):
    html = page(full, sections(full))
    head = re.findall(r"<th[^>]*>([^<]*)</th>", html[html.index('id="origins"') :])
    rows = re.findall(r"<tr class=\"(\w*)\">(<td.*?)</tr>", html[html.index('id="origins"') :])
    assert [look for look, _ in rows] == [""] * len(full.points) + ["total"]
    table = [re.findall(r">([^<]*)</td>", cells) for _, cells in rows]
    for name in ("MMACs", "cycles", "bytes read", "bytes written"):
        *layers, total = (float(row[head.index(name)].replace(",", "")) for row in table)
        assert total == pytest.approx(sum(layers), abs=0.01 * len(layers))
    idle = 1 - sum(point.at_work for point in full.points) / full.cycles
    assert table[-1][head.index("multipliers idle")] == f"{idle:.1%}"


def test_no_bar_of_the_timeline_is_simplified_away(full):
    # Plotly would leave out bars narrower than a pixel: most LOADs of a whole layer of VGG-16.
    (picture,) = (p for part in sections(full) for p in part.pictures if p.name == "timeline")
    lanes = [
        t for t in picture.draw(1000).to_dict()["data"] if t.get("line", {}).get("width") == 22
    ]
    assert len(lanes) == 7
    assert all(trace["line"]["simplify"] is False for trace in lanes)


def drawn_of(data, name):
    (picture,) = (p for part in sections(data) for p in part.pictures if p.name == name)
    return picture.draw(1000).to_dict(), picture.rows


def test_the_timeline_shows_the_whole_layer_or_the_cycles_asked_for(full):
    assert full.window == (0, full.timeline.cycles)
    for window in (full.window, (1000, 3000)):
        asked = replace(full, window=window)
        figure, rows = drawn_of(asked, "timeline")
        assert tuple(figure["layout"]["xaxis"]["range"]) == window
        assert {row["lane"] for row in rows} == {"load", "array", "drain", "store"} | {
            "bus, read",
            "bus, written",
        }
        assert all(row["first_cycle"] <= window[1] for row in rows)
        assert all(row["last_cycle"] > window[0] for row in rows)
        figure, rows = drawn_of(asked, "buffers")
        assert tuple(figure["layout"]["xaxis"]["range"]) == window
        assert all(row["cycle"] <= window[1] for row in rows)
        assert len({row["buffer"] for row in rows}) == 4


def test_a_long_window_has_averages_and_its_buttons_the_fitting_ones(full):
    one = full.timeline
    long = replace(
        one,
        interval=1,
        samples=np.cumsum(np.ones((one.cycles, one.samples.shape[1]), np.int64), axis=0),
    )
    every = long.averaged((0, one.cycles))
    assert every == -(-one.cycles // 150)
    assert long.averaged((0, 300)) == 1
    assert long.rates("COMPUTE busy", every) == pytest.approx(np.ones(one.cycles // every))
    figure, rows = drawn_of(replace(full, timeline=long), "timeline")
    length = {row["last_cycle"] - row["first_cycle"] + 1 for row in rows if "opcode" not in row}
    assert length == {every}
    curves = [trace for trace in figure["data"] if trace.get("yaxis") in ("y2", "y3")]
    assert sum(trace["visible"] for trace in curves) == 5
    for button in figure["layout"]["updatemenus"][0]["buttons"]:
        visible = button["args"][0]["visible"]
        assert len(visible) == len(figure["data"])
        assert sum(visible) == len(figure["data"]) - len(curves) + 5


def test_cycles_beyond_the_layer_are_refused_before_the_long_work(subject, log, monkeypatch):
    def late(*_):
        raise AssertionError("found out after the long work")

    monkeypatch.setattr("systolith_host.visual.assemble.modelled_points", late)
    options = PageOptions(timeline="conv3_1", cycles=(10_000_000, 20_000_000))
    with pytest.raises(SystolithError, match=r"^--cycles 1.*: conv3_1 takes [0-9,]+ cycles$"):
        assemble(subject, options, log)


def test_the_page_can_be_cited(full, monkeypatch):
    monkeypatch.setattr("systolith_host.visual.citation.commit", lambda: "0123456789ab")
    text = text_of(page(full, sections(full)))
    entry = text[text.index("@software{systolith,") :]
    assert "author = {{The Systolith authors}}," in entry
    assert f"version = {{{version()}}},\n  note = {{commit 0123456789ab}},\n}}" in entry
    assert entry[: entry.index("\n}") + 2].count("{") == entry[: entry.index("\n}") + 2].count("}")


def test_a_clock_that_was_not_placed_is_called_assumed(full):
    assert "at an assumed 150 MHz" in text_of(page(full, sections(full)))


@needs_browser
def test_browser_sees_a_page_that_is_broken(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(
        "<!DOCTYPE html><link rel='icon' href='data:,'><div class='plotly-graph-div' id='a'></div>"
        "<script>console.error('one'); fetch('missing.json'); throw new Error('two')</script>"
    )
    sight = look_at(path, patience=2)
    assert any("one" in line for line in sight.console)
    assert any("two" in line for line in sight.console)
    assert any(url.endswith("missing.json") for url in sight.requests)
    assert [figure.marks for figure in sight.figures] == [0]
    assert not sight.figures[0].hover


def test_a_missing_browser_is_seen(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr("systolith_host.visual.browser.Chromium.find_browser", lambda **_: None)
    assert find_browser() is None
