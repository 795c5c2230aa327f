"""Triage of a wrong layer as lines for people."""

from collections.abc import Sequence

from systolith_host.flow.case import Verdict
from systolith_host.flow.retired import LockStep
from systolith_host.flow.triage import Span, Triage

__all__ = ["retired_line", "triage_lines", "verdict_lines"]


def triage_lines(triage: Triage) -> list[str]:
    """Return what is wrong first, and which instructions are to be looked at."""
    lines = [
        f"first wrong layer: {triage.layer}, {triage.differing:,} of {triage.values:,} values "
        f"differ, in {triage.wrong_tiles:,} of its {triage.tiles:,} tiles",
        f"    value: image {triage.image}, channel {triage.channel}, row {triage.row}, "
        f"column {triage.column} (from 0) is {triage.found}, not {triage.wanted}",
    ]
    tile = triage.tile
    if tile is None:
        return [*lines, "    no STORE of the layer writes there: the program is wrong"]
    spans = {
        "image": tile.images,
        "channel": tile.channels,
        "row": tile.rows,
        "column": tile.columns,
    }
    shape = ", ".join(_span(name, span) for name, span in spans.items())
    return [
        *lines,
        f"    tile: {shape}; written by instruction {tile.instruction}, STORE number {tile.store}",
        f"    its sums: {_numbers(tile.convs)}",
    ]


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return the result of running a case again."""
    found, emulated = verdict.triage, verdict.emulated
    lines = [f"{verdict.device}: the layer equals the golden model"]
    if found is not None:
        lines = [f"{verdict.device}:", *triage_lines(found)]
    if emulated is not None:
        first = "in the same values" if emulated == found else "elsewhere"
        lines.append(f"the emulator differs, too, {first}: look at the program first")
    elif found is not None:
        lines.append("the emulator equals the golden model: the program is right, the device wrong")
    return lines


def retired_line(step: LockStep) -> str:
    """Return which instruction of the RTL is the first that differs from the emulator's."""
    if step.difference:
        return f"first wrong instruction: {step.difference}"
    return f"each of {len(step.retired):,} instructions writes the same in RTL and emulator"


def _span(name: str, span: Span) -> str:
    first, last = span
    return f"{name} {first}" if first == last else f"{name}s {first} to {last}"


def _numbers(convs: Sequence[int]) -> str:
    if not convs:
        return "no CONV makes them: the program is wrong"
    if len(convs) == 1:
        return f"CONV, instruction {convs[0]}"
    return f"{len(convs):,} CONVs, instructions {convs[0]} to {convs[-1]}"
