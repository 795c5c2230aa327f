"""PyTorch and torchvision as a pair."""

import subprocess
import sys
from pathlib import Path

import pytest

from systolith_host.extras import EXTRAS, is_installed

CHECK = Path(__file__).parents[3] / "tools" / "check_torch.py"


def test_the_pair_is_imported_even_if_torchvision_is_for_another_device():
    if not all(map(is_installed, EXTRAS["zoo"])):
        pytest.skip("PyTorch is not installed: see `make torch-setup`")
    done = subprocess.run([sys.executable, CHECK], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PyTorch 2.")


def test_a_pair_that_does_not_fit_is_one_line(tmp_path):
    for name, text in {"torch": "", "torchvision": "raise RuntimeError('no operators')"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_path({str(CHECK)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: PyTorch and torchvision do not fit each other: no operators\n"
