"""Stage 1: it is this accelerator, and its registers hold what is written."""

from systolith_host.errors import SystolithError
from systolith_host.selftest.bench import Bench
from systolith_host.selftest.result import Finding
from systolith_hw.spec.registers import REGISTERS, Register

__all__ = ["check_identity"]

PATTERNS = (0x5555_5555_5555_5555, 0xAAAA_AAAA_AAAA_AAAA, 0xFFFF_FFFF_FFFF_FFFF, 0)
"""What each register is to hold in turn."""


def check_identity(bench: Bench) -> Finding:
    """Check ID, version and fingerprint, read all registers, write those that can be written.

    Raises
    ------
    SystolithError
        If one differs.
    """
    driver = bench.driver()  # checks who is there, and resets the engines
    written = [register for register in REGISTERS.values() if register.access == "rw"]
    for register in written:
        for pattern in PATTERNS:
            try:
                driver.write(register.name, pattern & _mask(register))
            except SystolithError as error:
                raise SystolithError(
                    f"register {error}; if it does so again, look at the clock of the registers "
                    "and at the crossing to it"
                ) from None
    for register in REGISTERS.values():
        driver.read(register.name)
    config = bench.config
    return Finding(
        f"{config.name}, fingerprint {config.fingerprint:016x}; {bench.opened.about}; "
        f"{len(REGISTERS)} registers read, {len(written)} hold what is written",
        {
            "fingerprint": f"{config.fingerprint:016x}",
            "memory_bytes": bench.memory_bytes,
            "memory_base": bench.opened.memory_base,
            "registers": len(REGISTERS),
        },
    )


def _mask(register: Register) -> int:
    """Return the bits that a register has."""
    return (1 << (len(register.bits) or register.width)) - 1
