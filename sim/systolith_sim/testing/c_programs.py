"""C programs of tests: compiled with all warnings as errors, and with the sanitizers."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["STRICT", "compile_c"]

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-pedantic")
"""Options under which the project's C compiles without a word."""

_SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compile_c(
    out: Path, sources: Sequence[Path], folders: Sequence[Path] = (), options: Sequence[str] = ()
) -> Path:
    """Compile C files to a program that ends at its first bad access, and return its path.

    Parameters
    ----------
    out : Path
        The program.
    sources : sequence of Path
    folders : sequence of Path
        With headers.
    options : sequence of str
        Further options of gcc.

    Raises
    ------
    RuntimeError
        If the compiler says anything.
    """
    command = ["gcc", *STRICT, *_SANITIZERS, *options, *(f"-I{folder}" for folder in folders)]
    command += [*map(str, sources), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode or done.stderr:
        raise RuntimeError(done.stderr)
    return out
