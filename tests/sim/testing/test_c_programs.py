"""The sanitizers and the warnings are on: a bad access ends the program, a warning the build."""

import shutil
import subprocess

import pytest

from systolith_sim.testing.c_programs import compile_c

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")


def program(folder, body):
    (folder / "p.c").write_text(f"int main(int n, char **w)\n{{\n    (void)w;\n    {body}\n}}\n")
    return compile_c(folder / "p", [folder / "p.c"])


def test_an_access_beyond_an_array_ends_the_program(tmp_path):
    built = program(tmp_path, "char a[4] = {0};\n    return a[3 + n];")
    done = subprocess.run([built], capture_output=True, text=True)
    assert done.returncode != 0
    assert "stack-buffer-overflow" in done.stderr or "out of bounds" in done.stderr


def test_an_overflow_ends_the_program(tmp_path):
    built = program(tmp_path, "return (0x7fffffff + n) != 0;")
    assert (
        "signed integer overflow" in subprocess.run([built], capture_output=True, text=True).stderr
    )


def test_a_warning_fails(tmp_path):
    with pytest.raises(RuntimeError, match="unused variable"):
        program(tmp_path, "int unused;\n    return n;")
