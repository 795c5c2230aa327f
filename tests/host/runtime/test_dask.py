"""Layers on the workers of a dask scheduler."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import dask.config
import distributed  # noqa: F401  (its settings)
import pytest

from systolith_host.cli import app as cli
from systolith_host.runtime import dask as remote

CLUSTER = """
import sys
from distributed import LocalCluster
from distributed.security import Security

if __name__ == "__main__":
    security = Security({security})
    cluster = LocalCluster(n_workers={workers}, threads_per_worker=1, processes=False,
                           dashboard_address=None, protocol="{protocol}", host="127.0.0.1",
                           security=security)
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


@contextmanager
def running(workers, protocol, folder, security=""):
    """Start a scheduler and its workers in a process of their own; give its address."""
    code = CLUSTER.format(workers=workers, protocol=protocol, security=security)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env={**os.environ, "DASK_LOGGING__DISTRIBUTED": "error"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """Return the address of a dask scheduler with two workers."""
    with running(2, "tcp", tmp_path_factory.mktemp("scheduler")) as address:
        yield address


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
def test_a_scheduler_that_does_not_answer_is_refused_first(monkeypatch, capsys, address):
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 1)
    monkeypatch.setattr("systolith_host.flow.run.load_request", None)
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
    """Return the address of a scheduler with a worker, both of which ask for certificates."""
    pairs = ", ".join(
        f"tls_{role}_{name}='node.{end}'"
        for role in ("scheduler", "worker", "client")
        for name, end in (("cert", "pem"), ("key", "key"))
    )
    security = f"tls_ca_file='ca.pem', require_encryption=True, {pairs}"
    with running(1, "tls", certificates, security) as address:
        yield address


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
