"""Changes one thing at a time in the gateware and its models, and asks the tests to notice it."""

import argparse
import hashlib
import re
import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from manual.figures import store
from mutation.areas import Tree
from mutation.equivalents import read_equivalents, stale
from mutation.mutants import Mutant, changed
from mutation.results import Result, keep, kept, share, table, told
from mutation.sample import sample
from mutation.trial import Copy, Verdict

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("host", "sim", "hw")]

from nightly import commit  # noqa: E402
from systolith_host.cli.page import split_page  # noqa: E402
from systolith_host.errors import SystolithError  # noqa: E402

__all__ = ["main", "run", "write"]

BEGIN, END = "<!-- make mutants -->\n", "<!-- end of make mutants -->\n"
AREAS, EQUIVALENTS = (ROOT / "tools" / "mutation" / f"{n}.toml" for n in ("areas", "equivalents"))


def key(root: Path, mutant: Mutant) -> str:
    """Return a hash of the mutated file: a result is good for as long as the file is the same."""
    text = changed((root / mutant.path).read_text("utf-8"), mutant.operator, mutant.occurrence)
    return hashlib.sha256(f"{mutant.path}\n{text}".encode()).hexdigest()[:16]


def run(tree: Tree, equivalents: Path, folder: Path, options: argparse.Namespace) -> list[Result]:
    """Return the fates of the drawn mutants.

    Results that stand in `options.keep` are taken from there; new ones are added to it.

    Raises
    ------
    ValueError
        If an equivalent is no mutant of the code any more.
    RuntimeError
        If a test fails without a mutant, too, or another run uses the folder.
    """
    known = read_equivalents(equivalents)
    for entry in stale(tree.root, known):
        raise ValueError(
            f"{equivalents}: no mutant turns {entry.old!r} into {entry.new!r} in {entry.where} of "
            f"{entry.path}: argue it again, or take it out"
        )
    part, parts = options.part
    mutants = sample(tree, options.seed, options.count, options.only)[part - 1 :: parts]
    before = kept(options.keep)
    copy, results = None, []
    with ExitStack() as stack:
        for number, (area, mutant) in enumerate(mutants, 1):
            name = key(tree.root, mutant)
            found = before.get(name)
            equivalent = any(entry.means(mutant) for entry in known)
            if found is None and equivalent:
                found = Result(name, area.name, mutant, Verdict("", "", 0.0, True))
            if found is None or (options.survivors and found.survives and not equivalent):
                if copy is None:
                    made = Copy(tree.root, folder, tree.roots, options.limit)
                    copy = stack.enter_context(closing(made))
                tests = tree.tests(area, mutant.path)
                found = Result(
                    name, area.name, mutant, copy.try_mutant(mutant, tests, options.budget)
                )
                keep(options.keep, found)
                told_test = f" by {found.verdict.test}" if found.verdict.test else ""
                fate = found.verdict.killed or "SURVIVES"
                print(
                    f"{number}/{len(mutants)} {found.verdict.seconds:5.0f} s  {fate}{told_test}\n"
                    f"    {mutant.name}",
                    file=sys.stderr,
                    flush=True,
                )
            results.append(replace(found, mutant=mutant, equivalent=equivalent))
    return results


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50, help="of mutants")
    parser.add_argument("--only", default="", help="how the paths of the files begin")
    parser.add_argument(
        "--part",
        type=_part,
        default=(1, 1),
        help="try one part of them, as 1/2: parts run side by side, each in its own --folder, and "
        "with one file of --keep, from which a run without --part takes what they found",
    )
    parser.add_argument("--limit", type=float, default=300, help="seconds of one test")
    parser.add_argument("--budget", type=float, default=600, help="seconds of one mutant's tests")
    parser.add_argument("--survivors", action="store_true", help="try earlier survivors again")
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "mutants.jsonl")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutants", help="of a copy")
    parser.add_argument("--out", type=Path, help="a page that gets the table")
    parser.add_argument("--totals", type=Path, help="a file that gets what goals are judged by")
    return parser.parse_args(words)


def _part(text: str) -> tuple[int, int]:
    """Return which part, from 1, of how many."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise argparse.ArgumentTypeError(f"must be as 1/2, the first part of two, not {text}")
    return part, parts


def write(page: Path, text: str) -> None:
    """Put text between the marks of a page."""
    before, after = split_page(page, BEGIN, END)
    page.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}", "utf-8")


def main() -> None:
    """Print a table, or write it to a page."""
    options = arguments()
    version = commit()
    try:
        if options.out:
            split_page(options.out, BEGIN, END)
        results = run(Tree(ROOT, AREAS), EQUIVALENTS, options.folder.resolve(), options)
        text = f"{told(results)}; seed {options.seed}, commit {version}.\n\n{table(results)}"
        if options.out:
            write(options.out, text)
        if options.totals:
            tool = f"{len(results)} of seed {options.seed} (commit {version})"
            store(options.totals, "killed", [share(results, tool)])
    except (RuntimeError, ValueError, SystolithError) as error:
        sys.exit(f"error: {error}")
    print(text)


if __name__ == "__main__":
    main()
