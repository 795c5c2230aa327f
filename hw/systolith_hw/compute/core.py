"""The direct convolution core: the systolic array with its feeders and accumulators."""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import connect

from systolith_hw.compute.accumulator import AccumulatorColumn
from systolith_hw.compute.mesh import Mesh
from systolith_hw.compute.sequencer import PixelSequencer, pixel_job_layout
from systolith_hw.compute.weights import WeightLoader, weight_job_layout
from systolith_hw.interface.core import ConvCoreSignature
from systolith_hw.interface.engine import ComputeState
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.primitives.delay import delay
from systolith_hw.primitives.register import drive
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.stream.deal import deal
from systolith_hw.stream.gate import TokenGate

__all__ = [
    "DirectCore",
    "chain_columns",
    "direct_values",
    "join_gathering",
    "weight_gate_layout",
]


def weight_gate_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Return the layout of what the gate of weights holds."""
    return data.StructLayout({**weight_job_layout(config).members, "after_loaded_weight": 24})


def join_gathering(
    m: Module, core: Any, loader: WeightLoader, sequencer: PixelSequencer
) -> list[Any]:
    """Connect a core's ``gathering`` with its loader and its sequencer, if it gathers.

    Returns
    -------
    list of Value
        Are set while no unit of weights is left over.
    """
    if not core.config.gather:
        return []
    gathering = core.gathering
    m.d.comb += [
        loader.words.eq(gathering.active.words),
        sequencer.words.eq(gathering.active.words),
        loader.complete.eq(gathering.complete),
        gathering.free.eq(loader.free),
    ]
    return [~loader.holds]


def direct_values(
    m: Module, config: AcceleratorConfig, sequencer: PixelSequencer, values: Any
) -> list[Any]:
    """Return the activations from the buffer as the array takes them in direct convolutions.

    ``unsigned`` travels from row to row with the activations.
    """
    if not config.gather:
        return [value.as_signed() for value in values]
    unsigned = delay(m, sequencer.unsigned, SkewedMemory.LATENCY, "unsigned")
    found = []
    for index, value in enumerate(values):
        found.append(Cat(value, value[-1] & ~unsigned).as_signed())
        unsigned = delay(m, unsigned, 1, f"unsigned_{index}")
    return found


def chain_columns(
    m: Module, config: AcceleratorConfig, accumulate: Any, done: Any, mesh: Mesh, drain: Any
) -> Signal:
    """Build the accumulators: commands travel along all columns, reads along each lane group.

    Parameters
    ----------
    m : Module
        The core's.
    config : AcceleratorConfig
    accumulate : :func:`accumulate_layout`
        In the cycle in which row 0's activation is addressed in its buffer or ring.
    done : Value
        It is the last of an instruction.
    mesh : Mesh
        The array, whose partial sums the columns take.
    drain : :class:`DrainRead`
        The core's drain port: column j belongs to lane j % post_lanes.

    Returns
    -------
    Signal
        Pulse: the last sum of an instruction is in its bank.
    """
    lanes = config.post_lanes
    ahead = SkewedMemory.LATENCY + Mesh.latency(config) - AccumulatorColumn.READ_LATENCY
    accumulate = delay(m, accumulate, ahead, "accumulate")

    columns = [AccumulatorColumn(config) for _ in range(config.cols)]
    for j, column in enumerate(columns):
        m.submodules[f"column_{j}"] = column
        m.d.comb += [
            column.accumulate.eq(accumulate),
            column.psum.eq(mesh.psum[j]),
            column.drain.eq(columns[j - 1].drain_next if j % lanes else drain.place),
        ]
        accumulate = column.accumulate_next
    # Nobody reads a sum that a reset has met, but the controller would count its CONV.
    later = ahead + config.cols + AccumulatorColumn.UPDATE_LATENCY - 1
    done = delay(m, done, later, "done", reset=True)

    group = delay(m, drain.group, AccumulatorColumn.READ_LATENCY, "group")
    for lane in range(lanes):
        choices = Array(column.sum for column in columns[lane::lanes])
        total = Signal(signed(config.sum_width), name=f"sum_{lane}", reset_less=True)
        m.d.sync += total.eq(choices[group])
        m.d.comb += drain.sum[lane].eq(total)
        group = delay(m, group, 1, f"lane_group_{lane}")
    return done


class DirectCore(wiring.Component):
    """Weight-stationary convolution: one multiply-accumulate per processing element and cycle.

    A CONV takes :func:`systolith_hw.spec.timing.conv_cycles` cycles. CONVs follow each other
    without a pause as long as the counts that they wait for are reached in time. ConvCoreSignature
    describes the members.

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
        m.submodules.loader = loader = WeightLoader(self.config)
        m.submodules.sequencer = sequencer = PixelSequencer(self.config)
        m.submodules.mesh = mesh = Mesh(self.config)
        m.submodules.weight_gate = weight_gate = TokenGate(
            weight_gate_layout(self.config), {"after_loaded_weight": "loaded"}
        )
        m.submodules.pixel_gate = pixel_gate = TokenGate(
            pixel_job_layout(self.config),
            {"after_loaded_act": "loaded", "after_drained": "drained"},
        )

        # Each gate takes a CONV as soon as it is free, without the other: the weights of short
        # CONVs must start while the pixels of the CONV before still wait in their gate. `deal`
        # keeps its state in registers, since the queue is far from both gates.
        given = deal(m, self.conv, {"weight": weight_gate.i, "pixel": pixel_gate.i})
        m.d.comb += [
            weight_gate.progress.eq(self.progress),
            pixel_gate.progress.eq(self.progress),
            loader.job.valid.eq(weight_gate.o.valid),
            weight_gate.o.ready.eq(loader.job.ready),
        ]
        for gate in (weight_gate, pixel_gate):
            m.d.comb += [gate.i.p[name].eq(self.conv.p[name]) for name in gate.layout.members]
        layout = weight_job_layout(self.config)
        m.d.comb += [loader.job.p[name].eq(weight_gate.o.p[name]) for name in layout.members]
        connect(m, pixel_gate.o, sequencer.job)
        no_units = join_gathering(m, self, loader, sequencer)
        m.d.comb += [
            sequencer.weights_ready.eq(loader.ready),
            loader.swap.eq(sequencer.swap),
            self.act.addr.eq(sequencer.act_addr),
            self.weight.addr.eq(loader.addr),
        ]

        with m.If(sequencer.busy):
            m.d.comb += self.status.state.eq(ComputeState.BUSY)
        with m.Elif(sequencer.wait_weights):
            m.d.comb += self.status.state.eq(ComputeState.WAIT_WEIGHTS)
        with m.Elif(pixel_gate.waiting[0]):
            m.d.comb += self.status.state.eq(ComputeState.WAIT_INPUT)
        with m.Elif(pixel_gate.waiting[1]):
            m.d.comb += self.status.state.eq(ComputeState.WAIT_OUTPUT)

        # `rest` leaves out the pixels in the pipeline: the controller waits for the CONV's `done`.
        m.d.sync += self.status.rest.eq(
            Cat(
                weight_gate.i.ready,
                pixel_gate.i.ready,
                ~given["weight"],
                ~given["pixel"],
                loader.job.ready,
                ~loader.ready,
                ~sequencer.busy,
                ~sequencer.wait_weights,
                *no_units,
            ).all()
        )
        self._build_edges(m, loader, sequencer, mesh)
        done = chain_columns(m, self.config, sequencer.accumulate, sequencer.done, mesh, self.drain)
        m.d.comb += self.status.done.eq(done)
        fault_addr = drive(m, self.status.fault_addr, "fault_addr_out")
        m.d.sync += [
            self.status.fault.eq(loader.fault | sequencer.fault),
            fault_addr.eq(Mux(loader.fault, loader.addr, sequencer.fault_addr)),
        ]
        return m

    def _build_edges(
        self, m: Module, loader: WeightLoader, sequencer: PixelSequencer, mesh: Mesh
    ) -> None:
        """Delay the flags, so that they reach the array's edge with the data read for them."""
        if self.config.gather:
            values = direct_values(m, self.config, sequencer, self.act.data)
            m.d.comb += [port.eq(value) for port, value in zip(mesh.act, values, strict=True)]
        else:
            m.d.comb += mesh.act.eq(self.act.data)
        m.d.comb += [
            mesh.swap.eq(delay(m, sequencer.act_first, SkewedMemory.LATENCY, "swap")),
            mesh.weight.eq(self.weight.data),
            mesh.capture.eq(delay(m, loader.capture, SkewedMemory.LATENCY, "capture")),
        ]
