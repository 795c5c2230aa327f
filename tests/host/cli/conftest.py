"""What the tests of the command line share."""

import sys

import pytest

from systolith_host.cli import app as cli


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line in this process; return status, standard output and error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["systolith", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    return run
