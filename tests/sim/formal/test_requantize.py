"""The requantiser is proved to compute its formula; broken ones have counterexamples."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from systolith_hw.store import requantize
from systolith_hw.store.requantize import Requantizer
from systolith_sim.formal.prove import prove
from systolith_sim.formal.requantize import (
    RequantizeProductSpecification,
    RequantizeSpecification,
)
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.mutants import mutant

MORE = os.environ.get("SYSTOLITH_PROOFS_MORE")
"""Widths whose proofs take minutes, too: `make formal` sets it."""
WIDTHS = [(20, 8), *([(32, 16), (30, 24)] if MORE else [])]
"""Bits of sums and multipliers."""
SMALL = [(6, 4, 3), (8, 4, 5), *([(10, 6, 4), (12, 6, 7)] if MORE else [])]
"""The same, and bits of the low part of a sum."""


def small_requantizer(module: Any, width: int, factor: int, low: int) -> Any:
    """Return a requantiser that is smaller than a configuration allows."""
    dut = module.Requantizer(SimpleNamespace(acc_width=width, multiplier_width=factor))
    dut.LOW_PART = low
    return dut


@pytest.mark.requirement("NUM-3")
@pytest.mark.parametrize(("width", "factor"), WIDTHS)
def test_the_value_follows_from_the_product(width, factor):
    config = small_config(acc_width=width, multiplier_width=factor)
    specification = RequantizeSpecification(Requantizer(config))
    verdict = prove(specification, specification.DEPTH)
    assert verdict.proved, verdict


@pytest.mark.requirement("NUM-3")
@pytest.mark.parametrize(("width", "factor", "low"), SMALL)
def test_the_product_is_exact(width, factor, low):
    specification = RequantizeProductSpecification(
        small_requantizer(requantize, width, factor, low)
    )
    verdict = prove(specification, specification.DEPTH)
    assert verdict.proved, verdict


MUTANTS = {
    "RequantizeSpecification": {
        "no rounding": ("((saturated + 1) >> 1)", "(saturated >> 1)"),
        "half is added twice": ("((saturated + 1) >> 1)", "((saturated + 2) >> 1)"),
        "a shift too far": ("shift.eq(self.param.shift - 1)", "shift.eq(self.param.shift)"),
        "the shift of another sum": ("low.LATENCY + 1, ", "low.LATENCY, "),
        "half the shift of another sum": ("delay(m, coarse_shift, 1,", "delay(m, coarse_shift, 0,"),
        "a shift without sign": ("product >> (coarse", "product.as_unsigned() >> (coarse"),
        "no saturation": ("top.all() | ~top.any()", "1"),
        "saturation too early": ("_SCALED_WIDTH = 11", "_SCALED_WIDTH = 9"),
        "no lower clamp": ("                shifted < self.output.low,\n", "                0,\n"),
        "no upper clamp": (
            "Mux(shifted > self.output.high, self.output.high, shifted)",
            "shifted[:8].as_signed()",
        ),
    },
    "RequantizeProductSpecification": {
        "no bias": ("self.sum + self.param.bias", "self.sum"),
        "the factor of another sum": ("low.b.eq(factor)", "low.b.eq(self.param.multiplier)"),
        "a high part without sign": ("Multiplier(signed(width", "Multiplier(unsigned(width"),
        "parts a bit apart": ("(high.product << low_part)", "(high.product << (low_part - 1))"),
        "a bit in both parts": ("biased[low_part:]", "biased[low_part - 1 :]"),
    },
}


@pytest.mark.parametrize("name", MUTANTS["RequantizeSpecification"])
def test_a_requantizer_that_rounds_or_clamps_wrongly_has_a_counterexample(name):
    broken = mutant(requantize, MUTANTS["RequantizeSpecification"][name])
    dut = small_requantizer(broken, 8, 5, 4)
    verdict = prove(RequantizeSpecification(dut, inside=False), depth=11)
    print(verdict)
    assert not verdict.base


@pytest.mark.parametrize("name", MUTANTS["RequantizeProductSpecification"])
def test_a_requantizer_that_multiplies_wrongly_has_a_counterexample(name):
    broken = mutant(requantize, MUTANTS["RequantizeProductSpecification"][name])
    dut = small_requantizer(broken, 8, 4, 5)
    verdict = prove(RequantizeProductSpecification(dut, inside=False), depth=6)
    print(verdict)
    assert not verdict.base
