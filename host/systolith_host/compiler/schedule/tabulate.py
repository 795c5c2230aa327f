"""The compiled part of trials: a schedule's outline, without the fields of its instructions."""

import numpy as np

from systolith_host.jit import njit
from systolith_hw.spec.config import ACCUMULATOR_UPDATE

__all__ = ["tabulate"]


@njit(cache=True)
def tabulate(images, columns, tiles, regions, shares, blocks, sources, settings, params):
    """Return the items, bounds, steps and stores of an outline (see Outline).

    It does what ``make_work`` does, in the same order; a test holds them equal.

    Parameters
    ----------
    images : ndarray of int64, shape (tiles of images,)
        Images of each.
    columns : ndarray, shape (tiles across, 4)
        Outputs, sums, pixels read and pixels in the buffer of each.
    tiles : ndarray, shape (tiles down, 5)
        Outputs, sums, pixels read and pixels in the buffer of each (of the whole input tile, if
        that stays), and whether it reads all rows without padding.
    regions : ndarray, shape (input tiles down + 1,)
        First tile of each.
    shares : ndarray, shape (shares, 6)
        What CONVs take: numbers of activations and of weights, passes, first block and number of
        blocks of the group, and input.
    blocks : ndarray, shape (blocks of output channels, 4)
        First share and the one after the last, channel blocks, and number of the weights.
    sources : ndarray, shape (inputs, 2)
        Channel blocks, and bytes of a row.
    settings : tuple
        (resident, lifetime of weights: 0 the layer, 1 an input tile, 2 a CONV; rows of the array,
        words of a weight in bytes, bytes of a memory word, groups of rows, bytes of a packed pixel,
        longest side that a LOAD takes, numbers of activations, of weights, of weights that are
        alike, pixels are images, sums of a word)
    params : (entries, entries loaded at once, whether they stay, columns, bytes of an entry)
    """
    (
        resident, lifetime, rows, cols, block, groups, pixel_bytes, longest, act_keys, weight_keys,
        weight_groups, linear, reads,
    ) = settings  # fmt: skip
    entries, share, params_stay, out_channels, entry_bytes = params
    number = 0
    for out_block in range(len(blocks)):
        number += blocks[out_block, 1] - blocks[out_block, 0]
    many = len(images) * len(columns) * len(tiles)
    steps = np.empty((number * many, 5), np.int64)
    stores = np.empty((len(blocks) * many, 4), np.int64)
    # Each CONV may have items of its own; the buffers' parts of the table follow each other.
    items = np.zeros((2 * len(steps) + len(stores), 8), np.int64)
    items[:, 7] = -1
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
    region = step = tile = 0
    for image in range(len(images)):
        for column in range(len(columns)):
            for down in range(len(regions) - 1):
                for out_block in range(len(blocks)):
                    first_share, end_share, drained_blocks, weight_group = blocks[out_block]
                    for part in range(regions[down], regions[down + 1]):
                        count = images[image]
                        plane = tiles[part, 3] * columns[column, 3]
                        pixels = count
                        if not linear:
                            pixels *= tiles[part, 1] * columns[column, 1]
                        for index in range(first_share, end_share):
                            act_key, weight_key, passes, first, size, source = shares[index]
                            mark = region if resident else tile
                            act = act_items[act_key]
                            if act_until[act_key] == mark:
                                items[act, 5] = step
                            else:
                                act = bounds[0, 1]
                                bounds[0, 1] += 1
                                act_items[act_key] = act
                                act_until[act_key] = mark
                                _activations(
                                    items[act], count, first, size, plane, tiles[part],
                                    columns[column], sources[source], groups, block, pixel_bytes,
                                    longest,
                                )  # fmt: skip
                                items[act, 4] = items[act, 5] = step
                            weight_key += weight_group * weight_keys
                            mark = 0 if lifetime == 0 else region if lifetime == 1 else tile
                            weight = weight_items[weight_key]
                            if weight_until[weight_key] == mark:
                                items[weight, 5] = step
                            else:
                                weight = bounds[1, 1]
                                bounds[1, 1] += 1
                                weight_items[weight_key] = weight
                                weight_until[weight_key] = mark
                                words = passes * rows
                                items[weight, :6] = (words, words * cols, 1, 1, step, step)
                            cycles = passes * max(pixels, max(rows, ACCUMULATOR_UPDATE))
                            steps[step] = (tile, act, weight, cycles, int(index == first_share))
                            step += 1
                        param_key = out_block * out_channels // share
                        mark = 0 if params_stay else region
                        param = param_items[param_key]
                        if param_until[param_key] == mark:
                            items[param, 5] = tile
                        else:
                            param = bounds[2, 1]
                            bounds[2, 1] += 1
                            param_items[param_key] = param
                            param_until[param_key] = mark
                            words = min(share, entries - param_key * share)
                            items[param, :6] = (words, words * entry_bytes, 1, 1, tile, tile)
                        words = count * tiles[part, 0] * columns[column, 0] * drained_blocks
                        stores[tile] = (step - 1, param, words * reads, words * block)
                        tile += 1
                region += 1
    return items, bounds, steps, stores


@njit(inline="always", cache=True)
def _activations(
    item, images, first, count, plane, tile, column, source, groups, block, pixel_bytes, longest
):
    """Fill in words, bytes, LOADs and runs of activations."""
    row_words = column[2]
    if pixel_bytes != 0:
        row_words = -(-row_words * pixel_bytes // block)
    whole = row_words * block == source[1]
    loads = runs = read_planes = 0
    for lane in range(groups):
        planes = min(count, -(-(source[0] - (first * groups + lane)) // groups))
        if planes < 1:
            continue
        loads += 1
        read_planes += planes
        if not whole:
            runs += planes * tile[2]
        elif groups == 1 and tile[4] != 0 and tile[2] * planes <= longest:
            runs += 1
        else:
            runs += planes
    item[0] = images * count * plane
    item[1] = images * read_planes * tile[2] * row_words * block
    item[2] = images * loads
    item[3] = images * runs
