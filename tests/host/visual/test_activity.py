"""The whole network in pieces: no busy cycle is lost or counted twice."""

from itertools import pairwise

import numpy as np

from systolith_host.visual.activity import LANES, cut, spans_of
from systolith_host.visual.timeline import modelled_timeline
from systolith_hw.spec.isa import Opcode


def test_spans_that_touch_or_overlap_are_one():
    opcodes = np.full(4, int(Opcode.STORE))
    times = np.array([[1, 3, 4, 9], [5, 6, 8, 12], [13, 13, 13, 20], [30, 31, 32, 33]])
    spans = spans_of(opcodes, times)
    assert spans["store"].tolist() == [[0, 20], [29, 33]]
    assert spans["drain"].tolist() == [[2, 4], [5, 8], [12, 13], [30, 32]]
    assert len(spans["load"]) == len(spans["array"]) == 0


def test_pieces_follow_each_other_and_hold_every_busy_cycle(data):
    pieces = data.pieces
    assert pieces[0].begin == 0
    assert pieces[-1].end == data.cycles
    assert all(a.end == b.begin for a, b in pairwise(pieces))
    assert len(pieces) <= 1000 + len(data.points)
    for number, point in enumerate(data.points):
        mine = [piece for piece in pieces if piece.layer == number]
        assert mine[-1].end - mine[0].begin == point.cycles
        layer = next(one for one in data.program.layers if one.name == point.name)
        timeline = modelled_timeline(data.program, layer, data.subject.memory)
        for lane, opcode in zip(LANES, ("LOAD", "CONV", "STORE", "STORE"), strict=True):
            busy = np.zeros(point.cycles + 1, bool)
            for one, (passed, begin, end, stored) in zip(
                timeline.instructions, timeline.times.tolist(), strict=True
            ):
                if one.opcode.name == opcode:
                    first, last = (passed, stored) if lane == "store" else (begin, end)
                    busy[first : last + 1] = True
            assert sum(piece.busy[lane] for piece in mine) == busy.sum(), (point.name, lane)


def test_long_layers_are_merged_without_losing_short_work():
    short = np.array([[at, at + 1] for at in range(0, 3_000_000, 3000)])
    layers: list[tuple[int, dict[str, np.ndarray]]] = [
        (cycles, {lane: spans for lane in LANES})
        for cycles, spans in ((3_000_000, short), (7, np.array([[2, 5]])))
    ]
    pieces = list(cut(layers))
    assert len(pieces) < 1010
    assert sum(piece.busy["load"] for piece in pieces) == 1000 + 3
    assert pieces[-1].layer == 1
    assert pieces[-1].busy["array"] <= 3
