"""The command `systolith explore`."""

import pytest
from typer.testing import CliRunner

from systolith_host.cli import app


@pytest.fixture
def command(tmp_path):
    def run(*arguments):
        options = ["--config", "tiny", "--workers", "1", "--out", str(tmp_path / "sweep")]
        return CliRunner().invoke(app, ["explore", "mini", *options, *arguments])

    return run


def test_a_sweep_is_a_table(command, tmp_path):
    result = command("--rows", "4,5", "--bandwidth", "2,8")
    assert result.exit_code == 0, result.output
    assert "4 points, 4 new" in result.output
    assert "2 x cols must be a multiple or a divisor of rows" in result.output
    assert len((tmp_path / "sweep" / "points.csv").read_text().splitlines()) == 5
    again = command("--rows", "4,5", "--bandwidth", "2,8")
    assert "4 points, none new" in again.output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "nothing to vary"),
        (("--rows", ""), "not a number"),
        (("--acc-depth", "1..9000 step 1"), "the sweep has 9,000 points"),
        (
            ("--acc-depth", "1..9000 step 1", "--weight-buffer", "1..9000 step 1"),
            "the limit is 1,000,000",
        ),
        (("--sweep", "nowhere.toml"), "cannot be read"),
    ],
)
def test_bad_sweeps_are_refused_before_the_work(command, arguments, error):
    result = command(*arguments)
    assert result.exit_code != 0
    assert error in str(result.exception)


@pytest.mark.rtl
def test_points_are_confirmed_in_the_rtl(command):
    result = command("--bandwidth", "8", "--confirm", "1")
    assert result.exit_code == 0, result.output
    assert "compiler's error" in result.output
    assert "equal" in result.output
