"""The table of `make noise`: a line a network, with the figures of its seeds side by side."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from noise import BEGIN, END, WAYS, Found, main, page  # noqa: E402
from systolith_host.cli.page import split_page  # noqa: E402


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
