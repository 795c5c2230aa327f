"""Which Systolith this is: its version, and the commit that it comes from."""

import subprocess
from importlib import metadata
from pathlib import Path

__all__ = ["COMMIT_FILE", "commit", "describe", "version"]

COMMIT_FILE = "COMMIT"
"""File next to this one; a build of the distribution writes the commit into it (setup.py)."""

_FOLDER = Path(__file__).parent
_CHECKOUT = _FOLDER.parents[1]

_GIT_SECONDS = 5


def version() -> str:
    """Return the version, such as "0.1.0"."""
    try:
        return metadata.version("systolith")
    except metadata.PackageNotFoundError:  # run from a copy that nobody installed
        return "unknown version"


def commit() -> str | None:
    """Return the commit, with "-dirty" where files differ from it; None if nothing tells.

    A checkout is asked by git; an installed distribution carries the commit that it was built of.
    """
    if (_CHECKOUT / ".git").exists():
        return ask_git(_CHECKOUT)
    try:
        return (_FOLDER / COMMIT_FILE).read_text().strip() or None
    except OSError:
        return None


def ask_git(folder: Path) -> str | None:
    """Return the commit of a checkout; None without git, or where git refuses."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(
            [*command, "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def describe() -> str:
    """Return version and commit in one line."""
    found = commit()
    return f"systolith {version()} (commit {found})" if found else f"systolith {version()}"
