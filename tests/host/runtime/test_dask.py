"""Layers on the workers of a dask scheduler."""

import json
import os
import subprocess
import sys

import pytest

from systolith_host.cli import app as cli
from systolith_host.runtime import dask as remote


@pytest.fixture(scope="module")
def scheduler():
    """Start a dask scheduler with two workers in a process of its own; give its address."""
    code = (
        "import sys\n"
        "from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=False,\n"
        "                           dashboard_address=None, protocol='tcp', host='127.0.0.1')\n"
        "    print(cluster.scheduler_address, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "DASK_LOGGING__DISTRIBUTED": "error"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["systolith", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    output = capsys.readouterr()
    return ended.value.code, output.out, output.err


MINI = ("run", "mini", "--config", "tiny", "--device", "emulator")


def test_layers_run_on_dask_workers(monkeypatch, capsys, scheduler, tmp_path):
    path = tmp_path / "report.json"
    status, out, err = run(
        monkeypatch, capsys, *MINI, "--scheduler", scheduler, "--json", path, "--batch", 2
    )
    assert status == 0, err
    assert "10 layers, 0 mismatches" in out
    assert f"2 dask workers at {scheduler}" in err
    assert len(json.loads(path.read_text())["layers"]) == 7


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:99999999"])
def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch, capsys, address):
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 1)
    status, out, err = run(monkeypatch, capsys, *MINI, "--scheduler", address)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: --scheduler: no dask scheduler answers at {address}: ")
    assert len(err.splitlines()) == 1
