"""The fields of CONVs and STOREs: the walks through the buffers, and where the output goes."""

from functools import lru_cache

from systolith_host.compiler.schedule.tables import ADDRESS, PARAM
from systolith_host.compiler.schedule.work import Work, params_start
from systolith_hw.spec.isa import walk_steps
from systolith_hw.spec.winograd import OUTPUTS, PATCH

__all__ = ["conv_fields", "store_fields"]


def conv_fields(work: Work, step: int) -> dict[str, int]:
    """Return the fields of a CONV without waits.

    Parameters
    ----------
    step : int
        Its row in the table.
    """
    tables, operation = work.tables, work.operation
    tile, act, weight, _, opens, number = tables.steps[step].tolist()
    (_, images), across, down, _ = work.tile(tile)
    chunk = work.chunks.chunks[number]
    plane = across.span.size * down.span.size
    bank, sums = work.accumulators(tile)
    if work.linear:
        offset = chunk.block
        walk = _walk(
            "xynsrc",
            ((images, chunk.group[1] * plane), *[(1, 0)] * 4, (chunk.blocks, 1)),
        )
    elif work.winograd:
        width = across.span.size
        offset = chunk.block * plane + down.skip * width + across.skip
        walk = _walk(
            "xynsrc",
            (
                (PATCH, width),
                (PATCH, 1),
                (across.pieces, OUTPUTS),
                (down.pieces, OUTPUTS * width),
                (images, chunk.group[1] * plane),
                (chunk.blocks, plane),
            ),
        ) | {"winograd": 1, "patches": across.pieces * down.pieces * images}
    else:
        width = across.span.size
        right, below = operation.tap_step[1], operation.tap_step[0] * width
        offset = (
            chunk.block * plane
            + down.skip * width
            + across.skip
            + chunk.row * below
            + chunk.column * right
        )
        walk = _walk(
            "xynsrc",
            (
                (across.sums, operation.stride[1]),
                (down.sums, operation.stride[0] * width),
                (images, chunk.group[1] * plane),
                (chunk.columns, right),
                (chunk.rows, below),
                (chunk.blocks, plane),
            ),
        )
    return {
        **walk,
        "act_base": int(tables.items[act, ADDRESS]) + offset,
        "weight_base": int(tables.items[weight, ADDRESS]),
        "bank": bank,
        "acc_base": sums,
        "clear": int(opens > 0),
        "shift": int(chunk.shift),
    }


def store_fields(work: Work, number: int) -> dict[str, int]:
    """Return the fields of a STORE without waits.

    Parameters
    ----------
    number : int
        Its row in the table.
    """
    tables, operation, config = work.tables, work.operation, work.config
    target = work.addresses.target
    (first_image, images), across, down, block = work.tile(number)
    blocks = int(work.chunks.blocks[block, 2])
    bank, sums = work.accumulators(number)
    high, wide = operation.repeat
    rows, columns = down.count * high, across.count * wide
    whole = columns * config.block == target.row_bytes
    planes, plane_pitch = blocks, target.plane_bytes if blocks > 1 else 0
    if images > 1:
        run_words, runs, pitch = rows * columns, images, target.image_bytes
    elif columns > 1 and target.pixel_step != config.block:
        run_words, runs, pitch = 1, columns, target.pixel_step
        if rows > 1:  # of a single block
            planes, plane_pitch = rows, target.row_bytes
    elif whole:
        run_words, runs, pitch = rows * columns, 1, 0
    else:
        run_words, runs, pitch = columns, rows, target.row_bytes
    window, window_step = operation.window, operation.window_stride
    inside = _walk(("dx", "dy"), ((window[1], 1), (window[0], across.sums)))
    if work.linear:
        walk = _walk("xyn", ((images, 1), (1, 0), (1, 0)))
    elif work.winograd:
        plane = across.pieces * down.pieces
        walk = _walk("xyn", ((across.pieces, 1), (down.pieces, across.pieces), (images, plane))) | {
            "winograd": 1,
            "pool": int(window != (1, 1)),
            "width": across.sums,
            "height": down.sums,
        }
        patches = plane * images
        inside = _walk(("dx", "dy"), ((PATCH, PATCH * patches), (PATCH, patches)))
    elif operation.repeat != (1, 1):
        walk = _walk("xyn", ((wide, 0), (across.count, window_step[1]), (high, 0)))
    else:
        walk = _walk(
            "xyn",
            (
                (across.count, window_step[1]),
                (down.count, window_step[0] * across.sums),
                (images, down.sums * across.sums),
            ),
        )
    param = tables.items[tables.stores[number, PARAM], ADDRESS]
    param_offset = block * config.cols - params_start(work, block)
    return {
        **walk,
        **inside,
        "addr": target.address
        + first_image * target.image_bytes
        + block * config.col_groups * target.plane_bytes
        + down.first * high * target.row_bytes
        + across.first * wide * target.pixel_step,
        "run_words": run_words,
        "runs": runs,
        "run_pitch": pitch,
        "planes": planes,
        "plane_pitch": plane_pitch,
        "bank": bank,
        "acc_base": sums,
        "blocks": blocks,
        "param_base": int(param) + param_offset,
        "zero_point": operation.zero_point,
        "low": operation.low,
        "high": operation.high,
        "table": int(operation.table is not None),
    }


@lru_cache(maxsize=1024)
def _walk(names: str | tuple[str, ...], levels: tuple[tuple[int, int], ...]) -> dict[str, int]:
    """Return the fields of a walk whose levels, innermost first, are (count, stride)."""
    steps = walk_steps([count for count, _ in levels], [stride for _, stride in levels])
    fields = {}
    for name, (count, _), step in zip(names, levels, steps, strict=True):
        fields[f"{name}_count"] = count
        fields[f"{name}_step"] = step
    return fields
