"""The compiled part of work: a schedule as tables of numbers, tile by tile."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from systolith_host.compiler.schedule import lanes as lane_loads
from systolith_host.compiler.schedule.lanes import lane_load, read_row
from systolith_host.compiler.schedule.tables import (
    AFTER,
    FIRST,
    IMAGES,
    ITEM_COLUMNS,
    LAST,
    LOADS,
    RUNS,
    SIZE,
    STEP_COLUMNS,
    STORE_COLUMNS,
    WORDS,
)
from systolith_host.jit import hash_of, njit
from systolith_hw.spec import timing
from systolith_hw.spec.winograd import KERNEL, LANES

__all__ = ["tabulate"]

_LANES_OF_TAP = LANES // KERNEL**2
"""Passes of a chunk by Winograd for each of its taps."""

_conv_cycles = njit()(timing.conv_cycles)


def tabulate(*arguments: Any) -> tuple[np.ndarray, ...]:
    """Return the items, bounds, steps and stores of work; parameters as of ``_tabulate``."""
    return _kept(hash_of(__file__, lane_loads.__file__, timing.__file__))(*arguments)


@cache
def _kept(sources: str) -> Callable[..., tuple[np.ndarray, ...]]:
    """Return the compiled function, which numba keeps on disk until one of its `sources` changes.

    See :func:`systolith_host.jit.hash_of`.
    """

    @njit(cache=True)
    def kept(images, columns, rows, regions, chunks, blocks, places, settings, params):
        made_of = sources  # noqa: F841
        return _tabulate(images, columns, rows, regions, chunks, blocks, places, settings, params)

    return kept


@njit()
def _tabulate(images, columns, rows, regions, chunks, blocks, sources, settings, params):
    """Return the items, bounds, steps and stores of work (see Work).

    Parameters
    ----------
    images : ndarray of int64, shape (tiles of images,)
        Images of each.
    columns, rows : ndarray, shape (tiles across or down, 5)
        Outputs, sums, pixels read and pixels in the buffer of each (of the whole input tile, if
        that stays), and whether it reads all of the axis and no padding.
    regions : ndarray, shape (input tiles down + 1,)
        First of the rows of each.
    chunks, blocks : ndarray
        The tables of Chunks.
    sources : ndarray, shape (inputs, 2)
        Channel blocks, and bytes of a row.
    settings : tuple
        (resident, lifetime of weights: 0 the layer, 1 an input tile, 2 a CONV; words of a pass,
        bits of a weight word in memory, bytes of a memory word, lanes, bytes of a pixel, numbers of
        activations, of weights, of weights that are alike, pixels are images, pixels are
        patches, cycles of the drain for a word or a patch, cycles of the shortest pass, blocks of
        output channels that share a bank, words of the output of each result)
    params : (entries, entries loaded at once, whether they stay, columns, bytes of an entry)
    """
    (
        resident, lifetime, pass_words, word_bits, block, lanes, pixel_bytes, act_keys,
        weight_keys, weight_groups, linear, winograd, reads, least_pass, stack, repeats,
    ) = settings  # fmt: skip
    entries, share, params_stay, out_channels, entry_bytes = params
    each = 0
    for out_block in range(len(blocks)):
        each += blocks[out_block, 1] - blocks[out_block, 0]
    many = len(images) * len(columns) * len(rows)
    steps = np.empty((each * many, STEP_COLUMNS), np.int64)
    stores = np.empty((len(blocks) * many, STORE_COLUMNS), np.int64)
    # Each CONV may have items of its own; the buffers' parts of the table follow each other.
    items = np.zeros((2 * len(steps) + len(stores), ITEM_COLUMNS), np.int64)
    items[:, AFTER] = -1
    bounds = np.empty((3, 2), np.int64)
    bounds[:, 0] = (0, len(steps), 2 * len(steps))
    bounds[:, 1] = bounds[:, 0]
    # For each number the item that was made last, and when it becomes useless.
    act_items = np.zeros(act_keys, np.int64)
    act_until = np.full(act_keys, -1)
    weight_items = np.zeros(weight_keys * weight_groups, np.int64)
    weight_until = np.full(weight_keys * weight_groups, -1)
    param_items = np.zeros(-(-entries // share), np.int64)
    param_until = np.full(len(param_items), -1)
    region = step = tile = before = 0
    for image in range(len(images)):
        for column in range(len(columns)):
            for down in range(len(regions) - 1):
                for first_block in range(0, len(blocks), stack):
                    end_block = min(first_block + stack, len(blocks))
                    first_chunk, end_chunk = blocks[first_block, :2]
                    for row in range(regions[down], regions[down + 1]):
                        count = images[image]
                        plane = rows[row, 3] * columns[column, 3]
                        pixels = count
                        if not linear:
                            pixels *= rows[row, 1] * columns[column, 1]
                        for chunk in range(first_chunk, end_chunk):
                            act_key, key, passes, first, number, source = chunks[chunk]
                            mark = region if resident else tile
                            act = act_items[act_key]
                            if act_until[act_key] != mark:
                                act = bounds[0, 1]
                                bounds[0, 1] += 1
                                act_items[act_key] = act
                                act_until[act_key] = mark
                                _activations(
                                    items[act], count, (first, number), plane, rows[row],
                                    columns[column], sources[source], lanes, block, pixel_bytes,
                                )  # fmt: skip
                                items[act, FIRST] = step
                            words = passes * pass_words
                            if winograd:
                                passes *= _LANES_OF_TAP
                            cycles = _conv_cycles(pixels, passes, least_pass)
                            opens = before + 1 if chunk == first_chunk else 0
                            for out_block in range(first_block, end_block):
                                here = tile + out_block - first_block
                                weight_key = key + blocks[out_block, 3] * weight_keys
                                mark = 0 if lifetime == 0 else region if lifetime == 1 else here
                                weight = weight_items[weight_key]
                                if weight_until[weight_key] != mark:
                                    weight = bounds[1, 1]
                                    bounds[1, 1] += 1
                                    weight_items[weight_key] = weight
                                    weight_until[weight_key] = mark
                                    size = words * word_bits // 8
                                    items[weight, :LAST] = (words, size, 1, 1, step)
                                items[act, LAST] = items[weight, LAST] = step
                                steps[step] = (here, act, weight, cycles, opens, chunk)
                                step += 1
                        before = tile
                        for out_block in range(first_block, end_block):
                            param_key = out_block * out_channels // share
                            mark = 0 if params_stay else region
                            param = param_items[param_key]
                            if param_until[param_key] != mark:
                                param = bounds[2, 1]
                                bounds[2, 1] += 1
                                param_items[param_key] = param
                                param_until[param_key] = mark
                                words = min(share, entries - param_key * share)
                                items[param, :LAST] = (words, words * entry_bytes, 1, 1, tile)
                            items[param, LAST] = tile
                            words = count * rows[row, 0] * columns[column, 0] * blocks[out_block, 2]
                            words *= repeats
                            drain = words * reads
                            if winograd:  # windows begin at multiples of a patch's cycles
                                drain = pixels * blocks[out_block, 2] * reads + LANES
                            # A bank is filled or drained, never both.
                            stores[tile, :IMAGES] = (step - 1, param, drain, words * block)
                            stores[tile, IMAGES:] = (image, column, row, out_block)
                            tile += 1
                region += 1
    return items, bounds, steps, stores


@njit(inline="always")
def _activations(item, images, group, plane, row, column, source, lanes, block, pixel_bytes):
    """Fill in words, bytes, LOADs and runs of activations."""
    row_words, whole = read_row(column[2], pixel_bytes, block, source[1])
    loads = runs = words = 0
    for lane in range(lanes):
        planes, plane_runs, run_words, _ = lane_load(
            lane, lanes, group, source[0], row[2], row_words, whole, row[4] != 0
        )
        loads += planes > 0
        runs += planes * plane_runs
        words += planes * plane_runs * run_words
    item[WORDS] = images * group[1] * plane
    item[SIZE] = images * words * block
    item[LOADS] = images * loads
    item[RUNS] = images * runs
