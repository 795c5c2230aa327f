"""Runs tests on a copy of the tree with one mutant in it."""

import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mutation.mutants import Mutant, changed

__all__ = ["Copy", "Verdict"]

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "build", "__pycache__", "*.egg-info", ".*_cache"
)
MEMORY = 16 << 30
"""Bytes of address space that a test may take: a mutant may ask for any size."""

START = 120
"""Seconds that pytest may take before the first test, on a busy machine."""

NO_TESTS = 5
"""pytest's exit status where it finds none."""

TIMEOUT = "Timeout ("
RUNNING = re.compile(
    r"^(\S+\.py::.*?)(?: (?:PASSED|SKIPPED|FAILED|ERROR|XFAIL|Timeout \(|Fatal Python error:).*)?$",
    re.M,
)
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+\.py(?:::.*?)?)(?: - .*)?$", re.M)


@dataclass(frozen=True)
class Verdict:
    """What tests said.

    Attributes
    ----------
    killed : str
        "failed", "timed out" or "": no test noticed anything.
    test : str
        Which did.
    seconds : float
    whole : bool
        Whether all tests were run, rather than as many as there was time for.
    """

    killed: str
    test: str
    seconds: float
    whole: bool


class Copy:
    """A copy of a tree, in which mutants come and go.

    Parameters
    ----------
    root : Path
        The tree, which stays as it is.
    folder : Path
        Where the copy, its caches and temporary files are.
    roots : tuple of str
        Folders of the tree that Python imports from.
    limit : float
        Seconds that a test may take: more than any test of the tree does.

    Raises
    ------
    RuntimeError
        If another run uses the folder: its mutants would be in the same copy.
    """

    def __init__(self, root: Path, folder: Path, roots: tuple[str, ...], limit: float) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.limit = limit
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RuntimeError(f"another run uses {folder}: name another --folder") from None
        self._cache = folder / "cache"
        for one in ("builds", "numba"):
            (self._cache / one).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(root, self.tree, ignore=LEFT_OUT, symlinks=True)
        self._roots = [str(self.tree / one) for one in roots]
        self._sound: set[str] = set()
        python = [sys.executable, "-m", "compileall", "-q", *self._roots]
        subprocess.run(python, check=True, stdout=subprocess.DEVNULL)

    def close(self) -> None:
        """Leave the folder to others."""
        self._lock.close()

    def try_mutant(self, mutant: Mutant, tests: list[str], budget: float) -> Verdict:
        """Return what the tests say of a mutant, the first that fails or takes too long.

        Parameters
        ----------
        mutant : Mutant
        tests : list of str
            Files, in this order.
        budget : float
            Seconds after which no more tests are run.

        Raises
        ------
        RuntimeError
            If that test fails without the mutant, too.
        """
        file = self.tree / mutant.path
        text = file.read_text("utf-8")
        state = file.stat()
        file.write_text(changed(text, mutant.operator, mutant.occurrence), "utf-8")
        # Python takes a compiled module for new if time, in seconds, and size of its source fit.
        os.utime(file, (state.st_mtime + 10, state.st_mtime + 10))
        seconds = 0.0
        try:
            for some in _portions(tests):
                verdict = self._run(some, budget - seconds, self._scratch_cache())
                seconds += verdict.seconds
                if verdict.killed or not verdict.whole:
                    break
            else:
                verdict = Verdict("", "", seconds, True)
        finally:
            file.write_text(text, "utf-8")
            os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
        if verdict.killed and verdict.test not in self._sound:
            self._confirm(verdict)
        return replace(verdict, seconds=round(seconds, 1))

    def _confirm(self, verdict: Verdict) -> None:
        """Check that a test passes without a mutant."""
        collected = [] if "::" in verdict.test else ["--collect-only"]
        again = self._run([*collected, verdict.test], START + self.limit, self._cache)
        if again.killed or not again.whole:
            raise RuntimeError(f"{verdict.test} does not pass without a mutant: mend it first")
        self._sound.add(verdict.test)

    def _scratch_cache(self) -> Path:
        """Return a copy of the cache: what a mutant adds is no one else's."""
        cache = self.folder / "scratch"
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(self._cache, cache, copy_function=os.link, symlinks=True)
        return cache

    def _run(self, tests: list[str], budget: float, cache: Path) -> Verdict:
        scratch = self.folder / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(self._roots),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": str(cache / "numba"),
            "SYSTOLITH_CACHE": str(cache / "builds"),
            "TMPDIR": str(scratch),
        }
        command = [
            *(sys.executable, "-m", "pytest", "-x", "-v", "-rfE", "--color=no"),
            *("-p", "no:cacheprovider", "-o", f"faulthandler_timeout={self.limit}"),
            *("-o", "faulthandler_exit_on_timeout=true", *tests),
        ]
        start = time.monotonic()
        output = scratch / "output"
        with output.open("w") as told:
            process = subprocess.Popen(
                command,
                cwd=self.tree,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
            )
            try:
                code = process.wait(budget)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        text = output.read_text("utf-8", "replace")
        return self._verdict(code, text, tests, time.monotonic() - start)

    def _verdict(self, code: int | None, text: str, tests: list[str], seconds: float) -> Verdict:
        running = RUNNING.findall(text)
        if code in (0, NO_TESTS):
            return Verdict("", "", seconds, True)
        # In the time of a whole test not even the first one has begun.
        stuck = code is None and not running and seconds >= self.limit
        if code is None and not stuck:
            return Verdict("", "", seconds, False)
        failed = FAILED.findall(text)
        if failed:
            return Verdict("failed", failed[0], seconds, True)
        test = running[-1].strip() if running else tests[-1]
        return Verdict("timed out" if stuck or TIMEOUT in text else "failed", test, seconds, True)


def _portions(tests: list[str]) -> Iterator[list[str]]:
    """Yield the tests in portions that grow: pytest imports all that it is given first."""
    size = 1
    while tests:
        yield tests[:size]
        tests, size = tests[size:], 2 * size
