"""Broken accelerators are broken in one place, and the next one is whole again."""

import pytest

from systolith_hw import accelerator
from systolith_hw.generate import Flavour, accelerator_verilog
from systolith_sim.testing.broken import BROKEN, broken_verilog
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.mutants import mutant


@pytest.mark.parametrize("name", BROKEN)
def test_each_has_its_text(name):
    part = BROKEN[name]
    changed = getattr(mutant(part.module, *part.changes), part.component)
    assert changed is not getattr(part.user, part.component)


def test_the_verilog_is_of_the_broken_component_and_that_one_alone():
    config = small_config(2, 2)
    whole = accelerator_verilog(config, Flavour.SIMULATION, flatten=True)
    before = accelerator.Fetch
    assert broken_verilog(config) == whole
    assert broken_verilog(config, BROKEN["fetch's `beat` is not reset"]) != whole
    assert accelerator.Fetch is before
