"""Processes that end together with all that they have started."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from systolith_sim.rtl.group import running

COMMAND = ["sh", "-c", "sleep 300 & echo $! > part; mv part pid; wait"]


def _ends(pid: int) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.05)
    return False


def _started(folder: Path) -> int:
    end = time.monotonic() + 60
    while not (folder / "pid").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    return int((folder / "pid").read_text())


def test_an_error_ends_a_process_with_what_it_has_started(tmp_path: Path):
    def fail(process: "subprocess.Popen[bytes]") -> None:
        seen.append(process)
        _started(tmp_path)
        raise ZeroDivisionError

    seen: list[subprocess.Popen[bytes]] = []
    with pytest.raises(ZeroDivisionError), running(COMMAND, cwd=tmp_path) as process:
        fail(process)
    assert seen[0].returncode == -signal.SIGKILL
    assert _ends(_started(tmp_path))


def test_a_process_that_has_ended_is_left_alone():
    with running(["sh", "-c", "exit 3"]) as process:
        assert process.wait(60) == 3
    assert process.returncode == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_start_ends_the_process_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    """The signal comes when the process runs, and Popen has not returned yet."""
    popen = subprocess.Popen

    def slow(*command, **options):
        process = popen(*command, **options)
        _started(tmp_path)
        os.kill(os.getpid(), number)
        return process

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", slow)
    former = signal.signal(number, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), running(COMMAND, cwd=tmp_path):
            raise AssertionError("nobody was interrupted")
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, former)
    assert _ends(_started(tmp_path))
