"""Why the best tiling of a layer changes with the bandwidth: sentences made of the figures."""

from collections.abc import Sequence
from itertools import pairwise

from systolith_host.compiler.schedule.schedule import LayerSchedule
from systolith_host.visual.tilings import Choice, TilingStudy
from systolith_hw.spec.winograd import LANES

__all__ = ["bottleneck", "explain", "loop_order", "tile_text", "weights_text"]

_NEAR = 0.002
"""Shares below this are not mentioned."""

_WEIGHTS = {
    "layer": "stay for the layer",
    "tile": "stay for an input tile",
    "stream": "stream",
}


def tile_text(schedule: LayerSchedule) -> str:
    """Return a tile's size: rows x columns of outputs."""
    images = f"{schedule.images} images of " if schedule.images > 1 else ""
    return f"{images}{schedule.rows}x{schedule.columns}"


def weights_text(schedule: LayerSchedule) -> str:
    """Return how long weights stay."""
    return _WEIGHTS[schedule.weights]


def loop_order(schedule: LayerSchedule) -> str:
    """Return the loops of a schedule, outermost first."""
    tile = f"{tile_text(schedule)} tiles" + (" of patches (Winograd)" if schedule.winograd else "")
    blocks = schedule.chunk_blocks
    share = _blocks(blocks) if blocks else "part of a block"
    if schedule.linear:
        share = f"{blocks} weight block{'s' if blocks != 1 else ''}"
    loops = ["input tiles", "output blocks"]
    if schedule.group_blocks:
        stacks = f"stacks of {schedule.stack} output blocks"
        loops = ["tiles of images", stacks, f"inputs of {_blocks(schedule.group_blocks)}", loops[1]]
    elif schedule.stack > 1:
        loops.append(f"{schedule.stack} accumulator tiles")
    loops.append(f"CONVs of {share}")
    text = " > ".join(loops)
    each = "stack" if schedule.group_blocks else "output block"
    again = "" if schedule.resident else f"; inputs are loaded anew for each {each}"
    return f"{tile}: {text}{again}"


def bottleneck(study: TilingStudy, choice: Choice) -> str:
    """Return what bounds the layer: "array", "memory" or "weight blocks"."""
    cycles = choice.tiling.cycles
    if choice.bus_cycles > study.array_cycles and choice.bus_cycles > 0.9 * cycles:
        return "memory"
    schedule = choice.tiling.schedule
    if schedule.pixels // (LANES if schedule.winograd else 1) < study.rows:
        return "weight blocks"  # a pass of few pixels ends before the next one has shifted in
    return "array"


def explain(study: TilingStudy) -> list[str]:
    """Return sentences: what bounds the layer, and why each change of the tiling pays."""
    choices = study.choices
    sentences = [_bounds(study)]
    unchanged: list[float] = []
    for before, choice in pairwise(choices):
        if _same(before, choice):
            unchanged.append(choice.bandwidth)
            continue
        sentences.append(_change(study, before, choice))
    if len(unchanged) == len(choices) - 1:
        sentences.append(f"One tiling is best from {_span(choices)}: {_why_fixed(study)}")
    elif unchanged:
        listed = ", ".join(f"{value:g}" for value in unchanged)
        sentences.append(
            f"At {listed} bytes per cycle the tiling is that of the next lower bandwidth."
        )
    sentences.append(_summary(study))
    return sentences


def _span(choices: Sequence[Choice]) -> str:
    return f"{choices[0].bandwidth:g} to {choices[-1].bandwidth:g} bytes per cycle"


def _same(one: Choice, other: Choice) -> bool:
    def key(choice: Choice) -> tuple[object, ...]:
        schedule = choice.tiling.schedule
        return (
            (schedule.images, schedule.rows, schedule.columns, schedule.stack),
            (schedule.chunk_blocks, schedule.chunk_taps, schedule.resident, schedule.weights),
            schedule.winograd,
        )

    return key(one) == key(other)


def _busy(choice: Choice) -> float:
    """Return the share of the time in which the bus is busy, by the schedule's own bytes."""
    return min(choice.bus_cycles / choice.tiling.cycles, 1.0)


def _blocks(count: int) -> str:
    return f"{count} input block{'s' if count != 1 else ''}"


def _bounds(study: TilingStudy) -> str:
    kinds = [(choice, bottleneck(study, choice)) for choice in study.choices]
    first, last = kinds[0], kinds[-1]
    busy = [_busy(choice) for choice in study.choices]
    array = study.choices[-1].tiling.schedule.compute_cycles
    if first[1] == last[1] == "array":
        return (
            f"Bound by the array at every bandwidth: its passes take {array:,} cycles, and the bus "
            f"is busy for only {busy[0]:.0%} of the time at {first[0].bandwidth:g} bytes per cycle "
            f"and {busy[-1]:.0%} at {last[0].bandwidth:g}. A tiling can still save the time "
            "before the first CONV and after the last one."
        )
    if first[1] == last[1] == "memory":
        return (
            f"Bound by the memory throughout {_span(study.choices)}: at {last[0].bandwidth:g} "
            f"{last[0].tiling.traffic:,} bytes take {last[0].bus_cycles:,.0f} cycles, the array "
            f"needs {study.array_cycles:,}. The tiling with the least traffic is the best one."
        )
    turn = next(choice for choice, kind in kinds if kind != "memory")
    text = {
        "array": "the array",
        "weight blocks": "the weight blocks, which shift in no faster than one row per cycle",
    }[last[1]]
    if first[1] != "memory":
        return f"Bound by {text}: its passes take {array:,} cycles."
    return (
        f"Bound by the memory below {turn.bandwidth:g} bytes per cycle, where the bus is busy for "
        f"{busy[0]:.0%} of the time at {first[0].bandwidth:g}; from {turn.bandwidth:g} on by "
        f"{text}: {array:,} cycles."
    )


def _change(study: TilingStudy, before: Choice, choice: Choice) -> str:
    old, new = before.tiling.schedule, choice.tiling.schedule
    parts = [*_tile_change(before, choice), *_chunk_change(before, choice)]
    if old.weights != new.weights:
        parts.append(_weights_change(study, new))
    if old.resident != new.resident:
        stays = "stay for all output blocks" if new.resident else "are loaded for each output block"
        parts.append(f"inputs now {stays}")
    if old.winograd != new.winograd:
        parts.append(f"the convolution is {'Winograd' if new.winograd else 'direct'} now")
    if old.linear != new.linear:
        parts.append(
            "each pass is one pixel of a long row now"
            if new.linear
            else "each pass goes over a tile again"
        )
    head = f"From {before.bandwidth:g} to {choice.bandwidth:g} bytes per cycle "
    return f"{head}{'; '.join(parts)}. {_pays(before, choice)}"


def _tile_change(before: Choice, choice: Choice) -> list[str]:
    old, new = before.tiling.schedule, choice.tiling.schedule
    if (old.rows, old.columns, old.images) == (new.rows, new.columns, new.images):
        if old.stack == new.stack:
            return []
        return [f"{new.stack} accumulator tiles share an input tile instead of {old.stack}"]
    verb = "shrinks" if new.pixels < old.pixels else "grows"
    if new.pixels == old.pixels:
        verb = "changes"
    text = (
        f"the accumulator tile {verb} from {tile_text(old)} to {tile_text(new)} "
        f"({old.pixels:,} to {new.pixels:,} sums a column), so that the last drain, which nothing "
        f"hides, takes {choice.last_drain:,} cycles instead of {before.last_drain:,}"
    )
    parts = [text]
    if new.stack != old.stack:
        tall, wide = choice.input_tile
        parts.append(
            f"{new.stack} of them share an input tile of {tall}x{wide} pixels, so that the halo "
            "around it does not grow with their number"
            if new.stack > 1
            else f"each has an input tile of its own, {tall}x{wide} pixels"
        )
    return parts


def _chunk_change(before: Choice, choice: Choice) -> list[str]:
    old, new = before.tiling.schedule, choice.tiling.schedule
    if old.chunk_blocks == new.chunk_blocks or old.linear != new.linear:
        return []
    if new.chunk_blocks < old.chunk_blocks:
        at = before.first_load * before.bandwidth / choice.bandwidth
        return [
            f"a CONV takes {_blocks(new.chunk_blocks)} instead of {old.chunk_blocks}: the "
            f"first one can begin after {choice.first_load:,.0f} cycles of loading instead of "
            f"{at:,.0f}, for more instructions to fetch"
        ]
    return [
        f"a CONV takes {_blocks(new.chunk_blocks)} instead of {old.chunk_blocks}, which "
        "saves instructions"
    ]


def _weights_change(study: TilingStudy, new: LayerSchedule) -> str:
    have = f"{study.weight_bytes:,} bytes of weights, {study.weight_buffer:,} of buffer"
    return {
        "layer": f"weights stay for the whole layer ({have})",
        "tile": (
            "the weights of an output block are loaded once for an input tile, not for each of "
            f"its {new.stack} accumulator tiles ({have})"
        ),
        "stream": f"weights stream, a few CONVs ahead ({have})",
    }[new.weights]


def _pays(before: Choice, choice: Choice) -> str:
    kept = choice.kept
    if kept is None:
        return "The former tiling does not fit here."
    saved = kept.cycles - choice.tiling.cycles
    more = choice.tiling.traffic - kept.traffic
    share = more / kept.traffic
    busy = _busy(choice)
    moved = f"{abs(more):,} bytes {'more' if more > 0 else 'less'} ({abs(share):.1%})"
    if more == 0:
        moved = "the same traffic"
    if saved > 0 and more > 0:
        hidden = "hide behind the array" if busy < 0.9 else "have room on the bus now"
        was = _busy(before)
        return (
            f"That saves {saved:,} cycles for {moved}, which {hidden}: the bus is busy for "
            f"{busy:.1%} of the time, where it was {was:.1%} before."
        )
    if saved > 0:
        return f"That saves {saved:,} cycles with {moved}."
    if more < 0:
        return f"It takes {-saved:,} cycles more, but {moved}, which the compiler weighs, too."
    # The compiler simulates only the few tilings that its rough model ranks first.
    return (
        f"The former tiling would be as good: {-saved:,} cycles fewer "
        f"({-saved / choice.tiling.cycles:.3%}), {abs(more):,} bytes fewer. The compiler simulates "
        "only the few tilings that its rough model ranks first, and that one was not among them."
    )


def _why_fixed(study: TilingStudy) -> str:
    schedule = study.choices[0].tiling.schedule
    operation = study.operation
    whole = (schedule.rows, schedule.columns) == (operation.out_height, operation.out_width)
    if whole:
        return "all outputs are one tile."
    return "less traffic and fewer cycles do not pull in different directions here."


def _summary(study: TilingStudy) -> str:
    first, last = study.choices[0], study.choices[-1]
    saved = first.tiling.cycles - last.tiling.cycles
    more = last.tiling.traffic - first.tiling.traffic
    a, b = first.tiling.schedule, last.tiling.schedule
    faster = first.tiling.cycles / last.tiling.cycles
    text = f"In all, {last.bandwidth / first.bandwidth:g} times the bandwidth "
    if faster > 1.1:
        text += f"makes the layer {faster:.2f} times as fast ({saved:,} cycles fewer)"
    else:
        text += f"saves {saved:,} cycles, {saved / first.tiling.cycles:.2%},"
    if abs(more) > _NEAR * first.tiling.traffic:
        text += f" with {more / first.tiling.traffic:+.1%} traffic"
    if a.pixels != b.pixels:
        text += f"; the tile went from {a.pixels:,} to {b.pixels:,} sums a column"
    least = study.compulsory_bytes
    text += (
        f". It moves {first.tiling.traffic / least:.2f} to {last.tiling.traffic / least:.2f} times "
        f"the least possible {least:,} bytes"
    )
    if study.weight_bytes <= study.weight_buffer:
        text += "; its weights fit their buffer and are read once"
    elif study.input_bytes <= study.act_buffer:
        text += "; its whole input fits the activation buffer and is read once"
    return text + "."
