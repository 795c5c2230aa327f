"""Functions in a process with limits."""

import signal
import sys

import numpy as np

from systolith_sim.testing.limited import run_limited


def take(megabytes):
    np.ones(megabytes << 20, np.uint8)


def spin():
    while True:
        pass


def test_within_its_limits_it_returns():
    assert run_limited(take, 10, more_bytes=200 << 20, seconds=20) == 0


def test_its_own_exit_code_is_returned():
    assert run_limited(sys.exit, 7, more_bytes=200 << 20, seconds=20) == 7


def test_more_memory_than_allowed_fails():
    assert run_limited(take, 400, more_bytes=100 << 20, seconds=20) == 1


def test_more_time_than_allowed_is_ended():
    assert run_limited(spin, more_bytes=200 << 20, seconds=1) == -signal.SIGKILL
