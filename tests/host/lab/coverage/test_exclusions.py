"""Coverage: exclusions leave out what they say and are refused when stale; figures and bins."""

import re

import pytest

from systolith_host.errors import SystolithError
from systolith_host.lab.coverage.exclusions import (
    EXCLUSIONS,
    Exclusion,
    Target,
    excluded,
    read_exclusions,
)
from systolith_host.lab.coverage.measure import targets_of
from systolith_host.lab.coverage.report import (
    coverage_table,
    coverage_totals,
    figures,
    missing,
)
from systolith_hw.spec.presets import PRESETS
from systolith_sim.faults.counts import Place
from systolith_sim.faults.source import Source

TINY = PRESETS["tiny"]
REASON = "A reason that a reviewer can check."


def toggles(name, counts, word=()):
    """Return targets for both edges of successive bits."""
    part = name.partition(".")[0]
    return {
        Target("toggle", part, name, (*word, bit), edge): count
        for bit, count in enumerate(counts)
        for edge in ("0->1", "1->0")
    }


def test_an_exclusion_leaves_out_its_bits_and_nothing_that_is_reached():
    targets = toggles("counters.cycles", [1, 1, 0, 0]) | toggles("load.count", [0, 1])
    exclusion = Exclusion("toggle", ["counters.*"], REASON, bits="1..")
    out, stale = excluded(targets, [exclusion], TINY)
    assert {(target.name, target.bit) for target in out} == {
        ("counters.cycles", 2),
        ("counters.cycles", 3),
    }
    assert stale == []
    found = figures(targets, out)
    assert found["counters", "toggles"].share == 1
    assert found["counters", "toggles"].raw == 0.5
    totals = coverage_totals(targets | {Target("point", "load", "LOAD/idle/busy"): 1}, out)
    assert totals == {
        "toggles": {"reached": 6, "total": 8, "excluded": 4},
        "points": {"reached": 1, "total": 1, "excluded": 0},
    }
    assert found["all", "toggles"].share == 6 / 8
    assert missing(targets, out) == ["toggles: load: load.count [0]"]
    assert "| all | 75.0 of 8 (+4) |" in coverage_table(found)
    assert "| all, nothing excluded | 50.0 of 12 |" in coverage_table(found)


@pytest.mark.parametrize(
    ("exclusion", "stale"),
    [
        (Exclusion("toggle", ["load.*"], REASON), ["tiny: toggle load.* leaves nothing out"]),
        (Exclusion("toggle", ["counters.*"], REASON, bits="0..1"), ["toggle counters.* [0..1]"]),
        (Exclusion("point", ["counters.*"], REASON), ["point counters.*"]),
        (Exclusion("toggle", ["load.*"], REASON, configs=["broad"]), []),
    ],
)
def test_a_stale_exclusion_is_told(exclusion, stale):
    targets = toggles("counters.cycles", [1, 1, 0]) | toggles("load.count", [1])
    out, told = excluded(targets, [exclusion], TINY)
    assert not out
    assert len(told) == len(stale)
    assert all(text in line for text, line in zip(stale, told, strict=True))


def held(count, word=False, **fields):
    """Return which of so many bits or words an exclusion holds."""
    exclusion = Exclusion("toggle", ["a"], REASON, **fields)
    places = [(number, 0) if word else (number,) for number in range(count)]
    targets = [Target("toggle", "a", "a", bits) for bits in places]
    return [target.bits[0] for target in targets if exclusion.holds(target, TINY)]


def test_bits_may_be_named_by_the_configuration():
    assert held(40, bits="addr_width..") == list(range(32, 40))
    assert held(9, bits="..bus_bits") == [0, 1, 2, 3]
    assert held(9, bits="7") == [7]


def test_words_are_those_of_each_period_of_a_memory():
    assert held(10, word=True, words="2..3 of 4") == [2, 3, 6, 7]
    assert held(10, word=True, words="8..") == [8, 9]
    assert held(10, words="2..") == []  # bits of a register


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[exclude]]\nkind = "toggle"\nplaces = ["a"]', "exclusion 1: gives no reason"),
        (f'[[exclude]]\nkind = "toggel"\nplaces = ["a"]\nreason = "{REASON}"', "kind must be"),
        (f'[[exclude]]\nkind = "line"\nreason = "{REASON}"', "names no places"),
        (f'[[exclude]]\nkind = "line"\nplace = "a"\nreason = "{REASON}"', "no such key: place"),
        ("[[exclude]", "Expected"),
    ],
)
def test_a_bad_file_of_exclusions_is_refused(tmp_path, text, message):
    file = tmp_path / "exclusions.toml"
    file.write_text(text)
    with pytest.raises(SystolithError, match=rf"^{re.escape(str(file))}.*{message}"):
        read_exclusions(file)


def test_our_own_exclusions_can_be_read():
    own = read_exclusions(EXCLUSIONS)
    assert own
    names = set().union(*(exclusion.configs for exclusion in own))
    assert names <= {"tiny", "wide-bus", "broad", "all-units"}


def test_memory_cells_count_apart_from_registers():
    counts = {
        Place("toggle", "core.store", (3, 7), "0->1"): 0,
        Place("toggle", "core.sum", (7,), "0->1"): 2,
        Place("point", "LOAD/idle/busy"): 1,
        Place("line", "block", line=1): 1,
    }
    source = Source("  always @(posedge clk) \\core.sum  <= 1;\n")
    found = figures(targets_of(counts, source), set())
    assert found["core", "memory cells"].share == 0
    assert found["core", "toggles"].share == 1
    assert found["load", "states and tokens"].share == 1
    assert found["core", "lines"].share == 1
