"""Errors for people: whatever they come from, they are of one family."""

import pytest

from systolith_host import errors
from systolith_host.extras import MissingExtraError
from systolith_hw.generate import GenerateError
from systolith_hw.spec.config import ConfigError
from systolith_hw.spec.errors import SystolithError
from systolith_sim.emulator.device import EmulatorError
from systolith_sim.rtl.build import SimulatorError

KINDS = (ConfigError, EmulatorError, GenerateError, MissingExtraError, SimulatorError)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_of_the_family(kind):
    assert issubclass(kind, SystolithError)


def test_a_bad_configuration_is_a_bad_value_too():
    assert issubclass(ConfigError, ValueError)


def test_the_host_has_no_class_of_its_own():
    assert errors.SystolithError is SystolithError
