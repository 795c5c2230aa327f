"""Stage 2: the memory, as the host sees it and as the accelerator does.

A device may check its own writes (LiteX's does, by CRC-32) and refuse to go on; what it has written
is compared here all the same, so that the first wrong address is known.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.program.relocate import PAGE_BYTES
from systolith_host.selftest.bench import Bench
from systolith_host.selftest.copying import Copying
from systolith_host.selftest.result import Finding

__all__ = ["GRAIN", "check_memory"]

GRAIN = 16
"""Bytes that hold an address; no memory controller here has longer words."""

BLOCK_BYTES = 4096
"""Of the random test."""

Stretch = tuple[int, np.ndarray]
"""An address and the bytes (uint8) that are to be there."""


def check_memory(bench: Bench) -> Finding:
    """Test data lines, address lines and random bytes by the host, then copies by the accelerator.

    Raises
    ------
    SystolithError
        If a byte differs; the text names the first one.
    """
    size = bench.memory_bytes
    tests = {
        "walking ones": (walking_ones(), "a data line, its solder or the timing of reads"),
        "addresses": (
            addresses(size),
            "an address line, or the memory is smaller than its description says",
        ),
        "random bytes": (
            random_bytes(size, bench.memory_test, bench.seed),
            "the memory's timing, its clock's phase or its refresh",
        ),
    }
    moved = 0
    for name, (stretches, suspect) in tests.items():
        bench.log.stage(f"memory: {name}")
        _compare(bench, name, stretches, suspect)
        moved += sum(data.size for _, data in stretches)
    offsets = _copy_anywhere(bench)
    return Finding(
        f"{moved:,} bytes written and read over {size:,}, walking ones, addresses, random (seed "
        f"{bench.seed}); the accelerator copies the same at {len(offsets)} places",
        {"bytes": moved, "memory_bytes": size, "copies": offsets},
    )


def walking_ones() -> list[Stretch]:
    """Return a single one in each bit of a word of GRAIN bytes, then a single zero."""
    ones = np.zeros((8 * GRAIN, GRAIN), np.uint8)
    bits = np.arange(8 * GRAIN)
    ones[bits, bits // 8] = 1 << bits % 8
    return [(0, np.concatenate([ones, ~ones]).reshape(-1))]


def addresses(size: int) -> list[Stretch]:
    """Return at 0, at each power of two and at the end the address itself and its complement."""
    places = [0, *_powers(GRAIN, size), size - GRAIN]
    return [
        (place, np.array([place, ~place], "<i8").view(np.uint8)) for place in sorted(set(places))
    ]


def random_bytes(size: int, count: int, seed: int) -> list[Stretch]:
    """Return `count` random bytes, or as many as the memory has, in blocks all over it."""
    rng = np.random.default_rng(seed)
    blocks = min(-(-count // BLOCK_BYTES), size // BLOCK_BYTES)
    places = np.linspace(0, size // BLOCK_BYTES - 1, blocks).astype(int) * BLOCK_BYTES
    return [
        (int(place), rng.integers(0, 256, min(BLOCK_BYTES, count), np.uint8)) for place in places
    ]


def _powers(low: int, end: int) -> Iterator[int]:
    """Yield the powers of two from `low` on, below `end`."""
    while low < end:
        yield low
        low *= 2


def _compare(bench: Bench, name: str, stretches: Sequence[Stretch], suspect: str) -> None:
    """Write all, then read all and compare."""
    device, log = bench.opened.device, bench.log
    total = 2 * sum(data.size for _, data in stretches)
    done, written = 0, []
    refusal = None
    for address, data in stretches:
        written.append((address, data))
        try:
            device.write_memory(address, data)
        except SystolithError as error:
            refusal = error
            break
        done += data.size
        log.update("writing", done, total)
    for address, data in written:
        try:
            found = device.read_memory(address, data.size)
        except SystolithError as error:
            raise refusal or error from None
        wrong = np.flatnonzero(found != data)
        if len(wrong):
            first = int(wrong[0])
            raise SystolithError(
                f"{name}: {len(wrong)} of {data.size:,} bytes from {address:#x} differ, the first "
                f"at {address + first:#x}: expected {data[first]:#04x}, got {found[first]:#04x}; "
                f"look at {suspect}"
            )
        done += data.size
        log.update("reading", done, total)
    if refusal is not None:
        raise refusal


def _copy_anywhere(bench: Bench) -> list[int]:
    """Have the accelerator copy a tensor at 0, at powers of two and at the end; return where."""
    copying = Copying(bench.config)
    program = copying.program
    room = bench.memory_bytes - program.memory_size
    least = -(-program.memory_size // PAGE_BYTES) * PAGE_BYTES
    offsets = sorted({0, *_powers(_power(least), room + 1), room // PAGE_BYTES * PAGE_BYTES})
    bench.log.stage("memory: copies")
    for number, offset in enumerate(offsets):
        values = copying.values(bench.seed + number)
        try:
            (outcome,) = bench.run(program, {"input": values}, offset)
        except SystolithError as error:
            raise SystolithError(
                f"the accelerator cannot copy at {offset:#x}: {error}; the host's bytes are right, "
                "so look at the accelerator's own way to the memory"
            ) from None
        wrong = int((outcome.output != values).sum())
        if wrong:
            raise SystolithError(
                f"{wrong} of {values.size:,} values that the accelerator copies at {offset:#x} "
                "differ; the host's bytes are right, so look at the accelerator's own way to the "
                "memory"
            )
        bench.log.update(f"at {offset:#x}", number + 1, len(offsets))
    return offsets


def _power(size: int) -> int:
    """Return the smallest power of two that is no smaller."""
    return 1 << (size - 1).bit_length()
