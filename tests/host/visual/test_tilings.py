"""Tilings and their explanations: every sentence follows from the figures."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from systolith_host.cost.evaluate import evaluate
from systolith_host.errors import SystolithError
from systolith_host.visual.explain import bottleneck, explain, loop_order
from systolith_host.visual.figures.roofline import roofline
from systolith_host.visual.tilings import study_tilings

BANDWIDTHS = (1.0, 2.0, 4.0, 8.0)


@pytest.fixture(scope="module")
def study(subject):
    return study_tilings(subject, "conv2_2", BANDWIDTHS, (2.0,))


def test_choices_are_the_compilers(subject, study):
    for choice in study.choices:
        layers = evaluate(
            "mini", subject.at(choice.bandwidth).config, subject.memory_of(choice.bandwidth)
        )
        layer = next(layer for layer in layers if layer.name == study.operation.name)
        assert choice.tiling.schedule == layer.schedule
        assert choice.tiling.cycles == layer.estimated_cycles
        assert choice.tiling.traffic == layer.estimated_read_bytes + layer.estimated_write_bytes


def test_no_tile_of_the_map_is_better_than_its_best(study):
    one = study.maps[0]
    assert one.best in one.tiles.values()
    assert all(tiling.score >= one.best.score for tiling in one.tiles.values())
    assert one.chosen.score >= one.best.score
    for (rows, columns), tiling in one.tiles.items():
        assert (tiling.schedule.rows, tiling.schedule.columns) == (rows, columns)
        assert tiling.cycles >= study.array_cycles


def test_fully_connected_layers_have_no_map(subject):
    assert study_tilings(subject, "fc5", BANDWIDTHS, (2.0,)).maps == ()


def test_unknown_layer_is_refused(subject):
    with pytest.raises(SystolithError, match=r"^mini has no layer 'conv9'; it has conv1_1, "):
        study_tilings(subject, "conv9", BANDWIDTHS, ())


def test_every_change_is_explained_with_its_price(study):
    text = explain(study)
    for before, choice in pairwise(study.choices):
        head = f"From {before.bandwidth:g} to {choice.bandwidth:g} bytes per cycle "
        told = [sentence for sentence in text if sentence.startswith(head)]
        assert bool(told) == (choice.tiling.schedule.pixels != before.tiling.schedule.pixels) or (
            before.tiling.schedule != choice.tiling.schedule
        )
        for sentence in told:
            if choice.kept is not None and choice.kept.cycles > choice.tiling.cycles:
                assert f"saves {choice.kept.cycles - choice.tiling.cycles:,} cycles" in sentence


def test_a_smaller_tile_is_said_to_shrink_and_a_larger_one_to_grow(study):
    small, large = study.choices[0], study.choices[-1]
    tiles = [
        replace(choice, tiling=replace(choice.tiling, schedule=schedule), kept=None)
        for choice, schedule in (
            (small, replace(small.tiling.schedule, rows=2, columns=2, pixels=4)),
            (large, replace(small.tiling.schedule, rows=4, columns=4, pixels=16)),
        )
    ]
    grown = explain(replace(study, choices=tuple(tiles)))
    assert any("the accumulator tile grows from 2x2 to 4x4" in one for one in grown)
    shrunk = explain(replace(study, choices=tuple(tiles[::-1])))
    assert any("the accumulator tile shrinks from 4x4 to 2x2" in one for one in shrunk)


def test_bottleneck_is_where_the_time_goes(subject):
    slow = study_tilings(subject, "fc5", (0.25, 8.0), ())
    assert [bottleneck(slow, choice) for choice in slow.choices] == ["memory", "weight blocks"]
    assert "Bound by the memory below 8 bytes per cycle" in explain(slow)[0]
    fast = study_tilings(subject, "conv2_2", (8.0,), ())
    assert bottleneck(fast, fast.choices[0]) == "array"


def test_order_names_the_loops_from_outside_in(study):
    schedule = replace(study.choices[0].tiling.schedule, stack=3, chunk_blocks=2, resident=False)
    assert loop_order(schedule).endswith(
        ": input tiles > output blocks > 3 accumulator tiles > CONVs of 2 input blocks; "
        "inputs are loaded anew for each output block"
    )


def test_tiles_of_both_kinds_are_studied(subject):
    base = subject.config
    config = replace(base, act_depth=8192, acc_depth=576, winograd=16)
    # Tiny has few columns: 16 patches of 16 sums in 36 lanes take a quarter of the passes.
    study = study_tilings(replace(subject, config=config), "conv2_2", (1.0, 8.0), (8.0,))
    kinds = {tiling.schedule.winograd for tiling in study.maps[0].tiles.values()}
    assert kinds == {False, True}
    best = study.maps[0].best
    assert best.schedule.winograd
    assert 4 * study.array_cycles == -(-study.operation.macs // config.multipliers)
    assert best.cycles >= study.array_cycles
    last = study.choices[-1]
    assert "of patches (Winograd)" in loop_order(last.tiling.schedule)
    assert bottleneck(study, last) == "array"
    assert explain(study)


def test_a_roof_for_winograd_is_four_times_as_high(data):
    plain, both = (
        {trace["name"] for trace in figure.to_dict()["data"] if "name" in trace}
        for figure in (
            roofline(data.points, [], 16, 8.0, 1000, winograd=winograd)
            for winograd in (False, True)
        )
    )
    assert both - plain == {"Winograd's roof: 64 MACs"}


def test_both_roofs_reach_the_end_of_the_axis(data):
    figure = roofline(data.points, [], 4096, 8.0, 1000, winograd=True)
    lines: Any = figure.data
    ends = [line.x[-1] for line in lines if "roof" in (line.name or "")]
    end = 10 ** figure.layout.xaxis.range[1]
    assert ends == pytest.approx([end, end])
