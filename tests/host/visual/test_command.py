"""The command `systolith report`: files, and mistakes in one line."""

import json
import re

import pytest
from typer.testing import CliRunner

from systolith_host.cli import app
from systolith_host.errors import SystolithError
from systolith_host.model.zoo import build_onnx
from systolith_host.visual.browser import find_browser
from systolith_host.visual.page import page, sections
from systolith_host.visual.pictures import save_pictures


@pytest.fixture
def command(tmp_path):
    def run(*arguments):
        options = ["--out", str(tmp_path / "report.html"), "--bandwidths", "2,8"]
        return CliRunner().invoke(app, ["report", *map(str, arguments), *options])

    return run


def test_page_and_trace_are_written(command, tmp_path):
    trace = tmp_path / "trace.json"
    result = command("mini", "--config", "tiny", "--trace", trace, "--timeline", "conv3_1")
    assert result.exit_code == 0, result.output
    html = (tmp_path / "report.html").read_text()
    assert "<title>mini on tiny - Systolith report</title>" in html
    assert "Timeline of conv3_1" in html
    assert json.loads(trace.read_text())["otherData"]["layer"] == "conv3_1"


@pytest.mark.rtl
def test_timeline_comes_from_the_rtl_if_asked_for(command, tmp_path):
    result = command("mini", "--config", "tiny", "--rtl", "--timeline", "fc6")
    assert result.exit_code == 0, result.output
    html = (tmp_path / "report.html").read_text()
    assert '<span class="source rtl">RTL</span> Events recorded in the simulated RTL' in html
    assert 'class="source model"' not in html


def test_networks_that_branch_have_a_page(command, tmp_path):
    path = tmp_path / "squeezenet.onnx"
    path.write_bytes(build_onnx("squeezenet1_1", seed=0, size=64).SerializeToString())
    result = command(path, "--bandwidth", 8, "--latency", 80, "--turnaround", 6)
    assert result.exit_code == 0, result.output
    html = (tmp_path / "report.html").read_text()
    assert "squeezenet on default" in html
    assert "latency of 80 cycles, 6 more between reads and writes." in re.sub(r"\s+", " ", html)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mini", "--layer", "conv9"), r"mini has no layer 'conv9'; it has conv1_1, "),
        (("mini", "--layer", "fc4"), r"--layer: fc4 is fully connected, .*; take a convolution"),
        (("mini", "--timeline", "conv9"), r"mini has no layer 'conv9'"),
        (("mini", "--measured", "nowhere.json"), r"--measured: nowhere\.json: cannot be read"),
        (("mini", "--sweep", "nowhere"), r"--sweep: nowhere: cannot be read"),
        (("mini", "--trace", "nowhere/trace.json"), r"nowhere/trace\.json: its folder does not"),
        (("nonet",), r"nonet"),
    ],
)
def test_mistakes_are_one_line(command, arguments, message):
    result = command(*arguments, "--config", "tiny")
    assert isinstance(result.exception, SystolithError)
    assert re.search(message, str(result.exception))
    assert "\n" not in str(result.exception)


@pytest.mark.skipif(
    find_browser() is None, reason="no Chrome or Chromium: apt-get install chromium"
)
@pytest.mark.parametrize(("kind", "magic"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_pictures_are_files_of_their_kind(data, tmp_path, kind, magic):
    path = tmp_path / "page.html"
    parts = sections(data)
    path.write_text(page(data, parts))
    drawn = [picture for part in parts for picture in part.pictures][:2]
    paths = save_pictures(path, drawn, tmp_path / "pictures", kind)
    assert [path.name for path in paths] == [f"{picture.name}.{kind}" for picture in drawn]
    for path in paths:
        assert path.read_bytes().startswith(magic)
        assert path.stat().st_size > 5_000


def test_pictures_without_a_browser_say_how_to_get_one(data, tmp_path, monkeypatch):
    monkeypatch.setattr("systolith_host.visual.pictures.find_browser", lambda: None)
    picture = sections(data)[0].pictures[0]
    with pytest.raises(SystolithError, match=r"^--pictures needs Chrome or Chromium.*apt-get"):
        save_pictures(tmp_path / "page.html", [picture], tmp_path, "svg")
