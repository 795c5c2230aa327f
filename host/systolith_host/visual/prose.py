"""The page's text next to its figures: every number in it comes from the data."""

from html import escape

from systolith_host.explore.rank import exact_line
from systolith_host.explore.results import Result
from systolith_host.visual.assemble import PageData
from systolith_host.visual.curves import KNEE_SHARE
from systolith_host.visual.explain import (
    bottleneck,
    explain,
    loop_order,
    tile_text,
    weights_text,
)
from systolith_host.visual.origins import IDLE
from systolith_host.visual.paragraphs import how_to_read, learn, listed
from systolith_host.visual.points import Measured
from systolith_host.visual.sweep import Sweep
from systolith_host.visual.tilings import TilingMap, TilingStudy

__all__ = [
    "bandwidth_text",
    "buffers_text",
    "changes_html",
    "facts",
    "front_text",
    "introduction",
    "maps_text",
    "roofline_text",
    "stalls_text",
    "timeline_text",
]


def introduction(data: PageData) -> str:
    """Return the subject of the page."""
    subject, config = data.subject, data.subject.config
    images = "one image" if subject.batch == 1 else f"{subject.batch} images"
    cycles = subject.memory.turnaround
    turnaround = f", {cycles} more between reads and writes" if cycles else ""
    return escape(
        f"The cost of {images} of {subject.name} on a "
        f"{config.rows}x{config.cols} systolic array with {config.act_bytes // 1024} KiB of "
        f"activation and {config.weight_bytes // 1024} KiB of weight buffer, and a memory of "
        f"{subject.rate:g} bytes per cycle and a latency of {subject.memory.latency} cycles"
        f"{turnaround}."
    )


def facts(data: PageData) -> list[tuple[str, str]]:
    """Return the headline figures: value and label."""
    points = data.points
    macs = sum(point.macs for point in points)
    bound = sum(point.bound_cycles for point in points)
    traffic = sum(point.traffic for point in points)
    multipliers = data.subject.config.multipliers
    used = f"of {multipliers:,} multipliers used"
    if data.subject.config.winograd:
        used = f"of a multiply-accumulate a cycle for each of {multipliers:,} multipliers"
    frames = data.subject.batch * data.clock_mhz * 1e6 / data.cycles
    found = [
        (f"{data.cycles:,}", "cycles, modelled"),
        (f"{frames:,.2f}", f"images a second at an assumed {data.clock_mhz:g} MHz"),
        (f"{bound / data.cycles:.1%}", "of the speed that the bound allows"),
        (f"{macs / (data.cycles * multipliers):.1%}", used),
        (f"{traffic / 1e6:,.1f} MB", "of DRAM traffic"),
        (f"{macs / 1e9:,.2f} G", "multiply-accumulates"),
    ]
    if data.measured:
        cycles = sum(point.cycles for point in data.measured.points)
        found.insert(1, (f"{cycles:,}", f"cycles, measured: {_covered(data, data.measured)}"))
    return found


def _covered(data: PageData, measured: Measured) -> str:
    return f"{len(measured.points)} of {len(data.points)} layers"


def roofline_text(data: PageData) -> str:
    """Return the text of the roofline."""
    ridge = data.subject.config.multipliers / data.subject.rate
    points = [point for point in data.points if point.macs]
    below = [
        point.name for point in points if point.intensity * point.products < ridge * point.macs
    ]
    worst = min(points, key=lambda point: point.bound_cycles / point.cycles)
    text = f"{len(points) - len(below)} of {len(points)} layers are limited by the array"
    if below:
        text += (
            f", {listed(below)} by the memory: they do fewer than {ridge:.3g} "
            "multiply-accumulates for each byte that they move, so no larger array would help them"
        )
    text += (
        f". Farthest from its own bound is {worst.title}, with "
        f"{worst.bound_cycles / worst.cycles:.1%} of the speed it allows."
    )
    how = (
        "Points further right do more work for each byte, higher ones are faster. The roof is the "
        "lower of the limits of array and memory. The distance below it is lost to tiling and "
        "overlap, or to idle multipliers where a layer has fewer channels than the array rows."
    )
    if len(points) < len(data.points):
        others = [point.name for point in data.points if not point.macs]
        how += f" Not shown, for they multiply nothing: {listed(others)}."
    return learn(text) + _measured_text(data) + how_to_read(how)


def _measured_text(data: PageData) -> str:
    measured = data.measured
    if measured is None:
        return (
            '<p class="how">No measurement was given. <code>systolith run --device rtl --json '
            "run.json</code>, then <code>--measured run.json</code> here, puts the RTL's own "
            "points next to these.</p>"
        )
    mine = {point.name: point for point in data.points}
    pairs = [(mine[point.name], point) for point in measured.points if point.name in mine]
    if not pairs:
        return ""
    errors = [abs(a.cycles / b.cycles - 1) for a, b in pairs]
    same = sum(a.cycles == b.cycles for a, b in pairs)
    traffic = sum(a.traffic == b.traffic for a, b in pairs)
    return (
        f"<p>Measured by {escape(measured.device)} ({escape(measured.path.name)}): {same} of "
        f"{len(pairs)} layers take exactly the modelled cycles, the largest difference is "
        f"{max(errors):.4%}; traffic is equal in {traffic} of {len(pairs)}. "
        f"{measured.mismatches:,} of {measured.values:,} values differ from the golden model.</p>"
    )


def stalls_text(data: PageData) -> str:
    """Return where the array's time goes."""
    total = data.cycles
    busy = sum(point.states.get("busy", 0) for point in data.points)
    causes: dict[str, int] = {}
    for point in data.points:
        for cause, cycles in point.stalls.items():
            causes[cause] = causes.get(cause, 0) + cycles
    most = max(causes, key=lambda cause: causes[cause])
    blamed = sorted(data.points, key=lambda point: -point.stalls.get(most, 0))
    names = [point.title for point in blamed if point.stalls.get(most, 0) > 0.1 * causes[most]]
    waiting = {
        "wait_input": "for inputs",
        "wait_weights": "for weights",
        "wait_output": "for an accumulator bank to be drained",
        "idle": "with no CONV at hand",
    }.get(most, most)
    text = (
        f"The array works in {busy / total:.1%} of all cycles. It loses most waiting {waiting}: "
        f"{causes[most]:,} cycles, {causes[most] / total:.1%}, chiefly in {listed(names)}."
    )
    if most == "idle":
        text = text.replace("waiting with", "with")
    idle = [point for point in data.points if point.macs and point.used < 0.9]
    if idle:
        least = min(idle, key=lambda point: point.used)
        text += (
            f" In {listed([point.title for point in idle])} it works with part of its multipliers: "
            f"{1 - least.used:.0%} of them have no work in {least.title}, which has too few "
            "channels or pixels for them"
            + (", or maps that are no whole patches" if data.subject.config.winograd else "")
            + "."
        )
    how = (
        "The array is in exactly one state in each cycle, as in the accelerator's own counters; "
        "its cycles of work are shared out to multipliers with work and without: "
        f"{IDLE[0].lower()}{IDLE[1:]} A "
        "fully connected layer waits for weights by nature: it uses each of them once per image."
    )
    return learn(text) + how_to_read(how)


def bandwidth_text(data: PageData) -> str:
    """Return the text on the gain from bandwidth, and its end."""
    curves = data.curves
    total, knee = curves.total, curves.total.knee
    at = curves.bandwidths[knee]
    last = curves.bandwidths[-1]
    late = [layer for layer in curves.layers if layer.knee == knee and knee > 0]
    later = [layer for layer in curves.layers if layer.knee > knee]
    first = [layer for layer in curves.layers if layer.knee == 0]
    text = (
        f"The knee of the whole network is at {at:g} bytes per cycle: there it takes "
        f"~{total.cycles[knee]:,} cycles, at most {KNEE_SHARE:.0%} more than at {last:g}. "
    )
    if knee > 0:
        half = max(0, knee - 1)
        text += (
            f"At {curves.bandwidths[half]:g} it would take "
            f"{total.cycles[half] / total.cycles[knee] - 1:.0%} more. "
        )
    if late:
        text += f"{listed([layer.name for layer in late])} have their own knee there. "
    if later:
        most = max(layer.knee for layer in later)
        names = listed([layer.name for layer in later])
        text += f"Beyond it only {names} gain, up to {curves.bandwidths[most]:g}. "
    if first:
        text += (
            f"{len(first)} of {len(curves.layers)} layers need no more: they are at their best "
            f"already with {curves.bandwidths[0]:g}."
        )
    replayed = data.cycles
    wider = max(curves.bus_bytes) > data.subject.config.bus_bytes
    how = (
        "Every point is scheduled anew for its bandwidth; its cycles are estimated, by the "
        f"compiler's simulation. The diamond is exact, the replay of every cycle at "
        f"{data.subject.rate:g}: {replayed:,}. Dots on the right are the knees: the least "
        f"bandwidth within {KNEE_SHARE:.0%} of the layer's best."
    )
    if wider:
        how += (
            f" The bus has {data.subject.config.bus_bytes} bytes, and for more bandwidth than that "
            "it is widened."
        )
    if curves.left_out:
        how += f" Left out: {'; '.join(curves.left_out)}."
    return learn(text) + how_to_read(how)


def changes_html(data: PageData) -> str:
    """Return a table of the best tilings for each layer, and why they change."""
    intro = learn(
        "With little bandwidth a byte costs most; with much, an idle cycle of the array does. "
        "Each sentence below is made of the figures of its layer, the "
        "compiler's estimates: the former tiling was tried at the new bandwidth, too."
    )
    return intro + "".join(_study_html(study) for study in data.studies)


def _study_html(study: TilingStudy) -> str:
    head = ("B/cycle", "cycles", "bytes moved", "bus busy", "bound by", "tile", "weights", "order")
    texts = {"bound by", "tile", "weights", "order"}
    cells = "".join(f'<th class="{"text" if h in texts else ""}">{h}</th>' for h in head)
    rows = []
    before = ""
    for choice in study.choices:
        schedule = choice.tiling.schedule
        order = loop_order(schedule).partition(": ")[2]
        key = f"{tile_text(schedule)}{order}{weights_text(schedule)}"
        busy = min(choice.bus_cycles / choice.tiling.cycles, 1.0)
        rows.append(
            f'<tr class="{"new" if before and key != before else ""}">'
            f"<td>{choice.bandwidth:g}</td><td>~{choice.tiling.cycles:,}</td>"
            f"<td>~{choice.tiling.traffic:,}</td><td>{busy:.1%}</td>"
            f'<td class="text">{bottleneck(study, choice)}</td>'
            f'<td class="text">{tile_text(schedule)}</td>'
            f'<td class="text">{weights_text(schedule)}</td>'
            f'<td class="wide">{escape(order)}</td></tr>'
        )
        before = key
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in explain(study))
    return (
        f"<h3>{escape(study.operation.name)}</h3><div class='scroll'><table><tr>{cells}</tr>"
        f"{''.join(rows)}</table></div><ul>{sentences}</ul>"
    )


def maps_text(data: PageData) -> str:
    """Return how to read the heat maps."""
    parts = []
    for study in data.studies:
        one = study.maps[0]
        best = one.best
        worst = max(tiling.cycles for tiling in one.tiles.values())
        parts.append(
            f"{study.operation.name}: {best.schedule.rows}x{best.schedule.columns} is the best of "
            f"{len(one.tiles)} sizes at {one.bandwidth:g} bytes per cycle, the worst takes "
            f"{worst / best.cycles:.1f} times its cycles" + _compilers(one)
        )
    how = (
        "Each square is the size of an accumulator tile with the best order and chunks found for "
        "it; traffic and cycles are the compiler's estimates. Small tiles read their halo "
        "again and again and leave too few pixels to a pass; large ones drain long at the end. "
        "Sizes that no buffer holds, or that cut the layer unevenly, are left blank. Colours end "
        "where the worst 15 % begin; the pointer tells the figures."
    )
    return "".join(learn(f"{part}.") for part in parts) + how_to_read(how)


def _compilers(one: TilingMap) -> str:
    """Return the compiler's choice where it is not the best size."""
    worse = one.chosen.score / one.best.score - 1
    if worse <= 0:
        return ""
    text = f"; the compiler takes {tile_text(one.chosen.schedule)}, by what it weighs "
    return text + (f"{worse:.3%} worse" if worse >= 0.00001 else "as good to 0.001 %")


def _source(data: PageData) -> str:
    timeline = data.timeline
    label = "RTL" if timeline.source == "rtl" else "MODEL"
    return (
        f'<p><span class="source {timeline.source}">{label}</span> '
        f"{escape(timeline.origin[0].upper() + timeline.origin[1:])}.</p>"
    )


def timeline_text(data: PageData) -> str:
    """Return the text of the timeline, with its source."""
    one = data.timeline
    starts = one.times[one.opcodes == 2]
    first, last = int(starts[:, 1].min()), int(starts[:, 2].max())
    bus = one.config.bus_bytes
    moved = (one.samples[-1, 1] + one.samples[-1, 2]) * bus if len(one.samples) else 0
    busy = moved / (len(one.samples) * one.interval * data.subject.rate) if len(one.samples) else 0
    text = (
        f"The first pixel enters the array in cycle {first:,}, the last one in {last:,} of "
        f"{one.cycles:,}: {one.cycles - last:,} cycles at the end serve the last drain and the "
        f"last writes. The memory moves {busy:.1%} of its limit."
    )
    coarse = one.interval * one.averaged(data.window)
    averages = f"{one.interval:,} cycles"
    if coarse > one.interval:
        averages = f"{coarse:,} cycles ({one.interval:,} in parts)"
    how = (
        "Bars are instructions: LOADs into the buffers, CONVs in the array (a shade for each "
        "accumulator bank), the drain of sums, and STOREs until the memory acknowledges their "
        "last write. Below, in averages of "
        f"{averages} each: how busy load, array and drain are, in the colours above, "
        "and the bytes on the bus. Buttons show all of it, "
        "its start, middle or end; drag to zoom, double-click to see everything."
    )
    return _source(data) + learn(text) + how_to_read(how)


def buffers_text(data: PageData) -> str:
    """Return the text on the buffers."""
    parts = [f"{one.name} {one.peak / one.capacity:.0%}" for one in data.occupancy]
    tight = max(data.occupancy, key=lambda one: one.peak / one.capacity)
    text = (
        f"At most in use: {listed(parts)}. {tight.name} is the tightest "
        "one: a larger buffer there could change this layer most."
    )
    how = (
        "Data of a LOAD counts from its first word until the last instruction that reads it "
        "has ended, sums from a tile's first CONV until they are drained. Times are those of the "
        "timeline."
    )
    return _source(data) + learn(text) + how_to_read(how)


def front_text(sweep: Sweep) -> str:
    """Return the text of the sweep."""
    front = sweep.front.results
    fast = front[0]
    small = min(front, key=lambda result: (result.multipliers, result.memory_bytes))
    text = (
        f"{len(front)} of {len(sweep.points)} points are beaten by no other in cycles, "
        f"traffic, DSPs and block RAMs at once. The fastest takes {_cycles(fast)} cycles with "
        f"{fast.multipliers:,} multipliers and {fast.memory_bytes / 1024:,.0f} KiB; the smallest "
        f"{_cycles(small)} with {small.multipliers:,} and {small.memory_bytes / 1024:,.0f} KiB."
    )
    made = sweep.experiment
    how = (
        f"From {sweep.path}: {made.network}, batch {made.batch}, on {made.base} with other "
        f"{', '.join(made.axes.split())}, by {made.tool}; the pointer shows each configuration. "
        f"{exact_line(sweep.points, sweep.front)}"
    )
    if sweep.failed:
        how += f" {sweep.failed} more points cannot be built or run."
    return learn(text) + how_to_read(how)


def _cycles(result: Result) -> str:
    return f"{'' if result.exact else '~'}{result.known_cycles:,}"
