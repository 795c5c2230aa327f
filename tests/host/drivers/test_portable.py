"""The portable part of the driver: it needs nothing but memcpy, and few bytes of code.

Cross compilers are taken where they are (Debian: gcc-riscv64-unknown-elf, gcc-arm-none-eabi).
"""

import re
import shutil
import subprocess

import pytest

from systolith_host.drivers.sources import PORTABLE
from systolith_sim.testing.c_programs import STRICT

TARGETS = {
    "this machine": ("", []),
    "rv32imc": ("riscv64-unknown-elf-", ["-march=rv32imc", "-mabi=ilp32"]),
    "rv64imac": ("riscv64-unknown-elf-", ["-march=rv64imac", "-mabi=lp64"]),
    "cortex-m4": ("arm-none-eabi-", ["-mcpu=cortex-m4", "-mthumb"]),
}

LARGEST = 12_000
"""Bytes of code and constants, back end and words included."""

HELPERS = re.compile(r"__(ashldi3|lshrdi3|muldi3|aeabi_\w+)")
"""Arithmetic that compilers bring themselves (libgcc, compiler-rt)."""


def output_of(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(params=TARGETS)
def objects(request, driver_sources, tmp_path):
    """Return the prefix of a target's tools and the folder with its objects."""
    prefix, options = TARGETS[request.param]
    if shutil.which(f"{prefix}gcc") is None:
        pytest.skip(f"{prefix}gcc is missing, so {request.param} is not tried")
    names = [*PORTABLE, "systolith_mmio.c"]
    sources = [str(driver_sources / name) for name in names]
    options = [*STRICT, "-Os", "-ffreestanding", *options, "-c", *sources]
    output_of([f"{prefix}gcc", *options], tmp_path)
    return prefix, tmp_path, [name.replace(".c", ".o") for name in names]


def test_it_needs_nothing_but_memcpy(objects):
    prefix, folder, names = objects
    lines = output_of([f"{prefix}nm", *names], folder).splitlines()
    symbols = [line.split() for line in lines if line and not line.endswith(":")]
    defined = {name for *_, kind, name in symbols if kind in "TDBRC"}
    wanted = {name for *_, kind, name in symbols if kind == "U"}
    others = {name for name in wanted - defined if not HELPERS.fullmatch(name)}
    assert others <= {"memcpy", "_GLOBAL_OFFSET_TABLE_"}
    assert "memcpy" in others
    # No variables: all state is the caller's.
    assert [name for *_, kind, name in symbols if kind in "DdBbC"] == []


def test_its_code_is_small(objects):
    prefix, folder, names = objects
    lines = output_of([f"{prefix}size", *names], folder).splitlines()
    sizes = {line.split()[-1]: int(line.split()[0]) for line in lines[1:]}
    print(sizes, sum(sizes.values()))
    assert sizes.keys() == set(names)
    assert 1000 < sum(sizes.values()) < LARGEST
