"""Functional coverage of the optional units: crosses of Winograd, gathering, nibbles and tables."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations, product

from systolith_hw.spec.config import AcceleratorConfig
from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.legal import word_bytes
from systolith_hw.spec.winograd import OUTPUTS

__all__ = ["CROSSES", "Cross"]

_SIDES = ("top", "bottom", "left", "right")


@dataclass(frozen=True)
class Cross:
    """Values of several fields, perhaps of several instructions, that matter together.

    Parameters
    ----------
    reason : str
        Why they do.
    bins : function
        Returns the names of all bins of a configuration; none where it lacks the unit.
    reached : function
        Returns the names of those that a program fills.
    """

    reason: str
    bins: Callable[[AcceleratorConfig], Iterator[str]]
    reached: Callable[[AcceleratorConfig, Sequence[Instruction]], Iterator[str]]


def _kinds(config: AcceleratorConfig) -> tuple[str, ...]:
    """Return the kinds of CONVs."""
    return ("direct", *(kind for kind in ("winograd", "gather") if getattr(config, kind)))


def _kind(config: AcceleratorConfig, conv: Instruction) -> str:
    return next((kind for kind in _kinds(config)[1:] if conv[kind]), "direct")


def _convs(program: Sequence[Instruction]) -> list[Instruction]:
    return [one for one in program if one.opcode is Opcode.CONV]


def _change_bins(config: AcceleratorConfig) -> Iterator[str]:
    for first, second in permutations(_kinds(config), 2):
        yield f"kinds/{first} then {second}"


def _changes(config: AcceleratorConfig, program: Sequence[Instruction]) -> Iterator[str]:
    kinds = [_kind(config, conv) for conv in _convs(program)]
    for first, second in pairwise(kinds):
        if first != second:
            yield f"kinds/{first} then {second}"


def _padding_bins(config: AcceleratorConfig) -> Iterator[str]:
    if config.winograd:
        sides = ("none", *_SIDES)
        for kind, first, side in product(("direct", "winograd"), ("clear", "add"), sides):
            yield f"padding/{kind}/{first}/{side}"


def _padding(config: AcceleratorConfig, program: Sequence[Instruction]) -> Iterator[str]:
    """Take the padding of the last tile for which a CONV waits."""
    loads = [one for one in program if one.opcode is Opcode.LOAD]
    for conv in _convs(program) if config.winograd else ():
        kind = _kind(config, conv)
        tiles = [one for one in loads[: conv["after_loaded_act"]] if one["buffer"] == Buffer.ACT]
        if kind == "gather" or not tiles:
            continue
        sides = [side for side in _SIDES if tiles[-1][f"pad_{side}"]]
        first = "clear" if conv["clear"] else "add"
        yield from (f"padding/{kind}/{first}/{side}" for side in sides or ("none",))


def _chunk_bins(config: AcceleratorConfig) -> Iterator[str]:
    if config.winograd:
        for first, chunks in product(("clear", "add"), ("one chunk", "two", "more")):
            yield f"chunks/{first}/{chunks}"


def _chunks(config: AcceleratorConfig, program: Sequence[Instruction]) -> Iterator[str]:
    for conv in _convs(program):
        if _kind(config, conv) == "winograd":
            chunks = ("one chunk", "two", "more")[min(conv["c_count"], 3) - 1]
            yield f"chunks/{'clear' if conv['clear'] else 'add'}/{chunks}"


def _weight_bins(config: AcceleratorConfig) -> Iterator[str]:
    orders = ("in order", "gathered") if config.gather else ("in order",)
    widths = ("bytes", "nibbles") if config.nibbles else ("bytes",)
    if len(orders) * len(widths) > 1 and config.cols < config.bus_bytes:
        for order, width, place, end in product(orders, widths, ("at", "inside"), ("begin", "end")):
            yield f"weights/{order}/{width}/{place} a beat's {end}"


def _weights(config: AcceleratorConfig, program: Sequence[Instruction]) -> Iterator[str]:
    size = word_bytes(Buffer.WEIGHT, config)
    for load in program:
        if load.opcode is not Opcode.LOAD or load["buffer"] != Buffer.WEIGHT:
            continue
        order = "gathered" if load.fields.get("gather") else "in order"
        width = "nibbles" if load.fields.get("nibbles") else "bytes"
        # The places of runs repeat after so many.
        for run in range(min(load["runs"], config.bus_bytes)):
            begin = load["addr"] + run * load["run_pitch"]
            for end, place in (("begin", begin), ("end", begin + load["run_words"] * size)):
                where = "inside" if place % config.bus_bytes else "at"
                yield f"weights/{order}/{width}/{where} a beat's {end}"


def _result_bins(config: AcceleratorConfig) -> Iterator[str]:
    paths = ["direct/pooled", "direct/sums"]
    paths += ["winograd/pooled", "winograd/sums"] if config.winograd else []
    paths += ["stacked/sums"] if config.gather else []
    if config.functions:
        yield from (f"results/{how}/{path}" for how, path in product(("table", "plain"), paths))


def _results(config: AcceleratorConfig, program: Sequence[Instruction]) -> Iterator[str]:
    for store in program:
        if store.opcode is not Opcode.STORE or not config.functions:
            continue
        how = "table" if store["table"] else "plain"
        if store.fields.get("winograd"):
            yield f"results/{how}/winograd/{'pooled' if store['pool'] else 'sums'}"
        elif store.fields.get("stacked"):
            yield f"results/{how}/stacked/sums"
        else:
            pooled = store["dx_count"] * store["dy_count"] > 1
            yield f"results/{how}/direct/{'pooled' if pooled else 'sums'}"


def _patch_stores(program: Sequence[Instruction]) -> Iterator[tuple[Instruction, str]]:
    for store in program:
        if store.opcode is Opcode.STORE and store.fields.get("winograd"):
            yield store, "pooled" if store["pool"] else "sums"


def _edge_bins(config: AcceleratorConfig) -> Iterator[str]:
    if config.winograd:
        for pool, step in (("sums", 1), ("pooled", 2)):
            rests = range(0, OUTPUTS, step)
            yield from (f"edges/{pool}/{right} by {down}" for right, down in product(rests, rests))


def _edges(config: AcceleratorConfig, program: Sequence[Instruction]) -> Iterator[str]:
    for store, pool in _patch_stores(program):
        yield f"edges/{pool}/{store['width'] % OUTPUTS} by {store['height'] % OUTPUTS}"


def _strip_bins(config: AcceleratorConfig) -> Iterator[str]:
    if config.winograd:
        for pool in ("sums", "pooled"):
            yield from (f"strips/{pool}/{strips}" for strips in ("one", "two", "more", "images"))


def _strips(config: AcceleratorConfig, program: Sequence[Instruction]) -> Iterator[str]:
    for store, pool in _patch_stores(program):
        strips = store["y_count"] * store["n_count"] * store["blocks"]
        yield f"strips/{pool}/{('one', 'two', 'more')[min(strips, 3) - 1]}"
        if store["n_count"] > 1:
            yield f"strips/{pool}/images"


CROSSES = (
    Cross(
        "A CONV of another kind waits until those before it have issued all their words.",
        _change_bins,
        _changes,
    ),
    Cross(
        "Patches at an edge are gathered with padding, for sums that begin and that go on.",
        _padding_bins,
        _padding,
    ),
    Cross(
        "The rings of lanes have two halves: a third chunk of channels waits for the first.",
        _chunk_bins,
        _chunks,
    ),
    Cross(
        "Each run of weights is cut out of its beats, then split into nibbles, then put in place.",
        _weight_bins,
        _weights,
    ),
    Cross(
        "A table stands between requantisation and pooling, on the path of each kind of sums.",
        _result_bins,
        _results,
    ),
    Cross(
        "Patches reach beyond the right and the lower edge: width and height modulo a patch's 4.",
        _edge_bins,
        _edges,
    ),
    Cross(
        "The staging memory holds two strips of patches; an image begins a strip.",
        _strip_bins,
        _strips,
    ),
)
"""All of them. The part of a bin in the report is its first word."""
