"""Proofs are found, counterexamples are named, and what cannot be induced is not called proved."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_sim.formal import prove as proofs
from systolith_sim.formal.prove import ProofError, Specification, Verdict, prove


class Decade(wiring.Component):
    """Counts from 0 to 9; `over` is never high."""

    enable: Signal
    over: Signal

    def __init__(self):
        super().__init__({"enable": In(1), "over": Out(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(4, name="count")
        with m.If(self.enable):
            m.d.sync += count.eq(Mux(count == 9, 0, count + 1))
        m.d.comb += self.over.eq(count == 12)
        return m


class DecadeSpecification(Specification):
    seen: Signal

    def __init__(self, *, inside=True, limit=9, enabled=True):
        self.limit = limit
        self.enabled = enabled
        super().__init__(probes={"seen": ("dut.count", 4)}, inside=inside)

    def elaborate(self, platform):
        m = Module()
        self.place(m, dut := Decade())
        if not self.enabled:
            m.d.comb += Assume(~dut.enable, "it stands still")
        m.d.comb += Assert(~dut.over, "it is never over")
        if self.inside:
            m.d.comb += Assert(self.seen <= self.limit, "it counts (no further) than its limit")
        return m


def test_what_holds_is_proved():
    assert prove(DecadeSpecification()) == Verdict(True, True)


def test_what_holds_but_is_not_inductive_is_not_proved():
    verdict = prove(DecadeSpecification(inside=False), depth=3)
    assert verdict == Verdict(True, False, ("it is never over",))
    assert not verdict.proved


@pytest.mark.parametrize(("depth", "base"), [(8, True), (9, False)])
def test_a_counterexample_within_the_depth_is_named(depth, base):
    verdict = prove(DecadeSpecification(limit=7), depth)
    assert verdict == Verdict(base, False, ("it counts (no further) than its limit",))


def test_what_is_assumed_never_happens():
    assert prove(DecadeSpecification(limit=0, enabled=False)).proved


def test_a_probe_of_nothing_is_an_error():
    specification = DecadeSpecification()
    specification.probes["seen"] = ("dut.nowhere", 4)
    with pytest.raises(ProofError, match=r"^Yosys failed: ERROR: .*dut\.nowhere"):
        prove(specification)


def test_a_proof_has_a_time_limit(monkeypatch):
    monkeypatch.setattr(proofs, "LIMIT_SECONDS", 0.01)
    with pytest.raises(ProofError, match=r"^no verdict within 0\.01 s$"):
        prove(DecadeSpecification())
