"""Version and commit: of a checkout, of an installed copy, and where nothing tells."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from systolith_host import version

ROOT = Path(__file__).parents[2]
PACKAGE = Path(version.__file__).parent


def copied_package(folder):
    """Copy version.py to where no checkout is; return the module there."""
    inside = folder / "one" / "two" / "systolith_copy"
    inside.mkdir(parents=True)
    shutil.copy(PACKAGE / "version.py", inside / "version.py")
    return inside


def say(inside, expression, **environment):
    code = f"import sys; sys.path.insert(0, {str(inside)!r}); import version; print({expression})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, **environment
    )
    return done.stdout.strip()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout of git")
def test_a_checkout_tells_its_commit():
    command = ["git", "-C", ROOT, "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    found = version.commit()
    assert found is not None
    assert head.startswith(found.removesuffix("-dirty"))
    assert len(found.removesuffix("-dirty")) >= 12


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert version.ask_git(ROOT) is None


def test_a_folder_that_git_refuses_has_no_commit(tmp_path):
    (tmp_path / ".git").write_text("not what git wrote")
    assert version.ask_git(tmp_path) is None


def test_an_installed_copy_tells_what_it_was_built_of(tmp_path):
    inside = copied_package(tmp_path)
    assert say(inside, "version.commit()") == "None"
    (inside / version.COMMIT_FILE).write_text("0123456789ab\n")
    assert say(inside, "version.commit()") == "0123456789ab"
    assert say(inside, "version.describe()").endswith("(commit 0123456789ab)")


def test_the_command_line_says_it(tmp_path):
    command = [sys.executable, "-m", "systolith", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == version.describe()


def test_the_package_has_the_same_version():
    import systolith

    assert systolith.__version__ == version.version()
