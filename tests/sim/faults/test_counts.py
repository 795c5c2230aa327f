"""Verilator's coverage files: what is read from them, and their sums."""

import re

import pytest

from systolith_hw.spec.errors import SystolithError
from systolith_sim.faults.counts import Place, merged_counts, read_counts


def item(kind, name, count, line=7):
    keys = {"f": "accelerator.v", "l": line, "n": 3, "t": kind, "o": name, "h": "TOP.accelerator"}
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in keys.items()) + f"' {count}\n"


def written(path, *items):
    path.write_text("# SystemC::Coverage-3\n" + "".join(items), "latin-1")
    return path


def test_names_bits_and_edges_are_verilogs(tmp_path):
    file = written(
        tmp_path / "one",
        item("toggle", "load__02egate__02eo___05Fpayload[12]:0->1", 3),
        item("toggle", "core__02estore[5][31]:1->0", 0),
        item("toggle", "irq:0->1", 1),
        item("toggle", "point__02fLOAD__02fidle:0->1", 4),
        item("toggle", "point__02fLOAD__02fidle:1->0", 9),
        item("branch", "cond_then", 2, 40),
        item("line", "block", 0, 41),
    )
    assert read_counts(file) == {
        Place("toggle", "load.gate.o__payload", (12,), "0->1"): 3,
        Place("toggle", "core.store", (5, 31), "1->0"): 0,
        Place("toggle", "irq", (), "0->1"): 1,
        Place("point", "LOAD/idle"): 4,
        Place("branch", "cond_then", line=40, column=3): 2,
        Place("line", "block", line=41, column=3): 0,
    }


def test_counts_of_several_runs_add_up(tmp_path):
    first = written(tmp_path / "1", item("line", "block", 0), item("line", "block", 2, 8))
    second = written(tmp_path / "2", item("line", "block", 5), item("line", "block", 0, 8))
    assert sorted(merged_counts([first, second]).values()) == [2, 5]
    # A run that is left out lowers what is reached.
    assert sorted(merged_counts([first]).values()) == [0, 2]


@pytest.mark.parametrize("text", ["", "C 'nonsense' 1\n", item("toggle", "no edge", 1)])
def test_another_file_is_refused(tmp_path, text):
    file = tmp_path / "other"
    file.write_text(text, "latin-1")
    with pytest.raises(SystolithError, match=f"^{re.escape(str(file))}: is no coverage"):
        read_counts(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SystolithError, match="cannot be read: No such file"):
        read_counts(tmp_path / "none")
