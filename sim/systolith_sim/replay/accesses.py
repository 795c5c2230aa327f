"""Counts of what a layer's instructions ask of the array and of the memories on the chip."""

from dataclasses import dataclass

import numpy as np

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import PARAM_BYTES, Buffer, Opcode
from systolith_hw.spec.winograd import KERNEL, LANES
from systolith_sim.replay.table import COLUMNS, InstructionTable

__all__ = ["Accesses", "OnChipMemory", "count_accesses", "memories_of"]


@dataclass(frozen=True)
class OnChipMemory:
    """A memory on the chip.

    Parameters
    ----------
    banks : int
    bits : int
        Of a bank's word.
    depth : int
        Words of a bank.
    """

    banks: int
    bits: int
    depth: int

    @property
    def bank_bytes(self) -> float:
        """Bytes of a bank."""
        return self.bits * self.depth / 8

    @property
    def bytes(self) -> float:
        """Bytes of all banks."""
        return self.banks * self.bank_bytes


@dataclass(frozen=True)
class Accesses:
    """The work of a layer on the chip.

    Parameters
    ----------
    products : int
        Of two numbers of 8 bits; idle rows and columns multiply, too.
    lane_products : int
        Of two transformed numbers of Winograd's convolution.
    reads, writes : dict of str to int
        Words of a bank that are used, by memory; the names are those of :func:`memories_of`.
    """

    products: int
    lane_products: int
    reads: dict[str, int]
    writes: dict[str, int]


def memories_of(config: AcceleratorConfig) -> dict[str, OnChipMemory]:
    """Return the memories of a configuration whose accesses are counted.

    Those of instructions, of bus beats, of the strips behind Winograd's output transform, of
    functions and of masks are not among them.
    """
    lanes = config.post_lanes
    found = {
        "activations": OnChipMemory(config.rows, 8, config.act_depth),
        "weights": OnChipMemory(config.cols, 8, config.weight_depth),
        "parameters": OnChipMemory(lanes, 8 * PARAM_BYTES, config.param_depth // lanes),
        "accumulators": OnChipMemory(2 * config.cols, config.sum_width, config.acc_depth),
        "outputs": OnChipMemory(1, 8 * config.block, config.out_depth),
    }
    if config.winograd:
        found["patches"] = OnChipMemory(config.rows, config.act_width, config.patch_ring)
        found["kernels"] = OnChipMemory(config.cols, config.weight_width, config.kernel_ring)
    return found


def count_accesses(table: InstructionTable, config: AcceleratorConfig) -> Accesses:
    """Count the accesses of a layer's instructions.

    Parameters
    ----------
    table : InstructionTable
        Of :func:`systolith_sim.replay.table.make_table`.
    config : AcceleratorConfig
    """
    column = dict(zip(COLUMNS, table.rows.T, strict=True))
    loads = column["opcode"] == Opcode.LOAD
    convs = column["opcode"] == Opcode.CONV
    stores = column["opcode"] == Opcode.STORE
    rows, cols = config.rows, config.cols

    def total(chosen: np.ndarray, *factors: np.ndarray | int) -> int:
        product = np.ones(int(chosen.sum()), np.int64)
        for factor in factors:
            product *= factor[chosen] if isinstance(factor, np.ndarray) else factor
        return int(product.sum())

    buffer, words = column["buffer"], column["words"]
    scans = loads & (column["scan"] == 1)
    acts = loads & (buffer == Buffer.ACT) & ~scans
    params = loads & (buffer == Buffer.PARAM) & (column["entries"] == 1)
    kept = column["tile_columns"] - column["first_written"]
    winograd = convs & (column["patches"] > 0)
    direct = convs & ~winograd
    pixels, passes = column["pixels"], column["passes"]
    patches = total(winograd, column["chunks"], column["patches"])
    kernels = total(winograd, column["chunks"])
    sums = total(stores, column["reads"], column["windows"]) * config.post_lanes
    patch_stores = stores & (column["down"] > 0)
    # A patch takes its parameters once, every other sum its own.
    entries = total(stores & ~patch_stores, column["reads"], column["windows"])
    entries += total(patch_stores, column["reads"], column["windows"]) // LANES
    direct_sums = total(direct, pixels, passes)
    reads = {
        "activations": total(convs, pixels, passes) * rows,
        "weights": (total(direct, passes) + KERNEL * KERNEL * kernels) * rows * cols,
        "parameters": entries * config.post_lanes,
        "accumulators": (direct_sums + LANES * patches) * cols + sums,
        "outputs": total(stores, words),
    }
    writes = {
        "activations": total(acts, column["planes"], column["tile_rows"], kept) * config.block
        + sum(_scanned(table, config, int(row)) for row in np.flatnonzero(scans)),
        "weights": total(loads & (buffer == Buffer.WEIGHT), words) * cols,
        "parameters": total(params, words),
        "accumulators": (direct_sums + LANES * patches) * cols,
        "outputs": total(stores, words),
    }
    if config.winograd:
        reads |= {"patches": LANES * patches * rows, "kernels": LANES * kernels * rows * cols}
        writes |= {name: reads[name] for name in ("patches", "kernels")}
    return Accesses(
        products=direct_sums * rows * cols,
        lane_products=LANES * patches * rows * cols,
        reads=reads,
        writes=writes,
    )


def _scanned(table: InstructionTable, config: AcceleratorConfig, row: int) -> int:
    """Return the bytes that a LOAD with ``scan`` writes into the activation buffer."""
    first, words = (table.rows[row, COLUMNS.index(name)] for name in ("first_bit", "words"))
    active = int(np.count_nonzero(table.mask[first : first + words * config.block]))
    return -(-active // config.rows) * config.rows
