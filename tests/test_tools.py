"""The scripts around the code: which Python the set-up takes, and how a commit may be called."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def executable(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def find_python(folder, *names):
    """Return what find-python says where PATH has only `folder` and the shell's own tools."""
    for tool in ("bash", "dirname"):
        if not (folder / tool).exists():
            found = subprocess.run(["which", tool], capture_output=True, text=True, check=True)
            (folder / tool).symlink_to(found.stdout.strip())
    return subprocess.run(
        ["bash", str(ROOT / "tools" / "find-python"), *names],
        env={**os.environ, "PATH": str(folder)},
        capture_output=True,
        text=True,
    )


def python(path, *, version=True, complete=True):
    """Make a Python that passes the check of its version, or of all, or of nothing."""
    good = "exit 0" if complete else '[ "$2" = version ]' if version else "exit 1"
    executable(path, good)


def test_the_newest_python_is_taken(tmp_path):
    for name in ("python3", "python3.11", "python3.13"):
        python(tmp_path / name)
    assert find_python(tmp_path).stdout == "python3.13\n"


def test_a_name_that_leads_nowhere_is_passed_over(tmp_path):
    executable(tmp_path / "python3.14", "echo 'no such version' >&2; exit 127")
    python(tmp_path / "python3.12")
    assert find_python(tmp_path).stdout == "python3.12\n"


def test_an_older_python_that_is_complete_comes_first(tmp_path):
    python(tmp_path / "python3.13", complete=False)
    python(tmp_path / "python3.11")
    assert find_python(tmp_path).stdout == "python3.11\n"
    (tmp_path / "python3.11").unlink()
    assert find_python(tmp_path).stdout == "python3.13\n"


def test_without_a_suitable_python_nothing_is_said(tmp_path):
    python(tmp_path / "python3", version=False, complete=False)
    done = find_python(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("check", ["version", "venv", "library"])
def test_the_python_of_these_tests_passes(check):
    command = [sys.executable, str(ROOT / "tools" / "check_python.py"), check]
    assert subprocess.run(command).returncode == 0


def prerequisites(python):
    command = ["bash", str(ROOT / "tools" / "prerequisites"), python]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_missing_or_old_python_is_one_line(tmp_path):
    executable(tmp_path / "old", '[ "$1" = -c ] || [ "$1" = -V ]')
    executable(tmp_path / "shim", "exit 127")
    for name, reason in (
        ("", "no Python 3.11 or newer is on PATH"),
        (str(tmp_path / "old"), "but 3.11 or newer is needed"),
        (str(tmp_path / "shim"), "does not start"),
        (str(tmp_path / "nowhere"), "does not start"),
    ):
        done = prerequisites(name)
        assert done.returncode == 2
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1


def test_help_names_every_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert phony is not None
    targets = set(phony[1].replace("\\", " ").split()) - {"help"}
    done = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True)
    assert targets == set(re.findall(r"^  make ([a-z-]+)", done.stdout, re.MULTILINE))


def test_hooks_call_what_is_there():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = config["repos"]
    entries = [hook["entry"].split()[0] for hook in local["hooks"]]
    assert entries == [".venv/bin/ruff", ".venv/bin/ruff", "tools/check-commit-subject"]
    assert os.access(ROOT / entries[-1], os.X_OK)


def subject_is_taken(tmp_path, message):
    file = tmp_path / "message"
    file.write_text(message)
    done = subprocess.run([ROOT / "tools" / "check-commit-subject", file], capture_output=True)
    return done.returncode == 0


@pytest.mark.parametrize(
    "message",
    [
        "compiler: share weights of equal chunks",
        "build, timing: --first-seed\n\nSeveral words.\n",
        "host/runtime: " + 58 * "x",
        "# a comment of git\ndocs: a table\n",
        "Merge branch 'main'",
        "fixup! docs: a table",
    ],
)
def test_a_subject_with_its_area_is_taken(tmp_path, message):
    assert subject_is_taken(tmp_path, message)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "# only a comment\n",
        "improve things",
        "compiler:share weights",
        "compiler: ",
        ": what",
        "host/runtime: " + 59 * "x",
        "# ------------------------ >8 ------------------------\nof: the diff",
    ],
)
def test_a_subject_without_area_or_too_long_is_refused(tmp_path, message):
    assert not subject_is_taken(tmp_path, message)
