"""The table of `make noise`: a line a network, with the figures of its seeds side by side."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from noise import BEGIN, END, WAYS, Found, main, measure, page  # noqa: E402
from systolith_host.cli.page import split_page  # noqa: E402
from systolith_host.network.graph import GraphBuilder, LayerWeights  # noqa: E402


def test_seeds_stand_next_to_each_other():
    found = [
        Found(name, way, 10 * seed + number, 0.0, seed, "8/8")
        for name, seeds in (("net", 2), ("other", 1))
        for seed in range(seeds)
        for number, way in enumerate(WAYS)
    ]
    *_, net, other = page(found).splitlines()
    assert net == "| net | 0.0, 10.0 | 1.0, 11.0 | 2.0, 12.0 | 3.0, 13.0 | 4.0, 14.0 | 0, 1 |"
    assert other == "| other | 0.0 | 1.0 | 2.0 | 3.0 | 4.0 | 0 |"


def test_the_manual_has_a_place_for_it():
    before, after = split_page(ROOT / "docs" / "networks.md", BEGIN, END)
    assert "### Equalisation" in before
    assert after.lstrip().startswith("Weights have a scale for each output channel")


def test_a_page_without_its_lines_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    page_path = tmp_path / "page.md"
    page_path.write_text("# Another page\n")
    monkeypatch.setattr(sys, "argv", ["noise", "--out", str(page_path)])
    with pytest.raises(SystemExit):
        main()
    assert "page.md: has no lines <!-- make noise -->" in capsys.readouterr().err


def test_noise_is_measured_against_the_network_that_was_given(monkeypatch):
    """An equalisation that changes the float network is noise, too."""
    builder = GraphBuilder("one", (3, 8, 8))
    builder.conv("a", 4, (3, 3))
    graph = builder.build()
    rng = np.random.default_rng(0)
    weights = {"a": LayerWeights(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), np.zeros(4))}
    images = rng.normal(size=(8, 3, 8, 8)).astype(np.float32)
    right, *_ = measure(graph, weights, images, images, "neither")
    wrong = {"a": LayerWeights(weights["a"].weight * np.float32(1.1), np.zeros(4))}
    monkeypatch.setattr("noise.equalise", lambda *_: (wrong, ()))
    found, *_ = measure(graph, weights, images, images, "equalised")
    assert right > 35
    assert found == pytest.approx(20, abs=0.5)
