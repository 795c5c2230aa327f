"""What the distribution has to contain."""

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = {"hw": "systolith_hw", "sim": "systolith_sim", "host": "systolith_host"}


@pytest.mark.parametrize(("folder", "package"), PACKAGES.items())
def test_every_folder_of_code_is_a_package(folder, package):
    assert (ROOT / folder / package / "py.typed").exists()
    for path in (ROOT / folder / package).rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), path


def test_command_is_installed():
    (entry,) = metadata.entry_points(group="console_scripts", name="systolith")
    assert entry.value == "systolith_host.cli.app:main"


def test_specification_imports_the_standard_library_alone():
    code = (
        "import sys; import systolith_hw.spec.presets, systolith_hw.spec.isa; "
        "print([m for m in ('numpy', 'amaranth', 'cocotb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def pins(file):
    lines = (ROOT / file).read_text().splitlines()
    pinned = [line.partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in pinned}


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {canonicalize_name(Requirement(each).name) for each in wanted}
    assert not names - pins("constraints.txt").keys()


def test_the_fpga_tools_that_are_set_up_are_those_of_the_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pinned = pins("constraints-fpga.txt")
    for each in map(Requirement, project["project"]["optional-dependencies"]["fpga"]):
        assert str(each.specifier) == f"=={pinned[canonicalize_name(each.name)]}"
