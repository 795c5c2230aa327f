"""Mutants differ from their module in the one place that was named."""

import pytest

from systolith_hw.spec import numerics
from systolith_sim.testing import mutants
from systolith_sim.testing.mutants import mutant


def test_a_mutant_is_a_copy_with_the_change():
    changed = mutant(mutants, ("text.count(old) != 1", "text.count(old) > 1"))
    assert changed.mutant(numerics, ("not there at all", "x")).__all__ == numerics.__all__
    with pytest.raises(ValueError, match=r"^a mutant's text must stand once in .*, not 0 times"):
        mutant(numerics, ("not there at all", "x"))


def test_a_text_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match=r"not \d+ times: 'def '$"):
        mutant(numerics, ("def ", "def "))
