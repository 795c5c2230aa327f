"""The Chrome trace follows the format, and equals the timeline."""

import json
from itertools import pairwise

import pytest

from systolith_host.errors import SystolithError
from systolith_host.visual.timeline import modelled_timeline
from systolith_host.visual.trace import network_events, save_trace, trace_events
from systolith_hw.spec.isa import Opcode

CLOCK = 200.0


@pytest.fixture(scope="module")
def trace(data):
    return json.loads(json.dumps(trace_events(data.timeline, CLOCK)))


def test_every_event_has_what_its_phase_asks_for(trace):
    needs = {
        "M": {"name", "pid", "tid", "args"},
        "X": {"name", "cat", "pid", "tid", "ts", "dur", "args"},
        "b": {"name", "cat", "pid", "tid", "ts", "id", "args"},
        "e": {"name", "cat", "pid", "tid", "ts", "id", "args"},
        "C": {"name", "pid", "ts", "args"},
    }
    assert isinstance(trace["traceEvents"], list)
    assert trace["displayTimeUnit"] in ("ms", "ns")
    for event in trace["traceEvents"]:
        assert needs[event["ph"]] <= set(event), event
        assert isinstance(event["pid"], int)
        if event["ph"] != "M":
            assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] > 0
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())


def test_events_of_a_track_follow_each_other(trace):
    tracks = {event["tid"] for event in trace["traceEvents"] if event["ph"] == "X"}
    assert len(tracks) == 3
    for track in tracks:
        mine = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == track]
        for before, after in pairwise(mine):
            assert before["ts"] + before["dur"] <= after["ts"] + 2 / CLOCK


def test_every_instruction_is_there_once_in_microseconds(data, trace):
    timeline = data.timeline
    spans = {e["args"]["instruction"]: e for e in trace["traceEvents"] if e["ph"] == "X"}
    assert len(spans) == len(timeline.instructions)
    for number, (_, begin, end, _) in enumerate(timeline.times):
        assert spans[number]["ts"] == pytest.approx(begin / CLOCK)
        assert spans[number]["dur"] == pytest.approx((end + 1 - begin) / CLOCK, abs=1e-5)


def test_every_store_begins_and_ends(data, trace):
    stores = int((data.timeline.opcodes == Opcode.STORE).sum())
    for phase in ("b", "e"):
        ids = [event["id"] for event in trace["traceEvents"] if event["ph"] == phase]
        assert len(ids) == len(set(ids)) == stores


def test_a_networks_trace_has_every_layer_after_the_other(data):
    timelines = [
        modelled_timeline(data.program, layer, data.subject.memory) for layer in data.program.layers
    ]
    trace = json.loads(json.dumps(network_events(timelines, CLOCK)))
    events = trace["traceEvents"]
    layers = [event for event in events if event.get("cat") == "layer"]
    assert [event["name"] for event in layers] == [point.name for point in data.points]
    for before, after in pairwise(layers):
        assert after["ts"] == pytest.approx(before["ts"] + before["dur"])
    end = layers[-1]["ts"] + layers[-1]["dur"]
    assert end == pytest.approx(data.cycles / CLOCK)
    assert trace["otherData"]["cycles"] == data.cycles
    spans = [event for event in events if event["ph"] == "X" and event not in layers]
    assert len(spans) == sum(len(one.instructions) for one in timelines)
    assert all(event["ts"] + event["dur"] <= end + 2 / CLOCK for event in spans)
    for phase in ("b", "e"):
        ids = [event["id"] for event in events if event["ph"] == phase]
        assert len(ids) == len(set(ids)) > 0
    names = [event["name"] for event in events if event["ph"] == "M"]
    assert names.count("process_name") == 1
    assert names.count("thread_name") == 5


def test_it_says_where_it_comes_from(trace):
    assert "no RTL was run" in trace["otherData"]["source"]


def test_file_that_cannot_be_written_is_refused(data, tmp_path):
    with pytest.raises(SystolithError, match=r"trace\.json: cannot be written"):
        save_trace(data.timeline, CLOCK, tmp_path / "missing" / "trace.json")
