"""Starting a system's memory from the host: there is no processor that would do it."""

import time
from collections.abc import Callable

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.runtime.litex.ports import MemoryPort
from systolith_host.runtime.litex.read_levelling import level_reads

__all__ = ["start_memory"]

CONTROL_HARDWARE = 0x01
CONTROL_HOST = 0x0E
"""Of the control register: the controller drives the memory, or the host does (CKE, ODT, RESET)."""

TEST_WORDS = 1024
"""At the beginning of each of the stretches that are tried."""

TEST_STRETCHES = 8


def start_memory(device: MemoryPort, message: Callable[[str], None]) -> None:
    """Run the memory's start sequence, find its read timing where needed, and try it.

    Raises
    ------
    SystolithError
        If what is written does not come back.
    """
    system = device.system
    device.set_csr("sdram_dfii_control", CONTROL_HOST)
    for step in system.memory_init:
        device.set_csr("sdram_dfii_pi0_address", step.address)
        device.set_csr("sdram_dfii_pi0_baddress", step.bank)
        if step.control:
            device.set_csr("sdram_dfii_control", step.value)
        else:
            device.set_csr("sdram_dfii_pi0_command", step.value)
            device.set_csr("sdram_dfii_pi0_command_issue", 1)
        time.sleep(step.delay / system.system_hz)
    if system.read_timing is not None:
        level_reads(device, system.read_timing, message)
    device.set_csr("sdram_dfii_control", CONTROL_HARDWARE)
    _try(device, message)


def _try(device: MemoryPort, message: Callable[[str], None]) -> None:
    """Write random words to stretches all over the memory, and read them when all are written."""
    system = device.system
    random = np.random.default_rng(0)
    distance = system.memory_bytes // TEST_STRETCHES
    words = TEST_WORDS // TEST_STRETCHES
    stretches = [
        (system.memory_base + index * distance, random.integers(0, 1 << 32, words).tolist())
        for index in range(TEST_STRETCHES)
    ]
    for address, values in stretches:
        device.link.write(address, values)
    for address, values in stretches:
        found = device.link.read(address, words)
        wrong = [i for i in range(words) if found[i] != values[i]]
        if wrong:
            first = wrong[0]
            raise SystolithError(
                f"{device.link.address}: the memory does not work: {len(wrong)} of {words} words "
                f"from {address:#x} differ, the first is {found[first]:#010x} instead of "
                f"{values[first]:#010x}"
            )
    message(f"memory tried: {TEST_WORDS:,} words over {system.memory_bytes >> 20} MB are right")
