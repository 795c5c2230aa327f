"""Places, settings and pipes of other people's machines."""

import json
import os
import subprocess
import sys

import pytest

from systolith_host.cli import app as cli

CODE = "from systolith_host.cli.app import main; main()"


@pytest.fixture
def systolith(tmp_path):
    """Return a folder, and a function that runs the command line there in an ASCII locale."""
    folder = tmp_path / "Größe und Maß"
    (folder / "tmp dir").mkdir(parents=True)
    environment = {
        **os.environ,
        "LC_ALL": "POSIX",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "TMPDIR": str(folder / "tmp dir"),
    }

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", CODE, *map(str, arguments)],
            cwd=folder,
            env=environment,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode("ascii")

    return run, folder


TOML = """# Für Äpfel
rows = 4
cols = 4
act_depth = 2048
weight_depth = 512
param_depth = 64
acc_depth = 64
post_lanes = 2
bus_bytes = 8
"""


def test_a_page_and_a_sweep_in_any_locale(systolith):
    run, folder = systolith
    (folder / "small.toml").write_text(TOML, encoding="utf-8")
    (folder / "sweep.toml").write_text("# Bandbreite in Bytes für Äpfel\nbandwidth = 4\n", "utf-8")
    swept = run("explore", "mini", "--config", "small.toml", "--sweep", "sweep.toml")
    assert "1 points" in swept
    run("report", "mini", "--config", "small.toml", "--out", "Übersicht 1.html")
    page = (folder / "Übersicht 1.html").read_text("utf-8")
    assert page.rstrip().endswith("</html>")
    assert not list((folder / "tmp dir").iterdir())


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("estimate mini --config tiny", "layers"),
        ("compile mini --config tiny --explain fc6", "covers"),
        ("run mini --config tiny --device emulator --layers fc6 --noise", "layers"),
    ],
)
def test_json_goes_to_standard_output_alone(monkeypatch, capsys, tmp_path, command, key):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["systolith", *command.split(), "--json", "-"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)[key]
    assert not list(tmp_path.iterdir())
