"""Places and settings of other people's machines: locales, spaces, letters beyond ASCII."""

import os
import subprocess
import sys

import pytest

CODE = "from systolith_host.cli.app import main; main()"


@pytest.fixture
def systolith(tmp_path):
    """Run the command line in a process whose locale knows ASCII alone; return what it prints."""
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

    run.folder = folder
    return run


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
    folder = systolith.folder
    (folder / "small.toml").write_text(TOML, encoding="utf-8")
    (folder / "sweep.toml").write_text("# Bandbreite in Bytes für Äpfel\nbandwidth = 4\n", "utf-8")
    swept = systolith("explore", "mini", "--config", "small.toml", "--sweep", "sweep.toml")
    assert "1 points" in swept
    systolith("report", "mini", "--config", "small.toml", "--out", "Übersicht 1.html")
    page = (folder / "Übersicht 1.html").read_text("utf-8")
    assert page.rstrip().endswith("</html>")
    assert not list((folder / "tmp dir").iterdir())
