"""Signatures with names: equal by class and members, never across classes."""

from typing import Any

import pytest
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.interface.signature import NamedSignature


class One(NamedSignature):
    pass


class Other(NamedSignature):
    pass


def test_the_same_members_are_the_same_interface():
    assert One({"a": In(3)}) == One({"a": In(3)})
    assert One({"a": In(3)}) != One({"a": In(4)})
    assert One({"a": In(3)}) != One({"a": Out(3)})


@pytest.mark.parametrize("other", [Other({"a": In(3)}), wiring.Signature({"a": In(3)}), None])
def test_another_name_is_another_interface(other):
    assert One({"a": In(3)}) != other


def test_a_component_complies_with_a_signature_made_again():
    class Part(wiring.Component):
        port: Any

        def __init__(self):
            super().__init__({"port": Out(One({"a": In(3)}))})

    assert One({"a": In(3)}).is_compliant(Part().port)
    assert not Other({"a": In(3)}).is_compliant(Part().port)
