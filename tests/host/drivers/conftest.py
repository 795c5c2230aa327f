"""The C driver, compiled: with all warnings, and with the sanitizers."""

import shutil

import pytest

from systolith_host.drivers.sources import PORTABLE, write_driver
from systolith_sim.testing.c_programs import compile_c


@pytest.fixture(scope="session")
def driver_sources(tmp_path_factory):
    """Return the folder that `systolith driver` writes."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing, so the C driver is not tested")
    folder = tmp_path_factory.mktemp("driver")
    write_driver(folder)
    return folder


@pytest.fixture(scope="session")
def compile_with_driver(driver_sources):
    """Return a function that compiles C files with the driver's portable part."""

    def build(out, *sources, options=()):
        parts = [driver_sources / name for name in PORTABLE]
        return compile_c(out, [*sources, *parts], [driver_sources], options)

    return build
