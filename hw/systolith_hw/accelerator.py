"""The accelerator: engines, buffers, core and bus edges, wired together."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from systolith_hw.bus.axi import axi4_members, axi_lite_members
from systolith_hw.bus.read_port import ReadPort
from systolith_hw.bus.registers import RegisterFile
from systolith_hw.bus.write_port import WritePort
from systolith_hw.compute.core import DirectCore
from systolith_hw.compute.winograd.core import WinogradCore
from systolith_hw.control.controller import FAULTS, Controller
from systolith_hw.control.counters import COUNTER_NAMES, Counters
from systolith_hw.control.fetch import Fetch
from systolith_hw.interface.buffers import buffer_shape
from systolith_hw.interface.layouts import PROGRESS_LAYOUT
from systolith_hw.load.engine import LoadEngine
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.registers import CONTROL_RESET, CONTROL_START, Engine
from systolith_hw.store.engine import StoreEngine
from systolith_hw.stream.queue import Queue

__all__ = ["Accelerator"]


@dataclass(frozen=True)
class _Parts:
    """The parts that the control connects to."""

    registers: Any  # its members come from the register map
    controller: Controller
    counters: Counters
    read_port: ReadPort
    write_port: WritePort
    fetch: Fetch
    load: LoadEngine
    core: DirectCore | WinogradCore
    store: StoreEngine
    queues: dict[Engine, Queue]


class Accelerator(wiring.Component):
    """The top component.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    m_axi_... : AXI4 master, for instructions and data
    s_axil_... : AXI4-Lite slave, for the registers
    irq : Out, the program ended or failed, until acknowledged in IRQ_PENDING
    """

    irq: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        members: dict[str, Any] = {
            f"m_axi_{name}": member for name, member in axi4_members(config).items()
        }
        members |= {f"s_axil_{name}": member for name, member in axi_lite_members().items()}
        super().__init__({**members, "irq": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        # The reset goes from engine to engine, one register each: a single reset net would have to
        # cross the chip in one cycle.
        resets = [Signal(name="reset")]

        def engine(name: str, component: Any) -> Any:
            reset = Signal(name=f"{name}_reset")
            m.d.sync += reset.eq(resets[-1])
            resets.append(reset)
            m.submodules[name] = ResetInserter(reset)(component)
            return component

        parts = _Parts(
            registers=RegisterFile(config),
            controller=Controller(config),
            counters=Counters(config),
            read_port=engine("read_port", ReadPort(config)),
            write_port=engine("write_port", WritePort(config)),
            fetch=engine("fetch", Fetch(config)),
            load=engine("load", LoadEngine(config)),
            core=engine("core", WinogradCore(config) if config.winograd else DirectCore(config)),
            store=engine("store", StoreEngine(config)),
            queues={},
        )
        fetch, load, core, store = parts.fetch, parts.load, parts.core, parts.store
        read_port, write_port = parts.read_port, parts.write_port
        m.submodules.registers = parts.registers
        m.submodules.controller = parts.controller
        m.submodules.counters = parts.counters
        buffers = {
            buffer: SkewedMemory(buffer_shape(buffer, config))
            for buffer in (Buffer.ACT, Buffer.WEIGHT, Buffer.PARAM)
        }
        for buffer, memory in buffers.items():
            m.submodules[f"{buffer.name.lower()}_buffer"] = memory

        # Instructions
        for name, number, source, target in (
            ("load", Engine.LOAD, fetch.load, load.load),
            ("conv", Engine.COMPUTE, fetch.conv, core.conv),
            ("store", Engine.STORE, fetch.store, store.store),
        ):
            queue = engine(f"{name}_queue", Queue(source.p.shape(), config.queue_depth))
            connect(m, source, queue.i)
            connect(m, queue.o, target)
            parts.queues[number] = queue

        # External memory
        connect(m, fetch.burst, read_port.fetch)
        connect(m, load.burst, read_port.load)
        connect(m, read_port.fetch_beat, fetch.beat)
        connect(m, read_port.load_beat, load.beat)
        connect(m, store.burst, write_port.burst)
        connect(m, store.beat, write_port.beat)

        # Buffers and accumulators
        connect(m, load.act, buffers[Buffer.ACT].write)
        connect(m, load.weight, buffers[Buffer.WEIGHT].write)
        connect(m, load.param, buffers[Buffer.PARAM].write)
        connect(m, core.act, buffers[Buffer.ACT].read)
        connect(m, core.weight, buffers[Buffer.WEIGHT].read)
        connect(m, store.param, buffers[Buffer.PARAM].read)
        connect(m, store.drain, core.drain)
        if config.functions:
            connect(m, load.table, store.table)
        if config.gather:
            connect(m, load.gathering, core.gathering)

        m.d.comb += resets[0].eq(parts.controller.engine_reset)
        self._build_progress(m, parts)
        self._build_states(m, parts)
        self._build_faults(m, parts)
        self._build_registers(m, parts)
        self._build_ports(m, parts)
        return m

    def _build_progress(self, m: Module, parts: _Parts) -> None:
        """Start and halt the parts; count their instructions, handed out and finished."""
        controller, fetch, store = parts.controller, parts.fetch, parts.store
        engines = (parts.load, parts.core, parts.store)
        m.d.comb += [engine.progress.eq(controller.progress) for engine in engines]
        m.d.comb += [
            part.halt.eq(controller.halt) for part in (fetch, parts.read_port, parts.write_port)
        ]
        m.d.comb += [
            fetch.start.eq(controller.begin),
            controller.fetched.eq(fetch.fetched),
            controller.dispatched.eq(
                Cat(queued.valid & queued.ready for queued in (fetch.load, fetch.conv, fetch.store))
            ),
            controller.finished.eq(
                Cat(*(engine.status.done for engine in engines), parts.write_port.acknowledged)
            ),
            store.pending.eq(controller.stores_pending),
            controller.quiet.eq(parts.read_port.quiet & parts.write_port.quiet),
        ]
        rest = {
            Engine.FETCH: fetch.rest,
            Engine.LOAD: parts.load.status.rest & parts.read_port.rest,
            Engine.COMPUTE: parts.core.status.rest,
            Engine.STORE: store.status.rest & parts.write_port.rest,
        }
        for number, queue in parts.queues.items():
            rest[number] &= queue.empty
        m.d.comb += controller.rest.eq(Cat(rest[number] for number in Engine))

    def _build_states(self, m: Module, parts: _Parts) -> None:
        """Count each engine's states, and tell the watchdog whether any engine makes progress."""
        controller, counters = parts.controller, parts.counters
        read_port, write_port = parts.read_port, parts.write_port
        states = counters.states
        m.d.comb += [
            counters.clear.eq(controller.begin),
            counters.enable.eq(controller.running),
            counters.beat_read.eq(read_port.beat_taken),
            counters.beat_written.eq(write_port.beat_taken),
            states.FETCH.eq(controller.fetching),
            states.LOAD.eq(parts.load.status.state),
            states.COMPUTE.eq(parts.core.status.state),
            states.STORE.eq(parts.store.status.state),
            controller.activity.eq(
                (states.LOAD == 1)
                | (states.COMPUTE == 1)
                | (states.STORE == 1)
                | read_port.beat_taken
                | write_port.beat_taken
                | controller.dispatched.any()
                | controller.finished.any()
            ),
        ]
        assert set(Engine.__members__) == set(states.shape().members)

    def _build_faults(self, m: Module, parts: _Parts) -> None:
        """Give the controller each fault with its information."""
        controller, fetch = parts.controller, parts.fetch
        read_port, write_port = parts.read_port, parts.write_port
        load, core, store = parts.load.status, parts.core.status, parts.store.status
        faults = {
            "fetch_protocol": (read_port.broken_fetch, 0),
            "load_protocol": (read_port.broken_load, 0),
            "store_protocol": (write_port.broken, 0),
            "illegal": (fetch.fault, fetch.fetched),
            "fetch_address": (read_port.fault & read_port.fault_fetch, read_port.fault_addr),
            "load_address": (read_port.fault & ~read_port.fault_fetch, read_port.fault_addr),
            "store_address": (write_port.fault, write_port.fault_addr),
            "fetch_bus": (read_port.bus_error & read_port.bus_error_fetch, 0),
            "load_bus": (read_port.bus_error & ~read_port.bus_error_fetch, 0),
            "store_bus": (write_port.bus_error, 0),
            "load_buffer": (load.fault, load.fault_addr),
            "compute_buffer": (core.fault, core.fault_addr),
            "store_buffer": (store.fault, store.fault_addr),
            "load_count": (load.miscount, load.miscount_number),
            "store_count": (store.miscount, store.miscount_number),
        }
        for index, (name, _, _) in enumerate(FAULTS):
            fault, info = faults[name]
            m.d.comb += [controller.faults[index].eq(fault), controller.infos[index].eq(info)]
        m.d.comb += controller.broken.eq(
            read_port.broken_fetch | read_port.broken_load | write_port.broken
        )

    def _build_registers(self, m: Module, parts: _Parts) -> None:
        """Connect the registers: the host's values to the parts, the parts' values to the host."""
        registers, controller, fetch = parts.registers, parts.controller, parts.fetch
        pulses = registers.pulse_CONTROL
        for port in (parts.read_port, parts.write_port):
            m.d.comb += [
                port.window_base.eq(registers.write_WINDOW_BASE),
                port.window_end.eq(registers.write_WINDOW_END),
            ]
        pending = Signal()
        with m.If(controller.end):
            m.d.sync += pending.eq(1)
        with m.Elif(registers.pulse_IRQ_PENDING[0] | controller.begin):
            m.d.sync += pending.eq(0)
        m.d.sync += self.irq.eq(pending & registers.write_IRQ_ENABLE[0])
        busy = controller.running | controller.resetting
        m.d.comb += [
            controller.start.eq((pulses & CONTROL_START) != 0),
            controller.reset_request.eq((pulses & CONTROL_RESET) != 0),
            controller.count.eq(registers.write_PROGRAM_COUNT),
            controller.watchdog.eq(registers.write_WATCHDOG),
            fetch.addr.eq(registers.write_PROGRAM_ADDR),
            fetch.count.eq(registers.write_PROGRAM_COUNT),
            registers.read_STATUS.eq(Cat(busy, controller.done, controller.failed)),
            registers.read_IRQ_PENDING.eq(pending),
            registers.read_ERROR_CODE.eq(controller.error_code),
            registers.read_ERROR_ENGINE.eq(controller.error_engine),
            registers.read_ERROR_INFO.eq(controller.error_info),
            registers.read_FETCHED.eq(fetch.fetched),
            registers.read_ENGINE_STATE.eq(parts.counters.states.as_value()),
        ]
        for name in PROGRESS_LAYOUT.members:
            m.d.comb += getattr(registers, f"read_{name.upper()}").eq(controller.progress[name])
        for name in COUNTER_NAMES:
            m.d.comb += getattr(registers, f"read_{name}").eq(parts.counters.values[name])

    def _build_ports(self, m: Module, parts: _Parts) -> None:
        """Bring the bus edges to the ports."""
        for prefix, interface in (
            ("m_axi", parts.read_port.bus),
            ("m_axi", parts.write_port.bus),
            ("s_axil", parts.registers.bus),
        ):
            for name, member in interface.signature.members.items():
                inside, outside = getattr(interface, name), getattr(self, f"{prefix}_{name}")
                to_outside = member.flow is Out
                target, source = (outside, inside) if to_outside else (inside, outside)
                m.d.comb += target.eq(source)
