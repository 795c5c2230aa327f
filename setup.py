"""What pyproject.toml cannot say: a distribution carries the commit that it is built of."""

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent
COMMIT = Path("systolith_host", "COMMIT")  # where systolith_host.version looks for it


def find_commit() -> str:
    """Return the commit of this checkout, or what an sdist carries; nothing if neither is there."""
    carried = ROOT / "host" / COMMIT
    if carried.exists():
        return carried.read_text()
    if not (ROOT / ".git").exists():
        return ""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def write_commit(path: Path) -> None:
    """Write the commit to a file of its own: the tree may be linked to, not copied."""
    if commit := find_commit():
        path.unlink(missing_ok=True)
        path.write_text(commit)


class BuildPy(build_py):
    """A build with the commit; an editable one has git to ask."""

    def run(self) -> None:
        """Build."""
        super().run()
        if not self.editable_mode:
            write_commit(Path(self.build_lib) / COMMIT)


class Sdist(sdist):
    """A source distribution with the commit, which it is built of later."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Lay out the files."""
        super().make_release_tree(base_dir, files)
        write_commit(Path(base_dir) / "host" / COMMIT)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
