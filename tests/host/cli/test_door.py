"""The way in: help, version, completion, and the command line without a word."""

import os
import subprocess
import sys

import pytest


def systolith(*arguments, **environment):
    command = [sys.executable, "-m", "systolith", *arguments]
    return subprocess.run(command, capture_output=True, text=True, **environment)


@pytest.mark.parametrize("command", [(), ("run",)])
def test_h_is_help(command):
    short, long = systolith(*command, "-h"), systolith(*command, "--help")
    assert short.returncode == long.returncode == 0
    assert short.stdout == long.stdout
    assert "Usage: systolith" in short.stdout


def test_without_a_word_it_explains_itself_and_complains_of_nothing():
    done = systolith()
    assert done.returncode == 2
    assert "Usage: systolith" in done.stdout
    assert done.stderr == ""


def test_shells_complete_commands():
    script = systolith("--show-completion", "bash")
    assert "complete -o default -F _systolith_completion systolith" in script.stdout
    words = {
        "_SYSTOLITH_COMPLETE": "complete_bash",
        "COMP_WORDS": "systolith ex",
        "COMP_CWORD": "1",
    }
    done = systolith(env=os.environ | words)
    assert done.stdout.split() == ["export", "explore"]
