"""Progress on a terminal and in a log."""

import io

from rich.console import Console

from systolith_host import progress
from systolith_host.progress import ProgressLog


def test_log_gets_a_line_now_and_then_with_the_time_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    text = io.StringIO()
    with ProgressLog(Console(file=text, width=40)) as log:
        log.stage("simulating")
        for second in range(61):
            now[0] = 100.0 + second
            log.update("conv1_1", second, 240)
        log.message("a line")
    lines = text.getvalue().splitlines()
    assert lines[0] == "simulating: 1%, conv1_1, 3:57 left"
    assert len(lines) == 7
    assert lines[-1] == "a line"


def test_short_stage_leaves_no_line():
    text = io.StringIO()
    with ProgressLog(Console(file=text)) as log:
        log.stage("quick")
        log.update("thing", 1, 2)
    assert text.getvalue() == ""


def test_terminal_shows_a_bar_that_goes_away():
    text = io.StringIO()
    with ProgressLog(Console(file=text, force_terminal=True, width=100)) as log:
        log.stage("simulating")
        log.update("conv1_1", 1, 2)
        log.message("a line")
        log.stage("next")
        log.update("", 0, 0)
    assert "simulating" in text.getvalue()
    assert "a line" in text.getvalue()
    assert text.getvalue().endswith("\x1b[2K")  # the last line is wiped
