"""What the distribution has to contain."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
UNPINNED = ("fpga", "torch", "zoo")
"""Extras that `make setup` leaves out; constraints-fpga.txt has the versions of the first."""

PACKAGES = {"hw": "systolith_hw", "sim": "systolith_sim", "host": "systolith_host"}
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
"""Of the base."""


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
    extras = project["project"]["optional-dependencies"]
    groups = project["dependency-groups"].values()
    wanted = [each for group in groups for each in group if isinstance(each, str)]
    wanted += project["project"]["dependencies"]
    wanted += [each for name, extra in extras.items() if name not in UNPINNED for each in extra]
    requirements = [each for each in map(Requirement, wanted) if each.name != "systolith"]
    pinned = pins("constraints.txt")
    names = {
        canonicalize_name(r.name) for r in requirements if r.marker is None or r.marker.evaluate()
    }
    assert not names - pinned.keys()
    for each in requirements:
        version = pinned.get(canonicalize_name(each.name))
        assert version is None or each.specifier.contains(version), each


def test_the_fpga_tools_that_are_set_up_are_those_of_the_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pinned = pins("constraints-fpga.txt")
    for each in map(Requirement, project["project"]["optional-dependencies"]["fpga"]):
        assert str(each.specifier) == f"=={pinned[canonicalize_name(each.name)]}"


def pip(*arguments, timeout=300):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Skip where no registry answers: that is asked with a package that there is for certain."""
    folder = tmp_path_factory.mktemp("pip")
    # Another than the one that is installed, so that no local cache can answer.
    done = pip("download", "--no-deps", "--no-cache-dir", "--dest", str(folder), "typer<0.25")
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        pytest.skip(f"no package registry answers, so that nothing was resolved: {reason}")


def base_requirements(python):
    """Return what the base needs, each as a line for pip, on a version of Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for each in map(Requirement, project["dependencies"]):
        if each.marker is None or each.marker.evaluate({"python_version": python}):
            yield f"{each.name}{each.specifier}"


@pytest.mark.registry
@pytest.mark.parametrize("python", PYTHONS)
def test_the_base_resolves_on_aarch64(python, registry, tmp_path):
    platforms = [f"manylinux_2_{glibc}_aarch64" for glibc in range(34, 16, -1)]
    done = pip(
        *("install", "--dry-run", "--ignore-installed", "--target", str(tmp_path)),
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", python),
        *(word for platform in platforms for word in ("--platform", platform)),
        *base_requirements(python),
    )
    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stdout


@pytest.mark.registry
def test_a_wheel_carries_code_licence_and_commit(registry, tmp_path):
    tree = tmp_path / "tree"
    skipped = shutil.ignore_patterns(".git", ".venv*", "build", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, tree, ignore=skipped, symlinks=True)
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for command in (
        ("init", "--quiet"),
        ("add", "--all"),
        (*identity, "commit", "--quiet", "--message", "test: a tree"),
    ):
        subprocess.run(["git", "-C", tree, *command], check=True, capture_output=True)
    head = ["git", "-C", tree, "rev-parse", "HEAD"]
    commit = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
    done = pip("wheel", "--no-deps", "--wheel-dir", str(tmp_path / "wheels"), str(tree))
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "wheels").iterdir()
    shutil.unpack_archive(wheel, tmp_path / "content", "zip")
    content = tmp_path / "content"
    for package in (*PACKAGES.values(), "systolith"):
        assert (content / package / "py.typed").exists()
    (info,) = content.glob("systolith-*.dist-info")
    assert (info / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert "License-Expression: Apache-2.0" in (info / "METADATA").read_text()
    # Its own files alone, though dependencies come from here.
    code = "from systolith_host.version import describe; print(describe())"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(content)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    built = said.stdout.strip().removesuffix(")").partition("(commit ")[2].removesuffix("-dirty")
    assert len(built) >= 12
    assert commit.startswith(built)


@pytest.mark.registry
def test_the_base_alone_compiles_and_emulates_an_onnx_file(registry, tmp_path):
    """A fresh environment with nothing but what the base brings."""
    import venv

    import numpy as np

    tree, work = tmp_path / "tree", tmp_path / "work"
    skipped = shutil.ignore_patterns(".git", ".venv*", "build", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, tree, ignore=skipped, symlinks=True)
    work.mkdir()
    venv.create(tmp_path / "venv", with_pip=True)
    folder = tmp_path / "venv" / "bin"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*command):
        done = subprocess.run(
            [str(folder / command[0]), *command[1:]],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("python", "-m", "pip", "install", "--quiet", str(tree))
    installed = run("python", "-m", "pip", "list", "--format", "freeze").lower()
    for name in ("amaranth", "numba", "cocotb", "pillow", "plotly", "scikit", "onnxruntime"):
        assert name not in installed
    np.save(work / "x.npy", np.random.default_rng(3).normal(size=(3, 64, 64)).astype("float32"))
    run("systolith", "export", "squeezenet1_1", "--size", "64", "--out", "s.onnx")
    run("systolith", "compile", "s.onnx", "--image", "x.npy", "--out", "s.program")
    arguments = ("--image", "x.npy", "--program", "s.program", "--device", "emulator")
    assert " 0 mismatches" in run("systolith", "run", "s.onnx", *arguments)
