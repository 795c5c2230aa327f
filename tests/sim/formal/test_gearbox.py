"""Packer and unpacker are proved to keep every unit; those that do not have counterexamples."""

import pytest

from systolith_hw.stream import gearbox
from systolith_hw.stream.gearbox import Packer, Unpacker
from systolith_sim.formal.gearbox import PackerSpecification, UnpackerSpecification
from systolith_sim.formal.prove import prove
from systolith_sim.testing.mutants import mutant

SHAPES = [(4, 4), (4, 1), (8, 4), (4, 8), (4, 12), (8, 12), (16, 12), (32, 16), (8, 3)]
"""Bytes of a beat and of a word."""
CHANGERS = {
    "Packer": (Packer, PackerSpecification),
    "Unpacker": (Unpacker, UnpackerSpecification),
}


@pytest.mark.requirement("DAT-1")
@pytest.mark.parametrize("changer", CHANGERS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "{}-{}".format(*shape))
def test_the_rules_hold_in_every_cycle(changer, shape):
    component, specification = CHANGERS[changer]
    verdict = prove(specification(component(*shape)), specification.DEPTH)
    assert verdict.proved, verdict


MUTANTS = {
    "Unpacker": {
        "units not skipped": ("self.i.p.data >> (skip * unit)", "self.i.p.data"),
        "units not taken": ("Mux(push, self.i.p.take, 0)", "Mux(push, in_units, 0)"),
        "a word twice": ("kept.eq(Mux(pop, fill - out_units, fill))", "kept.eq(fill)"),
        "the same units again": (
            "shifted.eq(Mux(pop, held >> (out_units * unit), held))",
            "shifted.eq(held)",
        ),
        "units overwritten": ("room.eq(next_fill <= size - in_units)", "room.eq(1)"),
        "a beat held up": (
            "room.eq(next_fill <= size - in_units)",
            "room.eq(next_fill <= size - in_units - out_units)",
        ),
        "a word held back": ("next_fill >= out_units)", "next_fill > out_units)"),
        "a word of too few": ("next_fill >= out_units)", "next_fill >= out_units - 1)"),
        "empty too early": ("self.empty.eq(fill == 0)", "self.empty.eq(~some)"),
    },
    "Packer": {
        "strobes in front of a run": ("(lead <= index) & (fill > index)", "fill > index"),
        "strobes behind a run": ("(lead <= index) & (fill > index)", "lead <= index"),
        "a unit with half its strobes": ("replicate(self.unit_bytes)", "replicate(1)"),
        "a run at the beat's start": ("Mux(self.i.p.first, self.i.p.skip, kept)", "kept"),
        "two runs in a beat": ("room & ~flush", "room"),
        "a run that does not end": ("full_beat | (flush & some)", "full_beat"),
        "a run that ends early": ("full_beat | (flush & some)", "full_beat | some"),
        "strobes lost in later beats": ("lead.eq(0)", "lead.eq(lead)"),
        "the same units again": (
            "left = held >> (out_units * unit) if leaves else held",
            "left = held",
        ),
        "more than there is leaves": ("Mux(full_beat, fill - out_units, 0)", "(fill - out_units)"),
        "an empty beat": ("~full_beat | (fill == out_units)", "~full_beat"),
        "units overwritten": ("room & ~flush", "~flush"),
        "empty too early": ("~some & ~flush", "~full_beat & ~flush"),
    },
}


@pytest.mark.parametrize(
    ("changer", "name"), [(changer, name) for changer, names in MUTANTS.items() for name in names]
)
def test_a_changer_that_breaks_a_rule_has_a_counterexample(changer, name):
    _, specification = CHANGERS[changer]
    broken = getattr(mutant(gearbox, MUTANTS[changer][name]), changer)(4, 6)
    verdict = prove(specification(broken, inside=False), depth=8)
    print(verdict)
    assert not verdict.base
