"""The core for both kinds of convolution: direct, and Winograd's on patches."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring

from systolith_hw.compute.core import (
    chain_columns,
    direct_values,
    join_gathering,
    weight_gate_layout,
)
from systolith_hw.compute.mesh import Mesh
from systolith_hw.compute.sequencer import PixelSequencer, pixel_job_layout
from systolith_hw.compute.weights import WEIGHT_JOB, WeightLoader, weight_job_layout
from systolith_hw.compute.winograd.kernels import KernelSource
from systolith_hw.compute.winograd.lanes import LANE_JOB, LaneSequencer
from systolith_hw.compute.winograd.patches import PatchSource
from systolith_hw.compute.winograd.taps import TAP_JOB
from systolith_hw.interface.core import ConvCoreSignature, accumulate_layout
from systolith_hw.interface.engine import ComputeState
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.stream.deal import deal
from systolith_hw.stream.gate import TokenGate

__all__ = ["WinogradCore"]

_LANE_GATE = data.StructLayout({**LANE_JOB.members, "after_loaded_act": 24, "after_drained": 24})


@dataclass(frozen=True)
class _Parts:
    """The parts of the core."""

    weight_gate: TokenGate
    pixel_gate: TokenGate
    lane_gate: TokenGate
    loader: WeightLoader
    sequencer: PixelSequencer
    kernels: KernelSource
    patches: PatchSource
    lanes: LaneSequencer
    mesh: Mesh


class WinogradCore(wiring.Component):
    """Runs both kinds of CONV on the same array, direct ones in the same cycles as DirectCore.

    In a CONV with ``winograd`` the pixel sequencer gathers patches. Transforms turn patches and
    weights into lanes, which two rings hold: one for activations, one for weights. The lane
    sequencer runs 36 passes over each chunk in the rings. A ring has two halves, so gathering and
    passes overlap, also those of successive CONVs. Gathering waits for the activations only, the
    passes also for their accumulator bank. A pass takes max(patches, least_pass) cycles, and
    gathering keeps up with that, so passes follow each other without a pause.

    A CONV of the other kind waits until those before it have issued all their words.
    ConvCoreSignature describes the members.

    Parameters
    ----------
    config : AcceleratorConfig
    """

    conv: stream.Interface
    progress: Any
    act: Any
    weight: Any
    drain: Any
    status: Any
    gathering: Any

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(ConvCoreSignature(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        parts = _Parts(
            weight_gate=TokenGate(weight_gate_layout(config), {"after_loaded_weight": "loaded"}),
            pixel_gate=TokenGate(
                data.StructLayout(
                    {**pixel_job_layout(config).members, "patches": LANE_JOB["patches"].shape}
                ),
                {"after_loaded_act": "loaded", "after_drained": "drained"},
            ),
            lane_gate=TokenGate(
                _LANE_GATE, {"after_loaded_act": "loaded", "after_drained": "drained"}
            ),
            loader=WeightLoader(config),
            sequencer=PixelSequencer(config),
            kernels=KernelSource(config),
            patches=PatchSource(config),
            lanes=LaneSequencer(config),
            mesh=Mesh(config),
        )
        for name, part in vars(parts).items():
            m.submodules[name] = part

        # The kind of the instructions under way. When there are none, the next one may be of
        # either kind: `winograd` has changed before that instruction leaves its gates.
        winograd, vacant = Signal(), Signal()
        offered = vacant | (self.conv.p.winograd == winograd)
        with m.If(self.conv.valid & offered):
            m.d.sync += winograd.eq(self.conv.p.winograd)

        given = self._build_dispatch(m, parts, offered, winograd)
        self._build_feeds(m, parts, winograd)
        accumulate, last = self._build_edges(m, parts, winograd)
        done = chain_columns(m, config, accumulate, last, parts.mesh, self.drain)
        m.d.comb += self.status.done.eq(done)
        no_units = join_gathering(m, self, parts.loader, parts.sequencer)
        m.d.sync += vacant.eq(self._build_status(m, parts, given, winograd, no_units))
        return m

    def _build_dispatch(
        self, m: Module, parts: _Parts, offered: Any, winograd: Signal
    ) -> dict[str, Signal]:
        """Connect each CONV, through its gates, to the units that run it."""
        conv, loader, sequencer = self.conv, parts.loader, parts.sequencer
        gates = {"weight": parts.weight_gate, "pixel": parts.pixel_gate, "lane": parts.lane_gate}
        given = deal(
            m,
            conv,
            {name: gate.i for name, gate in gates.items()},
            wanted={"lane": conv.p.winograd},
            offered=offered,
        )
        for gate in gates.values():
            m.d.comb += gate.progress.eq(self.progress)
            m.d.comb += [gate.i.p[name].eq(conv.p[name]) for name in gate.layout.members]
        # Patches may be gathered while their bank is still being drained.
        with m.If(conv.p.winograd):
            m.d.comb += parts.pixel_gate.i.p.after_drained.eq(0)

        weight, pixel, lane = (gate.o for gate in gates.values())
        blocks, kernel_job = parts.kernels.blocks, parts.kernels.job
        with m.If(winograd):
            m.d.comb += [
                loader.job.valid.eq(blocks.valid),
                *(loader.job.p[name].eq(blocks.p[name]) for name in WEIGHT_JOB.members),
                blocks.ready.eq(loader.job.ready),
                kernel_job.valid.eq(weight.valid),
                weight.ready.eq(kernel_job.ready),
            ]
        with m.Else():
            m.d.comb += [loader.job.valid.eq(weight.valid), weight.ready.eq(loader.job.ready)]
            layout = weight_job_layout(self.config)
            m.d.comb += [loader.job.p[name].eq(weight.p[name]) for name in layout.members]
        m.d.comb += [kernel_job.p[name].eq(weight.p[name]) for name in TAP_JOB.members]
        m.d.comb += [
            sequencer.job.valid.eq(pixel.valid),
            pixel.ready.eq(sequencer.job.ready),
            # Nothing reads it before the sequencer has an instruction, so `valid` does not matter.
            parts.patches.load.eq(pixel.ready),
            parts.patches.patches.eq(pixel.p.patches),
            parts.lanes.job.valid.eq(lane.valid),
            lane.ready.eq(parts.lanes.job.ready),
        ]
        layout = pixel_job_layout(self.config)
        m.d.comb += [sequencer.job.p[name].eq(pixel.p[name]) for name in layout.members]
        m.d.comb += [parts.lanes.job.p[name].eq(lane.p[name]) for name in LANE_JOB.members]
        return given

    def _build_feeds(self, m: Module, parts: _Parts, winograd: Signal) -> None:
        """Connect the sequencers and the loader with the buffers, the rings and each other."""
        loader, sequencer, lanes = parts.loader, parts.sequencer, parts.lanes
        kernels, patches = parts.kernels, parts.patches
        m.d.comb += [
            sequencer.weights_ready.eq(Mux(winograd, patches.ready, loader.ready)),
            lanes.weights_ready.eq(loader.ready),
            loader.swap.eq(Mux(winograd, lanes.swap, sequencer.swap)),
            self.act.addr.eq(sequencer.act_addr),
            self.weight.addr.eq(Mux(winograd, kernels.raw.addr, loader.addr)),
            patches.pixel.eq(sequencer.busy & winograd),
            patches.i.eq(self.act.data),
            patches.start.eq(lanes.start),
            patches.release.eq(lanes.release),
            patches.read.addr.eq(lanes.addr),
            lanes.full.eq(patches.full),
            kernels.raw.data.eq(self.weight.data),
            kernels.capture.eq(loader.capture & winograd),
            kernels.read.addr.eq(loader.addr),
        ]

    def _build_edges(self, m: Module, parts: _Parts, winograd: Signal) -> tuple[Any, Signal]:
        """Connect data and flags of the current kind to the array's edge.

        Returns ``accumulate`` and ``done`` of the current kind.

        The choice travels from row to row and from column to column with the data. It reaches each
        row and column together with the data that is read in the cycle of the change.
        """
        lanes, sequencer, mesh = parts.lanes, parts.sequencer, parts.mesh
        accumulate: Any = Signal(accumulate_layout(self.config), name="accumulate_chosen")
        first, done = Signal(), Signal(name="done_chosen")
        with m.If(winograd):
            m.d.comb += [accumulate.eq(lanes.accumulate), first.eq(lanes.first)]
            m.d.comb += done.eq(lanes.done)
        with m.Else():
            m.d.comb += [accumulate.eq(sequencer.accumulate), first.eq(sequencer.act_first)]
            m.d.comb += done.eq(sequencer.done)
        capture = parts.loader.capture
        m.d.comb += [
            mesh.swap.eq(delay(m, first, SkewedMemory.LATENCY, "swap")),
            mesh.capture.eq(delay(m, capture, SkewedMemory.LATENCY, "capture")),
        ]
        acts = direct_values(m, self.config, sequencer, self.act.data)
        weights = [value.as_signed() for value in self.weight.data]
        edge = delay(m, winograd, SkewedMemory.LATENCY, "edge")
        for name, port, direct, ring in (
            ("row", mesh.act, acts, parts.patches.read.data),
            ("column", mesh.weight, weights, parts.kernels.read.data),
        ):
            chosen = edge
            for index, value in enumerate(port):
                m.d.comb += value.eq(Mux(chosen, ring[index], direct[index]))
                chosen = delay(m, chosen, 1, f"edge_{name}_{index}")
        return accumulate, done

    def _build_status(
        self,
        m: Module,
        parts: _Parts,
        given: dict[str, Signal],
        winograd: Signal,
        no_units: list[Any],
    ) -> Any:
        """Drive the status: the core's state, whether it is at rest, and addresses out of range.

        Returns whether there is no CONV. The core is not at rest then while it has units of
        weights for one that has yet to come, perhaps one of the other kind.
        """
        status, loader, kernels = self.status, parts.loader, parts.kernels
        sequencer, lanes = parts.sequencer, parts.lanes
        waiting = Mux(winograd, parts.lane_gate.waiting, parts.pixel_gate.waiting)
        with m.If(Mux(winograd, lanes.busy, sequencer.busy)):
            m.d.comb += status.state.eq(ComputeState.BUSY)
        with m.Elif(Mux(winograd, lanes.wait_weights, sequencer.wait_weights)):
            m.d.comb += status.state.eq(ComputeState.WAIT_WEIGHTS)
        with m.Elif((winograd & lanes.wait_chunk) | waiting[0]):
            m.d.comb += status.state.eq(ComputeState.WAIT_INPUT)
        with m.Elif(waiting[1]):
            m.d.comb += status.state.eq(ComputeState.WAIT_OUTPUT)

        # `rest` leaves out transforms and rings, since the lane sequencer holds the CONV that they
        # work for, and sums in the pipeline, since the controller waits for the CONV's `done`.
        vacant = Cat(
            parts.weight_gate.i.ready,
            parts.pixel_gate.i.ready,
            parts.lane_gate.i.ready,
            *(~held for held in given.values()),
            loader.job.ready,
            ~loader.ready,
            kernels.job.ready,
            ~sequencer.busy,
            ~sequencer.wait_weights,
            ~lanes.busy,
            ~lanes.wait_weights,
            ~lanes.wait_chunk,
        ).all()
        m.d.sync += status.rest.eq(Cat(vacant, *no_units).all())
        faults = (
            (loader.fault & ~winograd, loader.addr),
            (kernels.fault, kernels.fault_addr),
            (sequencer.fault, sequencer.fault_addr),
            (lanes.fault, lanes.fault_addr),
        )
        fault_addr = drive(m, status.fault_addr, "fault_addr_out")
        m.d.sync += status.fault.eq(Cat(fault for fault, _ in faults).any())
        for fault, addr in reversed(faults):
            with m.If(fault):
                m.d.sync += fault_addr.eq(addr)
        return vacant
