"""The accelerator: engines, buffers, core and bus edges, wired together."""

from typing import Any

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from systolith_hw.bus.axi import axi4_members, axi_lite_members
from systolith_hw.bus.read_port import ReadPort
from systolith_hw.bus.registers import RegisterFile
from systolith_hw.bus.write_port import WritePort
from systolith_hw.compute.core import DirectCore
from systolith_hw.control.controller import FAULTS, Controller
from systolith_hw.control.counters import COUNTER_NAMES, Counters
from systolith_hw.control.fetch import Fetch
from systolith_hw.load.engine import LoadEngine
from systolith_hw.memory.skewed import SkewedMemory
from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES
from systolith_hw.spec.registers import CONTROL_RESET, CONTROL_START, Engine
from systolith_hw.store.engine import StoreEngine
from systolith_hw.stream.queue import Queue

__all__ = ["Accelerator"]


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
        # The reset goes from engine to engine, a register each: one for all would have to be all
        # over the chip in a cycle.
        resets = [Signal(name="reset")]

        def engine(name: str, component: Any) -> Any:
            reset = Signal(name=f"{name}_reset")
            m.d.sync += reset.eq(resets[-1])
            resets.append(reset)
            m.submodules[name] = ResetInserter(reset)(component)
            return component

        registers: Any = RegisterFile(config)  # its members come from the register map
        m.submodules.registers = registers
        m.submodules.controller = controller = Controller(config)
        m.submodules.counters = counters = Counters(config)
        read_port = engine("read_port", ReadPort(config))
        write_port = engine("write_port", WritePort(config))
        fetch = engine("fetch", Fetch(config))
        load = engine("load", LoadEngine(config))
        core = engine("core", DirectCore(config))
        store = engine("store", StoreEngine(config))
        queues = {
            name: engine(f"{name}_queue", Queue(target.p.shape(), config.queue_depth))
            for name, target in (("load", fetch.load), ("conv", fetch.conv), ("store", fetch.store))
        }
        m.submodules.act_buffer = act_buffer = SkewedMemory(
            lanes=config.rows, groups=config.row_groups, depth=config.act_depth, width=8
        )
        m.submodules.weight_buffer = weight_buffer = SkewedMemory(
            lanes=config.cols, groups=1, depth=config.weight_depth, width=8
        )
        m.submodules.param_buffer = param_buffer = SkewedMemory(
            lanes=config.post_lanes,
            groups=config.post_lanes,
            depth=config.param_depth // config.post_lanes,
            width=PARAM_BYTES * 8,
        )

        # Instructions
        connect(m, fetch.load, queues["load"].i)
        connect(m, fetch.conv, queues["conv"].i)
        connect(m, fetch.store, queues["store"].i)
        connect(m, queues["load"].o, load.load)
        connect(m, queues["conv"].o, core.conv)
        connect(m, queues["store"].o, store.store)
        m.d.comb += [part.progress.eq(controller.progress) for part in (load, core, store)]

        # External memory
        connect(m, fetch.burst, read_port.fetch)
        connect(m, load.burst, read_port.load)
        connect(m, read_port.fetch_beat, fetch.beat)
        connect(m, read_port.load_beat, load.beat)
        connect(m, store.burst, write_port.burst)
        connect(m, store.beat, write_port.beat)
        for port in (read_port, write_port):
            m.d.comb += [
                port.halt.eq(controller.halt),
                port.window_base.eq(registers.write_WINDOW_BASE),
                port.window_end.eq(registers.write_WINDOW_END),
            ]

        # Buffers
        m.d.comb += [
            act_buffer.w_addr.eq(load.act_addr),
            act_buffer.w_data.as_value().eq(load.act_data),
            act_buffer.w_en.eq(load.act_en),
            act_buffer.r_addr.eq(core.act_addr),
            core.act_data.eq(act_buffer.r_data),
            weight_buffer.w_addr.eq(load.weight_addr),
            weight_buffer.w_data.as_value().eq(load.weight_data),
            weight_buffer.w_en.eq(load.weight_en),
            weight_buffer.r_addr.eq(core.weight_addr),
            core.weight_data.eq(weight_buffer.r_data),
            param_buffer.w_addr.eq(load.param_addr),
            param_buffer.w_data.as_value().eq(load.param_data),
            param_buffer.w_en.eq(load.param_en),
            param_buffer.r_addr.eq(store.param_addr),
            store.param_data.as_value().eq(param_buffer.r_data.as_value()),
            core.drain.eq(store.drain),
            core.drain_group.eq(store.drain_group),
            store.sum.eq(core.sum),
        ]

        self._build_control(
            m,
            registers,
            controller,
            counters,
            resets[0],
            fetch,
            load,
            core,
            store,
            read_port,
            write_port,
        )
        self._build_ports(m, registers, read_port, write_port)
        return m

    def _build_control(
        self,
        m: Module,
        registers: Any,
        controller: Controller,
        counters: Counters,
        reset: Signal,
        fetch: Fetch,
        load: LoadEngine,
        core: DirectCore,
        store: StoreEngine,
        read_port: ReadPort,
        write_port: WritePort,
    ) -> None:
        """Connect registers, start and end, tokens, faults and counters."""
        pulses = registers.pulse_CONTROL
        states = counters.states
        m.d.comb += [
            reset.eq(controller.engine_reset),
            controller.start.eq((pulses & CONTROL_START) != 0),
            controller.reset_request.eq((pulses & CONTROL_RESET) != 0),
            controller.count.eq(registers.write_PROGRAM_COUNT),
            controller.watchdog.eq(registers.write_WATCHDOG),
            controller.fetched.eq(fetch.fetched),
            controller.dispatched.eq(
                Cat(part.valid & part.ready for part in (fetch.load, fetch.conv, fetch.store))
            ),
            controller.finished.eq(
                Cat(load.done, core.done, store.drained, write_port.acknowledged)
            ),
            controller.quiet.eq(read_port.quiet & write_port.quiet),
            controller.broken.eq(
                read_port.broken_fetch | read_port.broken_load | write_port.broken
            ),
            controller.activity.eq(
                (states.LOAD == 1)
                | (states.COMPUTE == 1)
                | (states.STORE == 1)
                | read_port.beat_taken
                | write_port.beat_taken
                | controller.dispatched.any()
                | controller.finished.any()
            ),
            store.pending.eq(controller.stores_pending),
            fetch.start.eq(controller.begin),
            fetch.addr.eq(registers.write_PROGRAM_ADDR),
            fetch.count.eq(registers.write_PROGRAM_COUNT),
            fetch.halt.eq(controller.halt),
            counters.clear.eq(controller.begin),
            counters.enable.eq(controller.running),
            counters.beat_read.eq(read_port.beat_taken),
            counters.beat_written.eq(write_port.beat_taken),
            states.FETCH.eq(controller.running & (fetch.fetched != registers.write_PROGRAM_COUNT)),
            states.LOAD.eq(load.state),
            states.COMPUTE.eq(core.state),
            states.STORE.eq(store.state),
        ]
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

        pending = Signal()
        with m.If(controller.end):
            m.d.sync += pending.eq(1)
        with m.Elif(registers.pulse_IRQ_PENDING[0] | controller.begin):
            m.d.sync += pending.eq(0)
        m.d.sync += self.irq.eq(pending & registers.write_IRQ_ENABLE[0])
        busy = controller.running | controller.resetting
        m.d.comb += [
            registers.read_STATUS.eq(Cat(busy, controller.done, controller.failed)),
            registers.read_IRQ_PENDING.eq(pending),
            registers.read_ERROR_CODE.eq(controller.error_code),
            registers.read_ERROR_ENGINE.eq(controller.error_engine),
            registers.read_ERROR_INFO.eq(controller.error_info),
            registers.read_FETCHED.eq(fetch.fetched),
            registers.read_ENGINE_STATE.eq(states.as_value()),
        ]
        for name in ("loaded", "computed", "drained", "stored"):
            m.d.comb += getattr(registers, f"read_{name.upper()}").eq(controller.progress[name])
        for name in COUNTER_NAMES:
            m.d.comb += getattr(registers, f"read_{name}").eq(counters.values[name])
        assert set(Engine.__members__) == set(states.shape().members)

    def _build_ports(
        self, m: Module, registers: Any, read_port: ReadPort, write_port: WritePort
    ) -> None:
        """Bring the bus edges to the ports."""
        for prefix, interface in (
            ("m_axi", read_port.bus),
            ("m_axi", write_port.bus),
            ("s_axil", registers.bus),
        ):
            for name, member in interface.signature.members.items():
                inside, outside = getattr(interface, name), getattr(self, f"{prefix}_{name}")
                to_outside = member.flow is Out
                target, source = (outside, inside) if to_outside else (inside, outside)
                m.d.comb += target.eq(source)
