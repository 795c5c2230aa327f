"""A small network's report, gathered once for all tests of this folder."""

import pytest
from rich.console import Console

from systolith_host.progress import ProgressLog
from systolith_host.visual.assemble import PageOptions, assemble
from systolith_host.visual.subject import load_subject
from systolith_hw.spec.presets import PRESETS
from systolith_sim.memory.timing import MemoryTiming


@pytest.fixture(scope="package")
def log():
    with ProgressLog(Console(quiet=True)) as log:
        yield log


@pytest.fixture(scope="package")
def subject(log):
    return load_subject("mini", PRESETS["tiny"], MemoryTiming(), 1, log)


@pytest.fixture(scope="package")
def data(subject, log):
    return assemble(subject, PageOptions(bandwidths=(1, 2, 4, 8)), log)
