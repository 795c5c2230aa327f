"""Proofs are found, counterexamples are named, and what cannot be induced is not called proved."""

import time
from pathlib import Path

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


class Factors(wiring.Component):
    """Says whether two numbers are the factors of a large one, which solvers take long to find."""

    left: Signal
    right: Signal
    found: Signal

    def __init__(self):
        super().__init__({"left": In(61), "right": In(61), "found": Out(1)})

    def elaborate(self, platform):
        m = Module()
        large = (10**18 + 9) * (3 * 10**17 + 11)
        both = (self.left > 1) & (self.right > 1)
        m.d.comb += self.found.eq((self.left * self.right == large) & both)
        return m


class FactorsSpecification(Specification):
    def elaborate(self, platform):
        m = Module()
        self.place(m, dut := Factors())
        m.d.comb += Assert(~dut.found, "it is a prime")
        return m


def test_a_solver_does_not_outlive_its_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(proofs, "LIMIT_SECONDS", 4)
    monkeypatch.setattr(proofs.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ProofError, match="no verdict within 4 s"):
        prove(FactorsSpecification())
    until = time.monotonic() + 10  # what was killed takes a moment to go
    while left := [link for link in Path("/proc").glob("[0-9]*/cwd") if within(link, tmp_path)]:
        assert time.monotonic() < until, left
        time.sleep(0.1)


def within(link, folder):
    try:
        return str(folder) in str(link.readlink())
    except OSError:  # has ended, or is another user's
        return False
