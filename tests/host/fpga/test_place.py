"""Place and route: reading reports, seeds, limits and routers, with a stand-in for nextpnr."""

import json
import sys
import time

import pytest

from systolith_host.errors import SystolithError
from systolith_host.fpga import place
from systolith_host.fpga.parts import load_part
from systolith_host.fpga.place import place_and_route, read_report

PART = load_part("lfe5u-85f-6")


def report(mhz):
    def segment(kind, delay, net=None):
        return {"type": kind, "delay": delay} | ({"net": net} if net else {})

    path = [
        segment("clk-to-q", 0.5),
        segment("routing", 1.5, "dut.core.sum[3]"),
        segment("logic", 0.25),
        segment("routing", 2.0, "dut.core.sum_LUT4_A_Z"),
        segment("logic", 0.25),
        segment("routing", 1.0, "dut.store.addr_TRELLIS_FF_Q_DI"),
        segment("setup", 0.0),
    ]
    return {
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": path[:2]},
            {"from": "posedge clk", "to": "posedge clk", "path": path},
        ],
        "fmax": {"clk": {"achieved": mhz, "constraint": 100.0}},
        "utilization": {
            "DP16KD": {"used": 3, "available": 208},
            "MULT18X18D": {"used": 0, "available": 156},
        },
    }


def test_a_report_gives_clocks_with_their_critical_path_and_what_is_used():
    (clock,), used = read_report(json.dumps(report(123.5)))
    assert (clock.name, clock.mhz, clock.path_ns, clock.logic_ns) == ("clk", 123.5, 5.5, 1.0)
    assert clock.path == ("dut.core.sum[3]", "dut.core.sum", "dut.store.addr")
    assert used == {"DP16KD": 3}


FAKE = """
import json, sys, time
options = dict(zip(sys.argv[1:], sys.argv[2:]))
seed, router = int(options["--seed"]), options["--router"]
if seed == 13:
    print("ERROR: no such cell")
    sys.exit(1)
if seed == 2 and router == "router1":
    time.sleep(60)
mhz = 100.0 + seed + (0.5 if router == "router2" else 0)
report = json.loads(open("report_template.json").read())
report["fmax"]["clk"]["achieved"] = mhz
open(options["--report"], "w").write(json.dumps(report))
open(options["--textcfg"], "w").write("")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "report_template.json").write_text(json.dumps(report(0)))
    tool = tmp_path / "nextpnr"
    tool.write_text(f"#!{sys.executable}\n{FAKE}")
    tool.chmod(0o755)
    monkeypatch.setattr(place, "find_tool", lambda name: str(tool))
    return tmp_path


def run(folder, seeds, limit=20.0, jobs=2):
    ended = []
    attempts = place_and_route(
        folder / "netlist.json",
        PART,
        folder,
        mhz=100,
        seeds=seeds,
        jobs=jobs,
        limit=limit,
        ended=ended.append,
    )
    assert sorted(map(repr, ended)) == sorted(map(repr, attempts))
    return attempts


def test_each_seed_is_tried_and_reported(folder):
    attempts = run(folder, [1, 5])
    assert [(one.seed, one.router, one.result, one.mhz) for one in attempts] == [
        (1, "router1", "routed", 101.0),
        (5, "router1", "routed", 105.0),
    ]
    assert all(one.config.exists() for one in attempts)


@pytest.mark.parametrize(
    ("seeds", "tried"),
    [
        ([2, 3], [(2, "router1", "limit", 0.0), (3, "router1", "routed", 103.0)]),
        ([2, 13], [(2, "router1", "limit", 0.0), (13, "router1", "failed", 0.0)]),
    ],
)
def test_the_second_router_follows_where_the_first_has_routed_nothing(folder, seeds, tried):
    attempts = run(folder, seeds, limit=6.0)
    if not any(result == "routed" for *_, result, _ in tried):
        tried = [*tried, (2, "router2", "routed", 102.5)]
    assert [(one.seed, one.router, one.result, one.mhz) for one in attempts] == tried


def test_one_failed_seed_does_not_fail_the_others(folder):
    assert [one.result for one in run(folder, [13, 1])] == ["failed", "routed"]


def test_only_failed_seeds_are_an_error_with_the_tools_words(folder):
    with pytest.raises(
        SystolithError,
        match=r"^nextpnr failed: ERROR: no such cell \(all of it in .*seed13-router1\.log\)$",
    ):
        run(folder, [13])


def test_what_ends_one_attempt_early_ends_all(folder):
    def interrupted(attempt):
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        place_and_route(
            folder / "netlist.json",
            PART,
            folder,
            mhz=100,
            seeds=[1, 2, 3],
            jobs=2,
            limit=50,
            ended=interrupted,
        )
    assert time.monotonic() - start < 40
