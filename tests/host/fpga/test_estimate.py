"""Estimates of resources: counted ones are exact, fitted ones state their error."""

import dataclasses

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.fpga.estimate import (
    Sample,
    error_table,
    estimate,
    fit_errors,
    fit_note,
    read_grid,
)
from systolith_host.lab.resources import CONFIGS, write_grid
from systolith_hw.spec.presets import PRESETS


def test_dsps_and_block_rams_are_those_of_every_synthesis():
    for sample in read_grid():
        found = estimate(sample.config)
        for resource in ("DSP", "block RAM"):
            assert found[resource] == sample.used[resource], (sample.config.name, resource)


def test_the_grid_is_there_and_the_fit_is_close():
    samples = read_grid()
    assert {sample.config.fingerprint for sample in samples} <= {c.fingerprint for c in CONFIGS}
    errors = fit_errors(samples)
    assert errors["DSP"].worst == errors["block RAM"].worst == 0
    for resource in ("LUT", "FF"):
        assert errors[resource].median < 0.05
        assert errors[resource].worst < 0.15
    assert f"{len(samples)} configurations" in error_table(samples)[0]
    assert "LUT" in fit_note()


def test_winograd_on_an_85f_is_estimated_by_a_synthesis_of_it():
    config = PRESETS["ecp5-85f-winograd"]
    samples = read_grid()
    (sample,) = [one for one in samples if one.config.fingerprint == config.fingerprint]
    assert sum(1 for one in samples if one.config.winograd) == 3
    found = estimate(config)
    for resource in ("LUT", "FF"):
        assert found[resource] == pytest.approx(sample.used[resource], rel=0.05)


def test_more_takes_more():
    base = PRESETS["ecp5-85f"]
    for change in ({"cols": 24, "param_depth": 384}, {"rows": 24}, {"bus_bytes": 32}):
        larger = estimate(dataclasses.replace(base, **change))
        for resource, count in estimate(base).items():
            assert larger[resource] >= count, (change, resource)


@pytest.mark.parametrize(
    ("name", "lut", "ff"), [("ecp5-85f", 1660, 977), ("ecp5-85f-winograd", 1376, 797)]
)
def test_units_that_gather_are_those_of_syntheses(name, lut, ff):
    # Of the accelerator alone, by Yosys; see docs/decisions/0014-gathered-weights.md.
    base = PRESETS[name]
    without, found = (estimate(dataclasses.replace(base, gather=n)) for n in (0, 25284))
    more = {resource: found[resource] - without[resource] for resource in found}
    assert more["block RAM"] == 3
    assert more["DSP"] == 0
    assert more["LUT"] == pytest.approx(lut, rel=0.25)
    assert more["FF"] == pytest.approx(ff, rel=0.25)


@pytest.mark.parametrize(("cols", "lut"), [(4, 40), (12, 112)])
def test_the_unit_of_4_bit_weights_is_that_of_syntheses(cols, lut):
    # Of the writer of weights alone, by Yosys; see docs/decisions/0017-four-bit-weights.md.
    base = dataclasses.replace(PRESETS["ecp5-85f"], cols=cols)
    without, found = (estimate(dataclasses.replace(base, nibbles=n)) for n in (0, 1))
    more = {resource: found[resource] - without[resource] for resource in found}
    assert more == {"LUT": lut, "FF": 2, "DSP": 0, "block RAM": 0}


def test_tables_of_functions_are_a_block_ram_for_each_lane():
    base = PRESETS["ecp5-85f"]
    found, plain = (
        estimate(dataclasses.replace(base, functions=functions)) for functions in (1, 0)
    )
    assert found["block RAM"] == plain["block RAM"] + base.post_lanes
    assert found["DSP"] == plain["DSP"]
    assert 0 < found["LUT"] - plain["LUT"] < 400


def test_a_fit_errs_where_a_sample_is_unlike_the_others(tmp_path):
    samples = read_grid()
    spoilt = dict(samples[0].used) | {"LUT": 3 * samples[0].used["LUT"]}
    changed = [Sample(samples[0].config, "", spoilt), *samples[1:]]
    assert fit_errors(changed)["LUT"].worst > fit_errors(samples)["LUT"].worst + 0.2
    write_grid(changed, tmp_path / "grid.csv")
    again = read_grid(tmp_path / "grid.csv")
    assert again[0].used == spoilt
    assert np.array_equal([s.config.rows for s in again], [s.config.rows for s in samples])


def test_other_files_are_no_grid(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SystolithError, match="not a table of syntheses"):
        read_grid(path)
    assert read_grid(tmp_path / "nowhere.csv") == []


def test_winograd_takes_the_memories_of_its_rings_and_wider_sums():
    base = PRESETS["ecp5-85f"]
    plain = estimate(base)
    fields = {"acc_width": 30, "winograd": 14}
    found = estimate(dataclasses.replace(base, **fields))
    # A block RAM for a row's ring (1008 words of 15 bits), one for a column's (864 of 14), three
    # for 512 words of 12 bytes; sums of 36 bits take those that 32 took.
    assert found["block RAM"] == plain["block RAM"] + 12 + 12 + 3
    assert found["DSP"] == plain["DSP"]
    twice = dataclasses.replace(base, **{**fields, "winograd": 28, "acc_depth": 1024})
    assert estimate(twice)["block RAM"] == found["block RAM"] + 12 + 24
    for resource in ("LUT", "FF"):
        assert 1.3 * plain[resource] < found[resource] < 2 * plain[resource]
