"""Fields: legal values, defaults, and the configurations that have them."""

import pytest

from systolith_hw.spec.field import Field, Role
from systolith_sim.testing.configs import small_config


@pytest.mark.parametrize(
    ("field", "low", "high", "default"),
    [
        (Field("a", 8, "plain"), 0, 255, 0),
        (Field("a", 8, "signed", signed=True), -128, 127, 0),
        (Field("a", 8, "limited", least=1, most=9), 1, 9, 1),
        (Field("a", 16, "a count", least=1, role=Role.COUNT), 1, 65535, 1),
    ],
)
def test_limits_are_those_of_the_width_unless_given(field, low, high, default):
    assert (field.low, field.high, field.default) == (low, high, default)


def test_external_values_take_the_bits_of_an_address():
    assert Field("a", 48, "address", external=True).bits(32) == 32
    assert Field("a", 16, "address", external=True).bits(32) == 16
    assert Field("a", 48, "number").bits(32) == 48


def test_a_field_of_an_option_is_there_with_it_alone():
    field = Field("a", 1, "use it", option="functions")
    assert field.present(small_config(functions=1))
    assert not field.present(small_config())
    assert Field("a", 1, "always").present(small_config())
