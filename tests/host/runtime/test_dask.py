"""Layers on the workers of a dask scheduler."""

import json
import os
import re
import shutil
import subprocess
import sys

import dask.config
import distributed  # noqa: F401  (its settings)
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


PROGRESS = re.compile(r"^[a-z ]+: \d+%, ")


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["systolith", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    output = capsys.readouterr()
    # A slow machine prints how far it is.
    lines = [line for line in output.err.splitlines() if not PROGRESS.match(line)]
    return ended.value.code, output.out, "\n".join(lines)


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


VARIABLES = {"CA_FILE": "ca.pem", "CLIENT__CERT": "node.pem", "CLIENT__KEY": "node.key"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Make an authority and a certificate; return their folder."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl, to make certificates")
    folder = tmp_path_factory.mktemp("certificates")
    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    authority = ["-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"]
    request = ["-subj", "/CN=node", "-keyout", "node.key", "-out", "node.csr"]
    sign = ["x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key"]
    sign += ["-CAcreateserial", "-days", "2", "-out", "node.pem"]
    for command in ([*new, *authority], [*new, *request], sign):
        subprocess.run([openssl, *command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tls_scheduler(certificates):
    """Start a scheduler and a worker that ask for certificates; give its address."""
    code = (
        "import sys\n"
        "from distributed import LocalCluster\n"
        "from distributed.security import Security\n"
        "if __name__ == '__main__':\n"
        "    pair = dict(cert='node.pem', key='node.key')\n"
        "    names = {f'tls_{r}_{n}': f for r in ('scheduler', 'worker', 'client')"
        " for n, f in pair.items()}\n"
        "    security = Security(tls_ca_file='ca.pem', require_encryption=True, **names)\n"
        "    cluster = LocalCluster(n_workers=1, threads_per_worker=1, processes=False,\n"
        "                           dashboard_address=None, protocol='tls', host='127.0.0.1',\n"
        "                           security=security)\n"
        "    print(cluster.scheduler_address, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=certificates,
        env={**os.environ, "DASK_LOGGING__DISTRIBUTED": "error"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


def settings(folder):
    """Return dask's settings as the environment variables of the documentation make them."""
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    found = dask.config.collect_env({prefix + k: str(folder / v) for k, v in VARIABLES.items()})
    return {"distributed": dask.config.merge(dask.config.get("distributed"), found["distributed"])}


def test_layers_run_on_workers_that_ask_for_certificates(
    monkeypatch, capsys, certificates, tls_scheduler
):
    assert tls_scheduler.startswith("tls://")
    with dask.config.set(settings(certificates)):
        status, out, err = run(monkeypatch, capsys, *MINI, "--scheduler", tls_scheduler)
    assert status == 0, err
    assert f"1 dask workers at {tls_scheduler}" in err
    assert "0 mismatches" in out


def test_nobody_connects_without_the_authoritys_certificate(
    monkeypatch, capsys, certificates, tls_scheduler, tmp_path
):
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 2)
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout node.key "
        "-out node.pem".split(),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (tmp_path / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    plain = tls_scheduler.replace("tls://", "tcp://")
    for address, folder in ((tls_scheduler, tmp_path), (plain, certificates)):
        with dask.config.set(settings(folder)):
            status, _, err = run(monkeypatch, capsys, *MINI, "--scheduler", address)
        assert status == 2
        assert "error: --scheduler: no dask scheduler answers at" in err


@pytest.mark.parametrize("missing", VARIABLES)
def test_tls_without_certificates_names_what_is_missing(monkeypatch, capsys, tmp_path, missing):
    for name in VARIABLES.values():
        (tmp_path / name).touch()
    (tmp_path / VARIABLES[missing]).unlink()
    with dask.config.set(settings(tmp_path)):
        status, _, err = run(monkeypatch, capsys, *MINI, "--scheduler", "tls://127.0.0.1:1")
    assert status == 2
    assert f"DASK_DISTRIBUTED__COMM__TLS__{missing} must name a file, not " in err
    assert len(err.splitlines()) == 1
