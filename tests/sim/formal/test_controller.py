"""DONE is proved to mean that all is finished and at rest; a hasty controller is refuted."""

import pytest
from amaranth.hdl import Assert

from systolith_hw.control import controller
from systolith_hw.control.controller import Controller
from systolith_sim.formal.controller import ControllerSpecification
from systolith_sim.formal.prove import prove
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.mutants import mutant

SHAPES = [
    {"rows": 2, "cols": 2, "addr_width": 16},
    {"rows": 4, "cols": 8, "addr_width": 32},
    {"rows": 16, "cols": 16, "addr_width": 48},
]


@pytest.mark.requirement("ERR-4")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape["rows"]))
def test_the_rules_hold_in_every_cycle(shape):
    config = small_config(**shape)
    specification = ControllerSpecification(Controller(config), config)
    verdict = prove(specification, specification.DEPTH)
    assert verdict.proved, verdict


class Never(ControllerSpecification):
    """Also claims that no program is ever done."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += Assert(~self.dut.done, "no program is done")
        return m


def test_what_is_assumed_lets_programs_be_done():
    config = small_config()
    verdict = prove(Never(Controller(config), config, inside=False), depth=20)
    assert verdict.failed == ("no program is done",)


MUTANTS = {
    "instructions that fetch still has": ("finished.eq(fetched & Cat", "finished.eq(Cat"),
    "instructions under way": ("Cat(settled.values()).all() & self.quiet", "self.quiet"),
    "a STORE that is not in memory": (
        "Cat(settled.values()).all() & self.quiet",
        "Cat(list(settled.values())[:-1]).all() & self.quiet",
    ),
    "an instruction that was just handed out": (
        "m.d.sync += settled[name].eq(open_work[name].all())",
        "m.d.sync += settled[name].eq(settled[name])",
    ),
    "a burst outstanding": (".all() & self.quiet)", ".all())"),
    "an engine that is not at rest": ("finished & self.rest.all()", "finished"),
    "an engine that never was": ("Mux(leftover, ~self.rest, 0)", "Mux(leftover, 0, 0)"),
    "the end of the program before": ("with m.If(settle != 0):", "with m.If(0):"),
    "a fault in time": ("with m.Elif(complete & ~failing):", "with m.Elif(complete):"),
    "the count of the next program": ("with m.If(self.begin):", "with m.If(1):"),
    "an instruction not counted": (
        "progress[name].eq(progress[name] + 1)",
        "progress[name].eq(progress[name] + ~self.activity)",
    ),
}
"""What a program's end overlooks."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_controller_that_ends_too_early_has_a_counterexample(name):
    config = small_config(addr_width=16)
    broken = mutant(controller, MUTANTS[name]).Controller(config)
    verdict = prove(ControllerSpecification(broken, config, inside=False), depth=24)
    print(verdict)
    assert not verdict.base
