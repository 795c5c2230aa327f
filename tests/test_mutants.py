"""The tool that mutates the code: what it draws, what it leaves out, and what it says of a toy."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="cosmic-ray is not installed: make setup")

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))


import mutants as tool  # noqa: E402
from manual.figures import Share  # noqa: E402
from mutation.areas import Tree  # noqa: E402
from mutation.equivalents import read_equivalents, stale  # noqa: E402
from mutation.mutants import changed, sites  # noqa: E402
from mutation.operators import DeleteStatement, NegateIf  # noqa: E402
from mutation.results import Result, kept, share, table, told  # noqa: E402
from mutation.sample import sample  # noqa: E402
from mutation.trial import RUNNING, Copy, Verdict  # noqa: E402

COUNTED = """
def untested(word):
    return word * 2


def waits(count):
    while count > 0:
        count -= 1
    return count
"""

TESTS = """
from counted.words import waits


def test_waits():
    assert waits(3) == 0
"""

AREAS = """
roots = ["source"]

[area.counted]
sources = ["source/counted"]
tests = ["tests"]

[area.listed]
sources = ["source/listed"]
tests = ["tests"]
"""

WAITS = "tests/test_words.py::test_waits"

ENTRY = """
[[equivalent]]
path = "source/counted/words.py"
where = "waits"
old = "while count > 0:"
new = "while count != 0:"
why = "only counts are given"
"""

LISTED = "NUMBERS = [\n" + "".join(f"    {number},\n" for number in range(100, 140)) + "]\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def tree(tmp_path):
    """Return a small tree with two areas."""
    root = tmp_path / "tree"
    for package, module, text in (("counted", "words", COUNTED), ("listed", "numbers", LISTED)):
        write(root / "source" / package / "__init__.py", "")
        write(root / "source" / package / f"{module}.py", text)
    write(root / "tests" / "test_words.py", TESTS)
    write(root / "tests" / "test_other.py", "import sys\n\n\ndef test_nothing():\n    pass\n")
    write(tmp_path / "areas.toml", AREAS)
    return Tree(root, tmp_path / "areas.toml")


@pytest.fixture
def run(tree, tmp_path):
    """Return what runs the tool on the small tree."""

    def done(*words, equivalents="equivalent = []"):
        file = tmp_path / "equivalents.toml"
        file.write_text(equivalents)
        options = tool.arguments(
            ["--keep", str(tmp_path / "kept.jsonl"), "--limit", "1", "--only", "source/c", *words]
        )
        return tool.run(tree, file, tmp_path / "folder", options)

    return done


def lines_of(mutants):
    return [(mutant.path, mutant.line, mutant.new) for _, mutant in mutants]


def test_the_same_seed_draws_the_same_and_more_of_them_begin_alike(tree):
    drawn = sample(tree, 5, 20)
    assert lines_of(drawn) == lines_of(sample(tree, 5, 20))
    assert lines_of(drawn[:7]) == lines_of(sample(tree, 5, 7))
    assert lines_of(drawn) != lines_of(sample(tree, 6, 20))


@pytest.mark.parametrize("seed", range(5))
def test_areas_take_turns_and_lines_are_drawn_evenly(tree, seed):
    drawn = sample(tree, seed, 12)
    assert [area.name for area, _ in drawn] == ["counted", "listed"] * 6
    quarters = [0, 0, 0, 0]
    for area, mutant in drawn:
        if area.name == "listed":
            quarters[(mutant.line - 2) // 10] += 1
    assert sum(quarters) == 6
    assert set(quarters) <= {1, 2}


def test_all_are_drawn_where_there_are_no_more(tree):
    drawn = sample(tree, 0, 1000, only="source/listed")
    assert sorted(mutant.line for _, mutant in drawn) == list(range(2, 42))


def test_tests_are_those_that_import_the_module(tree):
    (counted, listed) = tree.areas
    assert tree.tests(counted, "source/counted/words.py") == ["tests/test_words.py"]
    assert tree.tests(listed, "source/listed/numbers.py") == []


@pytest.mark.parametrize(
    "text",
    [
        '"""Of 3."""\n',
        "__all__ = [3, 4]\n",
        "from x import *\n",
        "def f(a: int | None, *b) -> int | str: ...\n",
        "a: int | None\n",
        "def f():\n    raise ValueError(3 + 4)\n",
        "f'{3 + 4} of them'\n",
        "assert 3 > 2\n",
        "@cache\ndef f(): ...\n",
        "def __repr__(self): return 3 * ' '\n",
        "print(x)\n",
        "x = Signal(src_loc_at=1)\n",
    ],
)
def test_what_is_for_people_or_tools_is_left_out(text):
    assert sites(text, "file.py") == []


def test_amaranth_reads_annotations_that_call():
    (site,) = sites("class A:\n    i: In(8)\n", "file.py")
    assert site.where == "A"
    assert changed("class A:\n    i: In(8)\n", *site.ways[0]) == "class A:\n    i: In( 9)\n"


@pytest.mark.parametrize("operator", [DeleteStatement, NegateIf])
def test_operators_do_what_their_examples_say(operator):
    for example in operator.examples():
        made = changed(example.pre_mutation_code, operator.__name__, example.occurrence)
        assert made == example.post_mutation_code


def test_an_occurrence_is_counted_past_what_is_left_out(tmp_path):
    text = "assert 3 > 2\nx = 5\n"
    (tmp_path / "file.py").write_text(text)
    (site,) = sites(text, "file.py")
    mutant = site.mutant(tmp_path, 0)
    assert mutant is not None
    assert (mutant.line, mutant.old, mutant.new) == (2, "x = 5", "x = 6")


def test_mutants_are_killed_survive_or_are_equivalent(run, tree, tmp_path):
    before = {path: path.read_bytes() for path in tree.root.rglob("*.py")}
    results = run("--count", "20", equivalents=ENTRY)
    assert {path: path.read_bytes() for path in tree.root.rglob("*.py")} == before
    assert {one.mutant.where for one in results if one.survives} == {"untested"}
    fates = {one.mutant.new: one for one in results}
    assert fates["pass"].verdict.killed == "timed out"
    assert fates["while not count > 0:"].verdict.killed == "failed"
    assert {one.verdict.test for one in results if one.verdict.killed} == {WAITS}
    assert all(one.verdict.whole for one in results)
    # A run that was stopped goes on: nothing is tried twice.
    (tmp_path / "folder" / "tree").rename(tmp_path / "gone")
    assert run("--count", "20", equivalents=ENTRY) == results
    assert not (tmp_path / "folder" / "tree").exists()
    # Equivalents are not tried at all.
    assert len(kept(tmp_path / "kept.jsonl")) == len(results) - 1


@pytest.mark.parametrize(
    "end", ["PASSED [ 9%]", "Timeout (0:05:00)!", "Fatal Python error: Aborted"]
)
def test_the_name_of_a_running_test_ends_before_what_became_of_it(end):
    name = "tests/test_words.py::test_waits[a b]"
    assert RUNNING.findall(f"collected 1 item\n{name} {end}\n") == [name]


def test_a_test_that_fails_without_a_mutant_kills_nothing(run, tree):
    write(tree.root / "tests" / "test_words.py", TESTS.replace("== 0", "== 1"))
    with pytest.raises(RuntimeError, match=r"::test_waits does not pass without a mutant"):
        run("--count", "1")


def test_two_runs_never_share_a_copy(run, tree, tmp_path):
    copy = Copy(tree.root, tmp_path / "folder", tree.roots, 1)
    with pytest.raises(RuntimeError, match=r"^another run uses .*folder: name another --folder$"):
        run("--count", "1")
    copy.close()
    assert len(run("--count", "1")) == 1


def test_parts_are_tried_apart_and_taken_together(run):
    parts = [run("--count", "20", "--part", part) for part in ("1/2", "2/2")]
    names = [{one.mutant.name for one in part} for part in parts]
    assert abs(len(names[0]) - len(names[1])) <= 1
    assert {one.mutant.name for one in run("--count", "20")} == names[0] ^ names[1]


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "1/0", "a/b"])
def test_a_part_that_is_none_is_refused(part, capsys):
    with pytest.raises(SystemExit):
        tool.arguments(["--part", part])
    assert f"must be as 1/2, the first part of two, not {part}" in capsys.readouterr().err


def test_a_stale_equivalent_is_refused(run):
    entry = ENTRY.replace("count > 0", "count > 1")
    with pytest.raises(ValueError, match=r"no mutant turns 'while count > 1:' into .*: argue it"):
        run("--count", "1", equivalents=entry)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('path = "x"', "entry 1 must have path, where, old, new and why, not path"),
        ('path = "x"\nwhere = ""\nold = ""\nnew = ""\nwhy = " "', "entry 1 must say why"),
    ],
)
def test_an_equivalent_has_its_argument(tmp_path, entry, message):
    file = tmp_path / "equivalents.toml"
    file.write_text(f"[[equivalent]]\n{entry}\n")
    with pytest.raises(ValueError, match=message):
        read_equivalents(file)


def test_no_equivalent_of_the_tree_is_stale():
    assert stale(ROOT, read_equivalents(tool.EQUIVALENTS)) == []


def test_every_area_of_the_tree_has_sources_and_tests():
    tree = Tree(ROOT, tool.AREAS)
    for area in tree.areas:
        paths = tree.sources(area)
        assert paths
        assert tree.tests(area, paths[-1])


def test_a_page_gets_the_table(tree, tmp_path):
    verdicts = (
        Verdict("failed", WAITS, 1.0, True),
        Verdict("", "", 9.0, False),
        Verdict("timed out", WAITS, 3.0, True),
        Verdict("", "", 2.0, True),
    )
    results = [
        Result(str(number), area.name, mutant, verdict, number == 3)
        for number, ((area, mutant), verdict) in enumerate(
            zip(sample(tree, 0, 4), verdicts, strict=True)
        )
    ]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{tool.BEGIN}old\n{tool.END}after\n")
    tool.write(page, table(results))
    text = page.read_text()
    assert text.startswith(f"before\n{tool.BEGIN}\n| area |")
    assert text.endswith(f"; there was no time for all tests\n\n{tool.END}after\n")
    assert "| counted | 2 | 0 | 1 | 1 | 0 | 100.0 % |" in text
    assert "| listed | 2 | 1 | 0 | 0 | 1 | 0.0 % |" in text
    assert "| all | 4 | 1 | 1 | 1 | 1 | 66.7 % |" in text
    assert text.count("→") == 1
    assert told(results) == "2 of 3 killed (66.7 %), 1 equivalent"
    assert share(results, "a tool") == Share("all areas", 2, 3, "a tool")


def test_a_damaged_line_of_results_is_named(tmp_path):
    file = tmp_path / "kept.jsonl"
    file.write_text('{"key": 1}\n')
    with pytest.raises(ValueError, match=r"kept.jsonl: line 1 is no result of make mutants$"):
        kept(file)
