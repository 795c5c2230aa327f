"""The RTL in a simulator as a device: cocotb on one side, the blocking driver on the other.

The methods of :class:`CocotbDevice` block, so the driver that calls them runs in a thread made by
``cocotb.task.bridge``; simulated time passes only inside of them.
"""

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import First, RisingEdge, Timer
from cocotb.types import Logic

from systolith_sim.rtl.build import SimulatorError

__all__ = ["CLOCK_NS", "CocotbDevice", "reset", "start_clock"]

CLOCK_NS = 10
"""Period of the simulated clock (see verilator_main.cpp, which makes it under Verilator)."""

REGISTER_CYCLES = 1000
"""Limit of a register access."""


def start_clock(dut: Any) -> None:
    """Start the clock where the simulator's main loop does not make it."""
    if "verilator" not in cocotb.SIM_NAME.lower():
        Clock(dut.clk, CLOCK_NS, unit="ns", impl="gpi").start()


async def reset(dut: Any, inputs: tuple[str, ...]) -> None:
    """Set the inputs to zero and hold reset for some cycles."""
    for name in inputs:
        getattr(dut, name).value = 0
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


class CocotbDevice:
    """A simulated accelerator; implements the host's device protocol.

    Parameters
    ----------
    dut : cocotb handle
        The top module of :func:`systolith_sim.rtl.testbench.accelerator_testbench`.
    image : Path
        The file that is the external memory.
    image_out : Path, optional
        Where a simulator that copies the image writes its memory; None where the file itself is
        the memory (Verilator).
    progress_cycles : int
        Cycles between two calls of a progress function.
    """

    def __init__(
        self,
        dut: Any,
        image: Path,
        image_out: Path | None = None,
        *,
        progress_cycles: int = 50_000,
    ) -> None:
        self.dut = dut
        self.image = image
        self.image_out = image_out
        self.progress_cycles = progress_cycles
        with image.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), os.fstat(file.fileno()).st_size)
        self._memory = np.frombuffer(self._map, np.uint8)
        self._copy_is_older = False

    async def start(self) -> None:
        """Start clock and reset; await this before anything else."""
        start_clock(self.dut)
        inputs = ["memory_sync", "memory_breach", "memory_breach_at", "bench_waits"]
        inputs += [f"s_axil_{name}" for name in ("awaddr", "awvalid", "wdata", "wstrb", "wvalid")]
        inputs += [f"s_axil_{name}" for name in ("bready", "araddr", "arvalid", "rready")]
        await reset(self.dut, tuple(inputs))

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Write bytes (uint8, one dimension) to external memory from `address`."""
        self._check_range(address, data.size)
        self._fetch_copy()
        self._memory[address : address + data.size] = data
        if self.image_out is not None:
            self._map.flush()
            _sync(self.dut, 2)

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Read `size` bytes of external memory as uint8."""
        self._check_range(address, size)
        self._fetch_copy()
        return np.array(self._memory[address : address + size])

    def write_register(self, offset: int, value: int) -> None:
        """Write a 32-bit register of the AXI4-Lite port."""
        self._copy_is_older = True
        _write_register(self.dut, offset, value)

    def read_register(self, offset: int) -> int:
        """Read a 32-bit register of the AXI4-Lite port."""
        return _read_register(self.dut, offset)

    def wait_interrupt(self, limit: int, progress: Callable[[int], None] | None = None) -> bool:
        """Wait until the interrupt is raised, at most `limit` cycles; return whether it came."""
        self._copy_is_older = True
        waited = 0
        while waited < limit:
            step = min(self.progress_cycles, limit - waited)
            if _wait_interrupt(self.dut, step):
                return True
            waited += step
            if progress is not None:
                progress(waited)
        return False

    def finish(self) -> None:
        """Bring the image file up to date."""
        self._fetch_copy()
        self._map.flush()

    def break_memory(self, breach: int, after: int = 0) -> None:
        """Have the memory break the protocol from `after` cycles on (see axi_memory.v); 0: no more.

        Parameters
        ----------
        breach : int
            0 to 7.
        after : int
            Below 2**16.
        """
        _break_memory(self.dut, breach, after)

    @property
    def violations(self) -> int:
        """Breaches of the AXI protocol that the memory has seen."""
        return _value(self.dut.memory_violations)

    @property
    def beats(self) -> tuple[int, int]:
        """Data beats that the memory has read and written."""
        return _value(self.dut.memory_read_beats), _value(self.dut.memory_write_beats)

    def _fetch_copy(self) -> None:
        if self.image_out is not None and self._copy_is_older:
            _sync(self.dut, 1)
            copy = np.fromfile(self.image_out, np.uint8)
            if copy.size != self._memory.size:
                raise SimulatorError(
                    f"the simulator's copy of the memory has {copy.size} bytes, "
                    f"not {self._memory.size}"
                )
            self._memory[:] = copy
        self._copy_is_older = False

    def _check_range(self, address: int, size: int) -> None:
        if address < 0 or address + size > self._memory.size:
            raise SimulatorError(
                f"memory has {self._memory.size} bytes, not {size} from address {address:#x}"
            )


def _value(handle: Any) -> int:
    """Return a port's value, which must be known."""
    value = handle.value
    if not value.is_resolvable:
        raise SimulatorError(f"{handle._name} is unknown: {value}")
    return int(value) if isinstance(value, Logic) else value.to_unsigned()


async def _until(dut: Any, names: set[str], what: str) -> None:
    """Wait for handshakes: each `valid`/`ready` of ours goes low once its partner was high."""
    partners = {"awvalid": "awready", "wvalid": "wready", "arvalid": "arready"}
    for _ in range(REGISTER_CYCLES):
        await RisingEdge(dut.clk)
        for name in sorted(names):
            if _value(getattr(dut, f"s_axil_{partners[name]}")):
                getattr(dut, f"s_axil_{name}").value = 0
                names.remove(name)
        if not names:
            return
    raise SimulatorError(f"{what}: no answer within {REGISTER_CYCLES} cycles")


async def _answer(dut: Any, channel: str, what: str) -> None:
    """Wait for the answer on channel ``r`` or ``b``; its values are those of this edge."""
    for _ in range(REGISTER_CYCLES):
        await RisingEdge(dut.clk)
        if _value(getattr(dut, f"s_axil_{channel}valid")):
            if _value(getattr(dut, f"s_axil_{channel}resp")):
                getattr(dut, f"s_axil_{channel}ready").value = 0
                await RisingEdge(dut.clk)
                raise SimulatorError(f"{what}: answered with an error")
            return
    raise SimulatorError(f"{what}: no answer within {REGISTER_CYCLES} cycles")


# Accesses begin with an edge: what is driven at the very time of an edge, as after a Timer, is too
# late for it, and its handshake would be mistaken.


@resume
async def _write_register(dut: Any, offset: int, value: int) -> None:
    what = f"write of register {offset:#x}"
    await RisingEdge(dut.clk)
    dut.s_axil_awaddr.value = offset
    dut.s_axil_awvalid.value = 1
    dut.s_axil_wdata.value = value
    dut.s_axil_wstrb.value = 0xF
    dut.s_axil_wvalid.value = 1
    await _until(dut, {"awvalid", "wvalid"}, what)
    dut.s_axil_bready.value = 1
    await _answer(dut, "b", what)
    dut.s_axil_bready.value = 0


@resume
async def _read_register(dut: Any, offset: int) -> int:
    what = f"read of register {offset:#x}"
    await RisingEdge(dut.clk)
    dut.s_axil_araddr.value = offset
    dut.s_axil_arvalid.value = 1
    await _until(dut, {"arvalid"}, what)
    dut.s_axil_rready.value = 1
    await _answer(dut, "r", what)
    value = _value(dut.s_axil_rdata)
    dut.s_axil_rready.value = 0
    return value


@resume
async def _break_memory(dut: Any, breach: int, after: int) -> None:
    await RisingEdge(dut.clk)
    dut.memory_breach.value = breach
    dut.memory_breach_at.value = after
    await RisingEdge(dut.clk)


@resume
async def _wait_interrupt(dut: Any, cycles: int) -> bool:
    if not _value(dut.irq):
        dut.bench_waits.value = 1
        await First(RisingEdge(dut.irq), Timer(cycles * CLOCK_NS, unit="ns"))
        dut.bench_waits.value = 0
    return bool(_value(dut.irq))


@resume
async def _sync(dut: Any, bits: int) -> None:
    await RisingEdge(dut.clk)
    dut.memory_sync.value = bits
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.memory_sync.value = 0
    await RisingEdge(dut.clk)
