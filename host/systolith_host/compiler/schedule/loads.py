"""The fields of LOADs: where the words of an item are in external memory and in its buffer."""

from systolith_host.compiler.schedule.chunks import Chunk
from systolith_host.compiler.schedule.geometry import Span
from systolith_host.compiler.schedule.tables import BLOCK
from systolith_host.compiler.schedule.work import Work, params_start
from systolith_hw.spec.isa import PARAM_BYTES, TABLE_ENTRIES, Buffer

__all__ = ["load_fields"]


def load_fields(work: Work, item: int) -> list[dict[str, int]]:
    """Return the fields of an item's LOADs without waits; `dest` counts from its address.

    Parameters
    ----------
    item : int
        Its row in the table.
    """
    tables, addresses = work.tables, work.addresses
    words, _, _, _, first, *_ = tables.items[item].tolist()
    if item >= tables.bounds[Buffer.PARAM, 0]:
        start = params_start(work, int(tables.stores[first, BLOCK]))
        params = _linear(Buffer.PARAM, addresses.params + start * PARAM_BYTES, words)
        if work.operation.table is None or item > tables.bounds[Buffer.PARAM, 0]:
            return [params]
        # The table comes with the first parameters, in front of every STORE.
        words = TABLE_ENTRIES // PARAM_BYTES
        return [_linear(Buffer.TABLE, addresses.table, words), params]
    tile, *_, number = tables.steps[first].tolist()
    chunk = work.chunks.chunks[number]
    if item >= tables.bounds[Buffer.WEIGHT, 0]:
        start = addresses.weights + _weight_start(work, tile, chunk)
        if not work.operation.nibbles:
            return [_linear(Buffer.WEIGHT, start, words)]
        return [{**_linear(Buffer.WEIGHT, start, words // 2), "nibbles": 1}]
    return _activations(work, tile, chunk)


def _linear(buffer: Buffer, address: int, words: int) -> dict[str, int]:
    return {"buffer": buffer, "addr": address, "run_words": words, "dest": 0}


def _weight_start(work: Work, tile: int, chunk: Chunk) -> int:
    """Return where a chunk's weights are among those of the operation, in bytes."""
    group = int(work.chunks.blocks[work.tables.stores[tile, BLOCK], 3])
    pass_bytes = work.config.rows * work.config.cols
    start = group * work.operation.weights[0].size + chunk.weight_pass * pass_bytes
    return start * work.operation.weight_bits // 8


def _activations(work: Work, tile: int, chunk: Chunk) -> list[dict[str, int]]:
    """Return a LOAD for each image and each lane that is not beyond the last channel block."""
    # numba takes a second to import.
    from systolith_host.compiler.schedule.lanes import lane_load, read_row

    operation, config = work.operation, work.config
    (first_image, images), columns, rows, _ = work.tile(tile)
    across, down = columns.span, rows.span
    source = work.addresses.sources[chunk.source]
    lanes = 1 if operation.pixel_bytes else config.row_groups
    blocks = 1 if operation.pixel_bytes else source.blocks
    per_pixel = operation.pixel_bytes or config.block
    row_words, whole = read_row(across.length, per_pixel, config.block, source.dense_row_bytes)
    complete = down.covers(operation.height)
    corner = source.address + down.start * source.row_bytes + across.start * per_pixel
    shared = _padding(down, across) | {
        "buffer": Buffer.ACT,
        "run_pitch": source.row_bytes,
        "pixels": across.length,
        "pad_value": operation.pad_value,
        "pixel_bytes": operation.pixel_bytes,
    }
    loads = []
    for image in range(images):
        for lane in range(lanes):
            planes, runs, run_words, height = lane_load(
                lane, lanes, chunk.group, blocks, down.length, row_words, whole, complete
            )
            if not planes:
                continue
            block = chunk.group[0] * lanes + lane
            place = {
                "addr": corner
                + (first_image + image) * source.image_bytes
                + block * source.plane_bytes,
                "lane": lane,
                "dest": image * chunk.group[1] * down.size * across.size,
                "planes": planes,
                "plane_pitch": lanes * source.plane_bytes if planes > 1 else 0,
                "runs": runs,
                "run_words": run_words,
                "rows": height,
            }
            loads.append(shared | place)
    return loads


def _padding(down: Span, across: Span) -> dict[str, int]:
    return {
        "pad_top": down.before,
        "pad_bottom": down.after,
        "pad_left": across.before,
        "pad_right": across.after,
    }
