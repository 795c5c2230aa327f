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


@pytest.fixture
def undrawn(monkeypatch):
    """Let no browser draw pictures; return the format, width and size of text of each."""
    asked = []

    def draw(figures, size):
        asked.extend((kind, size.width, size.font_size) for _, kind in figures)
        return [b"picture"] * len(figures)

    monkeypatch.setattr("systolith_host.visual.pictures.find_browser", lambda: "chromium")
    monkeypatch.setattr("systolith_host.visual.pictures.draw", draw)
    return asked
