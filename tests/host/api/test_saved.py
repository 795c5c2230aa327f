"""Programs from files: they run without their network as the compiled ones do."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import systolith as sy
from systolith_host.cli import app as cli
from systolith_host.frontend.zoo import build_onnx


def inputs(count, shape=(3, 32, 32), seed=0):
    return np.random.default_rng(seed).standard_normal((count, *shape), np.float32)


def branches():
    """Concatenations within each other, of parts that each stand in the output's memory."""
    rng = np.random.default_rng(5)
    nodes, values = [], []
    for name, source in (("one", "input"), ("two", "input"), ("three", "one")):
        channels = 3 if source == "input" else 4
        weight = rng.standard_normal((4, channels, 1, 1)).astype(np.float32)
        values.append(numpy_helper.from_array(weight, f"{name}.weight"))
        nodes.append(helper.make_node("Conv", [source, f"{name}.weight"], [name], name))
    nodes.append(helper.make_node("Concat", ["two", "three"], ["inner"], "inner", axis=1))
    nodes.append(helper.make_node("Concat", ["inner", "one"], ["outer"], "outer", axis=1))
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, 8, 8])
        for name, channels in (("input", 3), ("outer", 12))
    ]
    graph = helper.make_graph(nodes, "branches", infos[:1], infos[1:], values)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


NETWORKS = {
    "mini": ("mini", (3, 32, 32)),
    "branches": (branches(), (3, 8, 8)),
    "squeezenet": (build_onnx("squeezenet1_1", size=64, classes=8), (3, 64, 64)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_saved_program_runs_as_the_compiled_one_does(name, tmp_path):
    source, shape = NETWORKS[name]
    images = inputs(3, shape)
    compiled = sy.load(source, calibrate=images).compile("tiny", batch=2)
    compiled.save(tmp_path / "p.program")
    saved = sy.Compiled.load(str(tmp_path / "p.program"))
    assert (saved.name, saved.batch, saved.accelerator) == (compiled.name, 2, compiled.accelerator)
    assert (saved.input_shape, saved.output_shape) == (shape, compiled.output_shape)
    wanted, found = (each.run(images[:2], "emulator") for each in (compiled, saved))
    assert found.tensors.keys() == wanted.tensors.keys()
    for tensor, values in found.tensors.items():
        np.testing.assert_array_equal(values, wanted.tensors[tensor])
    np.testing.assert_array_equal(found.output, wanted.output)
    # The golden model computes the whole ones, too, from their parts' layers.
    golden = compiled.golden(images[:2])
    for tensor, values in found.tensors.items():
        np.testing.assert_array_equal(values, golden[tensor])
    assert found.report.top == wanted.report.top
    assert found.report.sources["weights"] == f"those of {tmp_path / 'p.program'}"
    assert "<table" in saved._repr_html_()


def test_a_program_of_the_command_line_runs_on_the_memory_that_is_given(
    tmp_path, monkeypatch, capsys
):
    path, image = tmp_path / "p.program", tmp_path / "x.npy"
    np.save(image, inputs(1)[0])
    arguments = ["compile", "mini", "--config", "tiny", "--image", image, "--out", path]
    monkeypatch.setattr(sys, "argv", ["systolith", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0, capsys.readouterr().err
    fast, slow = (
        sy.Compiled.load(path, memory=memory).run(image) for memory in (None, sy.Memory(latency=90))
    )
    np.testing.assert_array_equal(fast.output, slow.output)
    assert (fast.report.cycles or 0) < (slow.report.cycles or 0)
    plain: dict[str, Any] = {"equalise": False, "correct_bias": False, "round_together": False}
    compiled = sy.load("mini", calibrate=image, method="minmax", **plain).compile("tiny")
    np.testing.assert_array_equal(compiled.run(image, "emulator").output, fast.output)


def test_a_saved_program_needs_neither_network_nor_onnx(tmp_path):
    images = inputs(2)
    compiled = sy.load("mini", calibrate=images).compile("tiny")
    compiled.save(tmp_path / "p.program")
    np.save(tmp_path / "x.npy", images[0])
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "import systolith as sy\n"
        "run = sy.Compiled.load('p.program').run('x.npy', 'emulator')\n"
        "print(run.output.ravel().tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    wanted = compiled.run(images[0], "emulator").output.ravel().tolist()
    assert done.stdout.strip() == str(wanted)


def test_what_needs_the_network_says_so(tmp_path):
    images = inputs(2)
    sy.load("mini", calibrate=images).compile("tiny").save(tmp_path / "p.program")
    saved = sy.Compiled.load(tmp_path / "p.program")
    for wanted, call in {
        "judge=True": lambda: saved.run(images[0], judge=True),
        "golden": lambda: saved.golden(images[0]),
        "quantised": lambda: saved.quantised,
    }.items():
        line = rf"^{wanted} needs the network, which .*p\.program does not hold: compile it again"
        with pytest.raises(sy.SystolithError, match=line):
            call()
    with pytest.raises(sy.SystolithError, match=r"none\.program: cannot be read"):
        sy.Compiled.load(tmp_path / "none.program")
    with pytest.raises(sy.SystolithError, match=r"^memory must be a systolith\.Memory, not 3$"):
        sy.Compiled.load(tmp_path / "p.program", memory=3)  # type: ignore[arg-type]
