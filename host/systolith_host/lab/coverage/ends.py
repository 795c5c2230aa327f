"""Directed tests of fields at the largest values with which a program can end DONE."""

from dataclasses import replace

from systolith_host.lab.coverage.draft import DATA, SIZE, Draft
from systolith_host.lab.coverage.stand import USUAL, Director, with_params
from systolith_host.lab.faults.code import relocated
from systolith_host.lab.faults.programs import WINDOW, emulate
from systolith_host.lab.faults.stand import random_timing
from systolith_hw.spec.isa import Buffer
from systolith_hw.spec.legal import word_bytes

__all__ = ["legal_ends", "memory_end"]

_APART = 64
"""Bytes between runs, a multiple of every alignment."""


def _loads(draft: Draft) -> None:
    """Add LOADs to the ends of all buffers, and of tiles with the most of everything."""
    config = draft.config
    depth = config.act_depth
    ends = {
        Buffer.ACT: depth,
        Buffer.WEIGHT: config.weight_depth,
        Buffer.PARAM: config.param_depth,
    }
    for buffer, end in ends.items():
        size = word_bytes(buffer, config)
        draft.load(buffer, 1, end - 1, DATA + (size if size < config.bus_bytes else 0))
    draft.load(Buffer.ACT, 1, runs=depth, run_pitch=_APART, pixels=depth)
    draft.load(Buffer.ACT, 1, runs=2, run_pitch=0, pixels=2)
    draft.load(Buffer.ACT, depth, rows=depth, pixels=1)
    draft.load(Buffer.ACT, 1, planes=depth, plane_pitch=0, pixels=1)
    draft.load(Buffer.ACT, 1, planes=2, plane_pitch=_APART, pixels=1)
    for side in ("top", "bottom", "left", "right"):
        draft.load(Buffer.ACT, 1, pixels=1, **{f"pad_{side}": 255})
    for size in config.pack_sizes:
        draft.load(Buffer.ACT, 1, pixels=1, pixel_bytes=size)
        pads = {f"pad_{side}": 1 for side in ("top", "bottom", "left", "right")}
        draft.load(Buffer.ACT, 2, pixels=1, rows=2, pixel_bytes=size, **pads)


def _convs(draft: Draft) -> None:
    """Add CONVs with the most pixels and passes, that walk back, stay, and go on."""
    config = draft.config
    most, passes = config.acc_depth, config.weight_depth // config.rows
    back, middle = (1 << 24) - 1, config.act_depth // 2
    draft.conv(act_base=config.act_depth - 1, acc_base=most - 1)
    draft.conv(weight_base=config.weight_depth - config.rows, acc_base=most // 2)
    for level in ("x", "y", "n"):
        for step in (0, 1, back):
            fields = {f"{level}_count": most, f"{level}_step": step, "act_base": middle}
            draft.conv(**{"x_count": 1, **fields})
        draft.conv(**{"x_count": 1, f"{level}_count": 2, f"{level}_step": 1})
    for level, limit in (("s", 255), ("r", 255), ("c", passes)):
        for step in (0, 1, back):
            fields = {f"{level}_count": min(limit, passes), f"{level}_step": step}
            draft.conv(act_base=middle, **fields)


def _stores(draft: Draft) -> None:
    """Add STOREs of all of a bank in every direction, and to the ends of what they read."""
    config = draft.config
    most, back = config.acc_depth, (1 << 16) - 1
    for bank in range(2):  # sums that there are
        draft.conv(most, bank=bank, x_step=0)
    draft.store(acc_base=most - 1)
    draft.store(acc_base=most // 2, param_base=config.param_depth - config.block)
    draft.store(most, run_words=1, runs=most, run_pitch=_APART)
    draft.store(most, run_words=1, planes=most, plane_pitch=_APART)
    draft.store(2, run_words=1, planes=2, plane_pitch=0)
    draft.store(2, run_words=1, runs=2, run_pitch=0)
    for level in ("x", "y", "n"):
        for step, base in ((0, 0), (1, 0), (back, most - 1)):
            fields = {f"{level}_count": most, f"{level}_step": step, "acc_base": base}
            draft.store(most, **{"x_count": 1, **fields})
        draft.store(2, **{"x_count": 1, f"{level}_count": 2, f"{level}_step": 1})
    for level in ("dx", "dy"):
        for step, base in ((0, 0), (1, 0), (back, most - 1)):
            draft.store(1, acc_base=base, **{f"{level}_count": 3, f"{level}_step": step})
    for blocks in range(1, config.col_groups + 1):
        draft.store(1, blocks=blocks, run_words=blocks)


def legal_ends(director: Director) -> None:
    """Let fields have the largest values with which a program ends DONE."""
    config, rng = director.stand.config, director.rng
    for _ in range(2):
        draft = Draft(config)
        draft.fill(Buffer.WEIGHT)
        draft.fill(Buffer.ACT)
        _loads(draft)
        draft.load(Buffer.PARAM, config.param_depth)
        _convs(draft)
        _stores(draft)
        memory = with_params(draft, DATA, config.param_depth)
        director.run(draft, memory, "fields at their legal ends", random_timing(rng))


def memory_end(director: Director) -> None:
    """Run programs whose window ends where memory's addresses do."""
    stand, bench = director.stand, director.stand.bench
    guard, base = SIZE - WINDOW, (1 << stand.config.addr_width) - WINDOW
    for layer in stand.layers[:8]:
        after = emulate(stand.config, layer, layer.before).memory
        before, after = relocated(replace(layer, after=after), base, guard)
        bench.place(base - guard)
        stand.set_window(base, base + WINDOW)
        bench.behave(USUAL)
        stand.prepare(before, base + layer.address, layer.count, 1)
        stand.start()
        stand.check_exact(stand.end(), after, "at the end of memory")
        stand.set_up()
