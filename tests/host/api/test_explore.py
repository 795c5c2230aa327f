"""Sweeps through the public interface."""

import pytest

import systolith as sy
from systolith_host.explore.rank import find_front

AXES = {"rows": [4, 8], "bandwidth": (2, 8)}


@pytest.fixture(scope="module")
def sweep():
    return sy.explore("mini", base="tiny", **AXES)


def test_every_point_has_a_row(sweep):
    rows = [(row["rows"], row["bandwidth"]) for row in sweep.rows()]
    assert rows == [(4, 2), (4, 8), (8, 2), (8, 8)]
    assert all(row["cycles"] > 0 and not row["reason"] for row in sweep.rows())
    assert len(sweep) == len(list(sweep)) == 4
    assert sweep.best.cycles == min(row["cycles"] for row in sweep.rows())


def test_the_front_is_paretos(sweep):
    assert sweep.front.results == find_front(sweep.results).results


def test_points_are_replayed_to_the_cycle_unless_estimates_are_enough(sweep):
    alone = sy.explore("mini", base="tiny", exact=1, **AXES)
    assert [one.cycles for one in alone].count(None) == 3
    rough = sy.explore("mini", base="tiny", exact=0, **AXES)
    assert [one.cycles for one in rough] == [None] * 4
    assert [one.estimated_cycles for one in rough] == [one.estimated_cycles for one in sweep]
    with pytest.raises(sy.SystolithError, match=r"^exact must be a whole number"):
        sy.explore("mini", base="tiny", exact=-1, **AXES)


def test_axes_may_be_texts_and_a_point_that_cannot_be_built_says_why():
    found = sy.explore("mini", base="tiny", rows="4..8 step 1")
    reasons = [row["reason"] for row in found.rows()]
    assert [bool(reason) for reason in reasons] == [False, True, True, True, False]
    assert "multiple" in reasons[1]
    assert found.rows()[1]["cycles"] is None


def test_processes_dask_clients_folders_and_search_give_the_same(sweep, tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    net = sy.load("mini")
    told = []
    both = sy.explore(
        net, base="tiny", workers=2, progress=lambda *event: told.append(event[1:]), **AXES
    )
    assert both.results == sweep.results
    assert told[-1] == (4, 4)
    folder = str(tmp_path / "sweep")
    kept = sy.explore(net, base=sy.Accelerator.preset("tiny"), out=folder, **AXES)
    assert kept.results == sweep.results
    assert (tmp_path / "sweep" / "points.csv").exists()
    searched = sy.explore(net, base="tiny", search=100, **AXES)
    assert {one.key for one in searched} == {one.key for one in sweep}
    options = {"n_workers": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        assert sy.explore(net, base="tiny", workers=client, **AXES).results == sweep.results
        assert client.status == "running"
