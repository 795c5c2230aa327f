"""Compiling is deterministic: the same network gives the same program file, byte for byte."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from systolith_host.compiler import compile_network
from systolith_host.flow.load import forget_shapes, shape_network
from systolith_host.frontend.zoo import build_onnx
from systolith_host.lab.fuzz.networks import random_qgraph
from systolith_hw.spec.presets import PRESETS

LIMIT_SECONDS = 300


def compiled_elsewhere(network, config, seed, path):
    """Compile in a process of its own, whose sets and dictionaries of texts have another order."""
    arguments = ["compile", str(network), "--config", config, "--out", str(path)]
    command = [sys.executable, "-c", "from systolith_host.cli.app import main; main()", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    subprocess.run(
        command, env=environment, check=True, timeout=LIMIT_SECONDS, stdout=subprocess.DEVNULL
    )
    return path.read_bytes()


@pytest.fixture(scope="module")
def branching(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("zoo") / "squeezenet.onnx"
    path.write_bytes(build_onnx("squeezenet1_1", size=64, classes=10).SerializeToString())
    return path


@pytest.mark.parametrize("config", ["tiny", "default"])
def test_processes_with_other_hashes_write_the_same_file(config, branching, tmp_path):
    found = {
        compiled_elsewhere(branching, config, seed, tmp_path / f"{seed}.program")
        for seed in (0, 12345)
    }
    assert len(found) == 1


def test_the_same_process_compiles_the_same_again(tmp_path):
    files = set()
    for number in range(4):
        forget_shapes()
        program = compile_network(shape_network("mini"), PRESETS["tiny"], batch=2)
        program.save(tmp_path / f"{number}.program")
        files.add((tmp_path / f"{number}.program").read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize("seed", range(6))
def test_what_was_compiled_before_changes_nothing(seed, tmp_path):
    def write(name):
        compile_network(random_qgraph(random.Random(seed)), PRESETS["tiny"]).save(tmp_path / name)
        return (tmp_path / name).read_bytes()

    first = write("first")
    compile_network(random_qgraph(random.Random(seed + 100)), PRESETS["tiny"])
    assert write("second") == first
