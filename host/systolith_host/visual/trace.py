"""A timeline in the Chrome trace format, for Perfetto (ui.perfetto.dev) and chrome://tracing."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from systolith_host.errors import SystolithError
from systolith_host.visual.occupancy import buffer_use
from systolith_host.visual.timeline import Timeline
from systolith_hw.spec.isa import Buffer, Instruction, Opcode
from systolith_hw.spec.registers import ENGINE_STATES

__all__ = ["network_events", "save_network_trace", "save_trace", "trace_events"]

_PROCESS = 1
_TRACKS = {"load": 1, "array": 2, "drain": 3, "store": 4}
_LAYERS = 5


def trace_events(timeline: Timeline, clock_mhz: float) -> dict[str, Any]:
    """Return a timeline as the JSON object format; times in microseconds at this clock.

    Tracks are load, array and drain, each of whose instructions is a complete event ("X"). STOREs
    under way overlap, so the track of stores has asynchronous events ("b", "e"). Bus, engines and
    buffers are counters ("C").
    """

    def at(cycle: float) -> float:
        return round(float(cycle) / clock_mhz, 6)

    title = f"{timeline.layer} ({timeline.source})"
    events: list[dict[str, Any]] = [_name("process_name", title, 0)]
    events += [_name("thread_name", name, thread) for name, thread in _TRACKS.items()]
    for number, one in enumerate(timeline.instructions):
        passed, begin, end, stored = map(int, timeline.times[number])
        track = {Opcode.LOAD: "load", Opcode.CONV: "array", Opcode.STORE: "drain"}[one.opcode]
        common = {"cat": track, "pid": _PROCESS, "args": _arguments(one, number, begin, end)}
        events.append(
            {
                "name": _title(one),
                "ph": "X",
                "ts": at(begin),
                "dur": at(max(end + 1 - begin, 1)),
                "tid": _TRACKS[track],
                **common,
            }
        )
        if one.opcode == Opcode.STORE:
            both = {**common, "name": "STORE", "cat": "store", "id": number}
            both["tid"] = _TRACKS["store"]
            events.append({**both, "ph": "b", "ts": at(passed)})
            events.append({**both, "ph": "e", "ts": at(stored)})
    events += _counters(timeline, at)
    return {
        "traceEvents": sorted(events, key=lambda event: event.get("ts", -1.0)),
        "displayTimeUnit": "ns",
        "otherData": {
            "layer": timeline.layer,
            "source": timeline.origin,
            "accelerator": timeline.config.name,
            "clock_mhz": clock_mhz,
            "cycles": timeline.cycles,
        },
    }


def network_events(timelines: Iterable[Timeline], clock_mhz: float) -> dict[str, Any]:
    """Return the timelines of layers that run one after the other as one trace.

    A track of its own has a complete event for each layer. The host's time between two layers is
    not in it.

    Parameters
    ----------
    timelines : iterable of Timeline
        In the order in which they run; at least one.
    clock_mhz : float
    """
    names: list[dict[str, Any]] = [_name("thread_name", "layers", _LAYERS)]
    events: list[dict[str, Any]] = []
    other: dict[str, Any] = {}
    cycles = 0
    for number, timeline in enumerate(timelines):
        one = trace_events(timeline, clock_mhz)
        begin = cycles / clock_mhz
        if not other:
            names += [event for event in one["traceEvents"] if event["ph"] == "M"]
            names[1]["args"]["name"] = f"network ({timeline.source})"
            other = {**one["otherData"]}
        events.append(
            {
                "name": timeline.layer,
                "cat": "layer",
                "ph": "X",
                "ts": round(begin, 6),
                "dur": round(timeline.cycles / clock_mhz, 6),
                "pid": _PROCESS,
                "tid": _LAYERS,
                "args": {"first cycle": cycles + 1, "cycles": timeline.cycles},
            }
        )
        for event in one["traceEvents"]:
            if event["ph"] == "M":
                continue
            event["ts"] = round(event["ts"] + begin, 6)
            if "id" in event:
                event["id"] = f"{number}.{event['id']}"
            events.append(event)
        cycles += timeline.cycles
    events.sort(key=lambda event: event["ts"])
    del other["layer"]
    return {
        "traceEvents": [*names, *events],
        "displayTimeUnit": "ns",
        "otherData": {**other, "cycles": cycles},
    }


def save_network_trace(timelines: Iterable[Timeline], clock_mhz: float, path: Path) -> None:
    """Write the timelines of a network's layers as one trace file.

    Raises
    ------
    SystolithError
        If the file cannot be written.
    """
    _save(network_events(timelines, clock_mhz), path)


def save_trace(timeline: Timeline, clock_mhz: float, path: Path) -> None:
    """Write a timeline as a trace file.

    Raises
    ------
    SystolithError
        If the file cannot be written.
    """
    _save(trace_events(timeline, clock_mhz), path)


def _save(trace: dict[str, Any], path: Path) -> None:
    try:
        path.write_text(json.dumps(trace, separators=(",", ":")))
    except OSError as error:
        raise SystolithError(f"{path}: cannot be written: {error.strerror}") from None


def _name(kind: str, name: str, thread: int) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": _PROCESS, "tid": thread, "args": {"name": name}}


def _title(one: Instruction) -> str:
    if one.opcode == Opcode.LOAD:
        return f"LOAD {Buffer(one['buffer']).name.lower()}"
    return f"{one.opcode.name} bank {one['bank']}"


def _arguments(one: Instruction, number: int, begin: int, end: int) -> dict[str, Any]:
    found: dict[str, Any] = {"instruction": number, "first cycle": begin, "last cycle": end}
    if one.opcode == Opcode.CONV:
        found["pixels"] = one["x_count"] * one["y_count"] * one["n_count"]
        found["passes"] = one["s_count"] * one["r_count"] * one["c_count"]
    else:
        found["words"] = one["run_words"] * one["runs"] * one["planes"]
        found["address"] = f"{one['addr']:#x}"
    return found


def _counters(timeline: Timeline, at: Any) -> list[dict[str, Any]]:
    events = []
    bus = timeline.config.bus_bytes

    def counter(name: str, cycle: int, values: dict[str, float]) -> None:
        events.append(
            {
                "name": name,
                "ph": "C",
                "ts": at(cycle),
                "pid": _PROCESS,
                "tid": 0,
                "args": {key: round(float(value), 4) for key, value in values.items()},
            }
        )

    series = {
        "bus, bytes per cycle": {
            "read": timeline.rates("read_beats") * bus,
            "written": timeline.rates("write_beats") * bus,
        }
    }
    for engine, states in ENGINE_STATES.items():
        series[f"{engine.name.lower()}, share of cycles"] = {
            state: timeline.rates(f"{engine.name} {state}") for state in states
        }
    starts = np.arange(len(timeline.samples)) * timeline.interval
    for name, columns in series.items():
        for number, start in enumerate(starts):
            counter(name, int(start), {key: column[number] for key, column in columns.items()})
    for buffer in buffer_use(timeline):
        for cycle, used in zip(buffer.cycles, buffer.used, strict=True):
            counter(f"{buffer.name}, bytes in use", int(cycle), {"bytes": int(used)})
    return events
