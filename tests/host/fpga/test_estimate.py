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


def test_more_takes_more():
    base = PRESETS["ecp5-85f"]
    for change in ({"cols": 24, "param_depth": 384}, {"rows": 24}, {"bus_bytes": 32}):
        larger = estimate(dataclasses.replace(base, **change))
        for resource, count in estimate(base).items():
            assert larger[resource] >= count, (change, resource)


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
