"""Compiled functions that are kept on disk: none outlives a change of a file that it came from."""

import os
import subprocess
import sys

CALLER = """
from functools import cache

import called
from systolith_host.jit import hash_of, njit

inner = njit()(called.number)


@cache
def kept(sources):
    @njit(cache=True)
    def entry(value):
        made_of = sources
        return inner(value)

    return entry


entry = kept(hash_of(__file__, called.__file__))
print(entry(3), sum(entry.stats.cache_hits.values()))
"""


def test_a_kept_function_is_compiled_again_when_one_that_it_calls_has_changed(tmp_path):
    (tmp_path / "caller.py").write_text(CALLER)
    environment = dict(os.environ, NUMBA_CACHE_DIR=str(tmp_path / "cache"))

    def run(body):
        (tmp_path / "called.py").write_text(f"def number(value):\n    return {body}\n")
        done = subprocess.run(
            [sys.executable, "-B", "caller.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout.split()

    assert run("value + 1") == ["4", "0"]
    assert run("value + 1") == ["4", "1"]
    assert run("value * 5") == ["15", "0"]
