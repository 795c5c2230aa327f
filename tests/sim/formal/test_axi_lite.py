"""The AXI4-Lite slave's rules are proved, and each proof fails on a slave that breaks its rule."""

import pytest

from systolith_hw.bus import registers
from systolith_hw.bus.registers import RegisterFile
from systolith_sim.formal.axi_lite import AxiLiteSpecification
from systolith_sim.formal.prove import prove
from systolith_sim.testing.configs import small_config
from systolith_sim.testing.mutants import mutant


@pytest.mark.requirement("AXI-1")
@pytest.mark.parametrize("addr_width", [16, 32, 48])
def test_the_rules_hold_in_every_cycle(addr_width):
    config = small_config(addr_width=addr_width)
    verdict = prove(AxiLiteSpecification(RegisterFile(config), config), AxiLiteSpecification.DEPTH)
    assert verdict.proved, verdict


WRITE = "write = have_addr & have_word & ~bus.bvalid"
WRITTEN = "[have_addr.eq(0), have_word.eq(0), bus.bvalid.eq(1)]"
ANSWERED = "        with m.Elif(bus.bready):\n"
READ = "        with m.Elif(bus.rready):\n"
MUTANTS = {
    "B before any write": (
        ANSWERED,
        "        with m.Elif(bus.awvalid & ~bus.bvalid):\n"
        f"            m.d.sync += bus.bvalid.eq(1)\n{ANSWERED}",
    ),
    "B without W": (WRITE, "write = have_addr & ~bus.bvalid"),
    "B without AW": (WRITE, "write = have_word & ~bus.bvalid"),
    "B withdrawn": (ANSWERED, ANSWERED.replace("bus.bready", "1")),
    "B twice": (ANSWERED, ANSWERED.replace("bus.bready", "bus.bready & bus.awready")),
    "no B": (WRITTEN, WRITTEN.replace("valid.eq(1)", "valid.eq(addr[2:] != 5)")),
    "a write while a B waits": (WRITE, "write = have_addr & have_word"),
    "a write twice": (WRITTEN, WRITTEN.replace("eq(0)", "eq(bus.awvalid)")),
    "an AW lost": ("bus.awready.eq(~have_addr)", "bus.awready.eq(~have_addr | write)"),
    "a W lost": ("bus.wready.eq(~have_word)", "bus.wready.eq(~have_word | write)"),
    "another register written": (
        "hit = write & (addr[2:] == offset >> 2)",
        "hit = write & (addr[3:] == offset >> 3)",
    ),
    "a pulse for ever": ("eq(Mux(hit, word, 0))", "eq(Mux(hit, word, pulse[bits]))"),
    "the beyond of one half forgotten": ("Cat(kept, beyond.any())", "Cat(kept, beyond[0])"),
    "R before AR": (
        "with m.If(pending):\n            m.d.sync += bus.rvalid",
        "with m.If(pending | ~bus.arvalid):\n            m.d.sync += bus.rvalid",
    ),
    "R withdrawn": (READ, READ.replace("bus.rready", "1")),
    "two reads at once": ("~chosen & ~pending & ~bus.rvalid", "~chosen & ~bus.rvalid"),
    "R changes while it waits": (
        "with m.If(pending):\n            m.d.sync += bus.rdata",
        "with m.If(pending | bus.rvalid):\n            m.d.sync += bus.rdata",
    ),
    "another word read": ("addr[2 + len(low) :] == index", "addr[3 + len(low) :] == index >> 1"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_slave_that_breaks_a_rule_has_a_counterexample(name):
    config = small_config()
    broken = mutant(registers, MUTANTS[name]).RegisterFile(config)
    verdict = prove(AxiLiteSpecification(broken, config, inside=False), depth=8)
    print(verdict)
    assert not verdict.base
    assert verdict.failed
