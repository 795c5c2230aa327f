"""Reading the progress of nextpnr from its logs."""

import time

import pytest

from systolith_host.fpga import watch as module
from systolith_host.fpga.watch import run_state, watch

PLACING = "Info: Running main analytical placer, max placement attempts per cell = 1.\n"
STEPS = "Info:     at iteration #1, type ALL: wirelen = 9\nInfo:   at iteration #{}: temp = 0\n"
REFINING = "Info: Running simulated annealing placer for refinement.\n"
ROUTING = (
    PLACING
    + REFINING
    + "Info: Routing..\n"
    + "Info: Routing 92000 arcs.\n"
    + "Info:    IterCnt |  w/ripup   wo/ripup |  w/r  wo/r |      arcs|\n"
)
ITERATION = (
    "Info:       1000 |       58        941 |   58   941 |     46000|       5.39       5.39|\n"
)


OVERUSED = "routing, 2,905 wires overused"


@pytest.mark.parametrize(
    ("log", "text", "share"),
    [
        ("", "reading", 0.0),
        (PLACING, "placing", 0.06),
        (PLACING + STEPS.format(7), "placing", 0.15),
        (PLACING + STEPS.format(7) + REFINING, "placing", 0.24),
        (PLACING + STEPS.format(7) + REFINING + STEPS.format(60), "placing", 0.64),
        (ROUTING, "routing", 0.64),
        (ROUTING + ITERATION, "routing, 46,000 arcs left", 0.805),
        (ROUTING + "Info:     iter=3 wires=9 overused=2905 overuse=4\n", OVERUSED, 0.64),
        (ROUTING + ITERATION + "Info: Routing complete.\n", "timing", 0.97),
    ],
)
def test_a_log_says_how_far_a_run_is(log, text, share):
    state, found = run_state(log)
    assert state == text
    assert found == pytest.approx(share)


def test_runs_of_this_build_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    (tmp_path / "seed1-router1.log").write_text(ROUTING + ITERATION)
    seen = []
    end = time.monotonic() + 10
    with watch(tmp_path, [1, 2], lambda *what: seen.append(what)):
        (tmp_path / "seed1-router1.log").write_text(ROUTING + ITERATION)
        while not seen or not seen[-1][0]:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert seen[-1] == ("seed 1: routing, 46,000 arcs left", pytest.approx(0.805), 2)
    count = len(seen)
    time.sleep(0.05)
    assert len(seen) == count
