"""Rules of the gate that holds an instruction until its tokens are there."""

from amaranth.hdl import Assert, Assume, Cat, Module, Shape, Signal

from systolith_hw.interface.layouts import PROGRESS_LAYOUT
from systolith_hw.stream.gate import TokenGate
from systolith_sim.formal.prove import Specification
from systolith_sim.formal.stream_contract import StreamContract
from systolith_sim.formal.tracked import Tracked

__all__ = ["TokenGateSpecification"]


class TokenGateSpecification(Specification):
    """The rules of a token gate, for counters that do not fall while an instruction is held.

    - Instructions leave as they came, none is lost or doubled.
    - One is offered from the cycle after that in which all counts it names are reached, and not
      before; then it stays, unchanged, until it is taken.
    - ``waiting`` names the counts that are not reached.

    Parameters
    ----------
    dut : TokenGate
    inside : bool
        Whether to assert also what holds inside of it, for the induction.
    """

    DEPTH = 2

    seen_full: Signal
    seen_held: Signal
    seen_met: Signal

    def __init__(self, dut: TokenGate, *, inside: bool = True) -> None:
        self.dut = dut
        self.width = Shape.cast(dut.layout).width
        probes = {
            "seen_full": ("dut.full", 1),
            "seen_held": ("dut.held", self.width),
            "seen_met": ("dut.met", len(dut.conditions)),
        }
        super().__init__(probes=probes, inside=inside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.dut
        self.place(m, dut)
        m.submodules.contract = contract = StreamContract.of(dut.o)
        m.submodules.instructions = instructions = Tracked(
            [(dut.i.valid & dut.i.ready, dut.i.p)], [(dut.o.valid & dut.o.ready, dut.o.p)], 1
        )
        held = instructions.level != 0
        # The counters of the cycle before, and whether this instruction was already held then.
        before = Signal(PROGRESS_LAYOUT)
        stayed = Signal()
        m.d.sync += [before.eq(dut.progress), stayed.eq(held & ~(dut.o.valid & dut.o.ready))]
        reached = Cat(
            stayed & (before[counter] >= dut.o.p[field])
            for field, counter in dut.conditions.items()
        )
        for counter in PROGRESS_LAYOUT.members:
            grows = dut.progress[counter] >= before[counter]
            m.d.comb += Assume(~held | grows, "counters grow")
        m.d.comb += [
            Assert(contract.kept, "an instruction stays until it is taken"),
            *instructions.rules("instructions"),
            Assert(dut.o.valid == (held & reached.all()), "one passes when its tokens are there"),
            Assert(dut.i.ready == ~held, "one that is alone is taken at once"),
            Assert(
                dut.waiting == (~reached & held.replicate(len(reached))),
                "what it waits for is known",
            ),
        ]
        if self.inside:
            m.d.comb += instructions.invariants([(self.seen_full, self.seen_held)], "instructions")
            m.d.comb += Assert(~held | (self.seen_met == reached), "the tokens are known")
        return m
