"""The cocotb module of a simulation that serves a link."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.task import bridge

from systolith_host.drivers.link import serve
from systolith_host.drivers.simulation import LINK_VARIABLE
from systolith_hw.spec.registers import CONTROL_START, REGISTERS
from systolith_sim.rtl.cocotb_device import CocotbDevice

__all__ = ["serve_link"]


class _Breaking:
    """A simulated accelerator whose memory breaks the protocol in some runs."""

    def __init__(self, device: CocotbDevice, breaches: list[list[int]]) -> None:
        self._device = device
        self._breaches = {start: (breach, after) for start, breach, after in breaches}
        self._starts = 0

    def write_memory(self, address: int, data: np.ndarray) -> None:
        self._device.write_memory(address, data)

    def read_memory(self, address: int, size: int) -> np.ndarray:
        return self._device.read_memory(address, size)

    def read_register(self, offset: int) -> int:
        return self._device.read_register(offset)

    def write_register(self, offset: int, value: int) -> None:
        if offset == REGISTERS["CONTROL"].offset:
            if value & CONTROL_START:
                self._device.break_memory(*self._breaches.get(self._starts, (0, 0)))
                self._starts += 1
            else:
                self._device.break_memory(0)
        self._device.write_register(offset, value)

    def wait_interrupt(self, limit: int) -> bool:
        return self._device.wait_interrupt(limit)


# It has no limit of its own: each access has one, and the end of the connection ends it.
@cocotb.test()
async def serve_link(dut: Any) -> None:
    """Serve the link that the environment names."""
    link = json.loads(os.environ[LINK_VARIABLE])
    device = CocotbDevice(dut, Path(link["image"]))
    await device.start()
    with socket.socket(fileno=link["file"]) as connection:
        linked = _Breaking(device, link["breaches"]) if link["breaches"] else device
        await bridge(serve)(linked, connection, link["memory_base"])
        device.finish()
