"""The page of `systolith compile --explain` about one layer."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from systolith_host.compiler.schedule.schedule import TRAFFIC_WEIGHT
from systolith_host.cost.explain import Alternative, BufferUse, Explanation
from systolith_hw.spec.winograd import LANES

__all__ = ["explanation_page"]


def explanation_page(explanation: Explanation) -> RenderableType:
    """Return the page."""
    return Group(
        Text(_title(explanation), style="bold"),
        Text(),
        *map(Text, _layer(explanation)),
        Text(),
        _alternatives(explanation),
        Text(),
        *map(Text, _reasons(explanation)),
        Text(),
        _buffers(explanation),
        Text(),
        _traffic(explanation),
        Text(),
        *map(Text, _limits(explanation)),
    )


def _title(e: Explanation) -> str:
    return (
        f"{' + '.join(e.covers)}, batch {e.batch}, on {e.config.name} "
        f"({e.config.rows}x{e.config.cols} array; memory: {e.memory})"
    )


def _layer(e: Explanation) -> list[str]:
    source, target = ("x".join(map(str, shape)) for shape in (e.source, e.target))
    inputs, outputs = e.blocks
    passes = f"{e.kernel[0]}x{e.kernel[1]} passes for each pair"
    if e.chosen.schedule.winograd:
        passes = f"{LANES} passes for each pair: Winograd's, a patch for 4x4 outputs"
    narrow = "" if e.weight_bits == 8 else f", weights of {e.weight_bits} bits in memory"
    return [
        f"{source} to {target} (channels, height, width), {e.macs:,} multiply-accumulates{narrow}",
        f"on the array: {inputs} blocks of {e.config.rows} input channels, {outputs} blocks of "
        f"{e.config.cols} output channels, {passes}",
    ]


def _alternatives(e: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in ("", "tile", "stack", "share of a CONV", "loop order"):
        table.add_column(name, no_wrap=True)
    for name in ("cycles", "", "traffic MB", ""):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("chosen", *_row(e, e.chosen), style="bold")
    for number, one in enumerate(e.leading):
        table.add_row("next best" if number == 0 else "", *_row(e, one))
    table.add_section()
    for one in e.orders:
        if one.order != e.chosen.order:
            table.add_row("other order", *_row(e, one))
    return table


def _row(e: Explanation, one: Alternative) -> list[str]:
    plan = one.schedule
    tile = f"{plan.rows}x{plan.columns}" + (f"x{plan.images}" if plan.images > 1 else "")
    share = f"{plan.chunk_blocks} blocks" if plan.chunk_blocks else f"{plan.chunk_taps} passes"
    if plan.linear:
        share = f"{plan.chunk_blocks} passes"
    if plan.units:
        share = f"{plan.units} units of {plan.pixels} blocks"
    cycles = one.estimated_cycles / e.chosen.estimated_cycles - 1
    traffic = one.traffic_bytes / e.chosen.traffic_bytes
    return [
        tile,
        str(plan.stack),
        share,
        one.order,
        f"{e.cycles:,}" if one is e.chosen else f"~{one.estimated_cycles:,}",
        "" if one is e.chosen else f"{cycles:+.2%}",
        f"~{one.traffic_bytes / 1e6:,.3f}",
        "" if one is e.chosen else f"{traffic - 1:+.1%}",
    ]


def _reasons(e: Explanation) -> list[str]:
    lines = [
        f"Of {e.candidates:,} tilings that fit, rated by a rough model, the most promising are "
        f"simulated ({e.simulated:,} for this page: cycles and traffic with ~);",
        f"the one with the least cycles + {TRAFFIC_WEIGHT:g} x transfer time is taken.",
    ]
    if e.leading and e.leading[0].score < e.chosen.score:
        lines.append(
            f"The rough model misses one that is {1 - e.leading[0].score / e.chosen.score:.3%} "
            "better: the compiler simulates fewer."
        )
    plan = e.chosen.schedule
    for one in e.orders:
        if one.order == e.chosen.order:
            continue
        what = []
        if one.schedule.winograd != plan.winograd:
            what.append("it was " + ("Winograd's" if one.schedule.winograd else "direct"))
        if one.schedule.resident != plan.resident:
            what.append("the input " + ("stayed" if one.schedule.resident else "was read again"))
        if one.order.split(", ")[1] != e.chosen.order.split(", ")[1]:
            what.append(one.order.split(", ")[1].replace("weights", "weights were read", 1))
        lines.append(
            f"If {' and '.join(what)}: about "
            f"{one.estimated_cycles - e.chosen.estimated_cycles:+,} cycles, "
            f"{(one.traffic_bytes - e.chosen.traffic_bytes) / 1e6:+,.3f} MB."
        )
    if not any(one.order != e.chosen.order for one in e.orders):
        lines.append("No other loop order fits the buffers, or differs.")
    return lines


def _buffers(e: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("buffer", no_wrap=True)
    for name in ("bytes at once", "of", "share", "a piece"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("double-buffered", no_wrap=True)
    for use in e.buffers:
        table.add_row(
            use.name,
            f"{use.needed_bytes:,}",
            f"{use.there_bytes:,}",
            f"{use.needed_bytes / use.there_bytes:.0%}",
            f"{use.piece_bytes:,}",
            _ahead(use),
        )
    return table


def _ahead(use: BufferUse) -> str:
    if use.name == "accumulators":
        return "yes: one bank fills while the other drains"
    if use.once:
        return "not needed: everything fits, nothing is replaced"
    if use.ahead:
        return f"yes: room for {use.ahead} more while one is in use"
    return "no: the next piece waits for room"


def _traffic(e: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("traffic", no_wrap=True)
    table.add_column("MB", justify="right", no_wrap=True)
    for name, count in e.read_bytes.items():
        table.add_row(name, f"{count / 1e6:,.3f}")
    table.add_row("results", f"{e.write_bytes / 1e6:,.3f}")
    total = sum(e.read_bytes.values()) + e.write_bytes
    table.add_row("all", f"{total / 1e6:,.3f}", style="bold")
    table.add_row("compulsory", f"{e.compulsory_bytes / 1e6:,.3f}")
    if e.skipped_bytes:
        table.add_row("weights of zeros, not read", f"{e.skipped_bytes / 1e6:,.3f}")
    return table


def _limits(e: Explanation) -> list[str]:
    side = "array" if e.array_bound >= e.bus_bound else "memory"
    waits = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in e.states.items())
    plan = e.chosen.schedule
    passes = plan.compute_cycles
    used = e.array_bound if plan.winograd else -(-e.macs // e.config.multipliers)
    return [
        f"Lower bound: {e.bound_cycles:,} cycles, by the {side} (array {e.array_bound:,}, "
        f"memory {e.bus_bound:,}).",
        f"Passes of this tiling: {passes:,} cycles, which use {used / passes:.1%} of the "
        "multipliers.",
        f"Replay: {e.cycles:,} cycles, as the RTL counts them, {e.bound_cycles / e.cycles:.1%} of "
        f"the bound reached; the memory is busy for {e.bus_share:.1%}.",
        f"The array's cycles: {waits}.",
        f"Bottleneck: {e.bottleneck}.",
    ]
