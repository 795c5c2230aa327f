"""Random ONNX networks: either the result is onnxruntime's, or the error names the obstacle.

SYSTOLITH_FUZZ says how many cases there are (`make fuzz-import` has thousands),
SYSTOLITH_FUZZ_FIRST the seed of the first one. Without the latter each state of the host's code has
other networks, the same ones wherever it is tested.
"""

import logging
import os
import random
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from systolith_host.compiler import compile_network
from systolith_host.errors import SystolithError
from systolith_host.flow.host import run_in_turn
from systolith_host.flow.outputs import left_tensors
from systolith_host.frontend.judge import judge, judge_float
from systolith_host.frontend.onnx import inspect_onnx
from systolith_host.lab.float_bounds import Integers, check_correction
from systolith_host.lab.fuzz.graphs.graph import random_onnx
from systolith_host.network.forward import run_float
from systolith_host.network.golden import run_golden
from systolith_host.quantize.calibrate import calibrate
from systolith_host.quantize.correct import correct
from systolith_host.quantize.equalise import equalise
from systolith_host.quantize.quantize import quantize, quantize_input
from systolith_host.runtime.backend import Observer
from systolith_host.runtime.emulator import EmulatorBackend
from systolith_hw.spec.presets import PRESETS

CASES = int(os.environ.get("SYSTOLITH_FUZZ", "300"))
SHARDS = 10
IMAGES = 4
WIDTH = 16
TINY = replace(PRESETS["tiny"], multiplier_width=WIDTH, functions=1)


def fresh():
    """Return a seed from the hash of the host's code in the last commit; 0 without git."""
    folder = Path(__file__).parent
    command = ["git", "rev-parse", "HEAD:host"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return int(found.stdout[:7], 16) if found.returncode == 0 else 0


FIRST = int(os.environ.get("SYSTOLITH_FUZZ_FIRST") or fresh())


def seeds(shard):
    """Yield a shard's seeds, each printed before it is tried."""
    count = CASES // SHARDS + (shard < CASES % SHARDS)
    first = FIRST + shard * (CASES // SHARDS) + min(shard, CASES % SHARDS)
    for seed in range(first, first + count):
        print(f"SYSTOLITH_FUZZ=1 SYSTOLITH_FUZZ_FIRST={seed}")
        yield seed


@pytest.mark.parametrize("functions", [False, True], ids=["plain", "functions"])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_network_is_onnxruntimes_or_refused_by_name(shard, functions, tmp_path):
    outcomes: Counter[str] = Counter()
    for seed in seeds(shard):
        outcomes[one_case(seed, tmp_path / "net.onnx", functions=functions)] += 1
    print(dict(outcomes))
    count = sum(outcomes.values())
    if count >= 30:
        assert outcomes["ran"] >= 0.7 * count, outcomes
        assert outcomes["invalid"] <= 0.1 * count, outcomes


def one_case(seed, path, *, functions=False):
    """Return the outcome of a network: "ran", "refused", or "invalid" if onnxruntime refuses it."""
    rng = random.Random(seed)
    proto = random_onnx(rng, joins=seed % 2 == 0, functions=functions, mosaics=seed % 3 == 0)
    onnx.save(proto, path)
    try:
        model, problems = inspect_onnx(path, functions=functions)
    except SystolithError:
        return "refused"
    if model is None:
        assert problems
        names = {entry.name for entry in (*proto.graph.node, *proto.graph.output)} - {""}
        for problem in problems:
            assert problem.reason
            unnamed = problem.name == "output" or problem.name.startswith(problem.operator)
            assert unnamed or problem.name in names, problem
        return "refused"
    graph = model.graph
    numbers = np.random.default_rng(seed)
    images = numbers.standard_normal((IMAGES, *graph.shapes[graph.input])).astype(np.float32)
    wanted = theirs(proto, model, images)
    if wanted is None:
        return "invalid"
    line = judge_float(path, model, images[:1]).line
    assert line.startswith("float network "), line
    # A file without layers has an end that nothing computes.
    exact = "equals onnxruntime" in line and (model.end is not None or not model.epilogue)
    if exact:
        check_output(model, model.weights, images, *wanted)
    weights, _ = equalise(graph, model.weights, images)
    if exact:
        check_output(model, weights, images, *wanted)
    calibration = calibrate(graph, weights, images)
    try:
        qgraph = quantize(graph, weights, calibration, WIDTH)
    except SystolithError:
        return "refused"
    golden = run_golden(qgraph, quantize_input(qgraph, images))
    Integers(graph, weights, qgraph, golden, WIDTH).check()
    if seed % 10 == 0:
        check_emulator(qgraph, golden)
    corrected, _ = correct(graph, weights, qgraph, images, rounding=False)
    better = run_golden(corrected, quantize_input(corrected, images))
    check_correction(graph, weights, corrected, better, images)
    return "ran"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_network_with_nodes_on_the_host_is_onnxruntimes(shard, tmp_path):
    outcomes: Counter[str] = Counter()
    for seed in seeds(shard):
        outcomes[one_hosted(seed, tmp_path / "net.onnx")] += 1
    print(dict(outcomes))
    count = sum(outcomes.values())
    if count >= 30:
        assert outcomes["ran"] >= 0.7 * count, outcomes
        assert outcomes["invalid"] <= 0.1 * count, outcomes


def one_hosted(seed, path):
    """Return the outcome of a network that the host computes parts of, as one_case does.

    Two of four have functions. Every tenth is compiled, too: its layers and parts run one after
    the other on the emulator.
    """
    functions = seed % 4 > 1
    draw = random.Random(seed)
    proto = random_onnx(
        draw, host=True, joins=seed % 2 == 0, functions=functions, mosaics=seed % 3 == 0
    )
    onnx.save(proto, path)
    try:
        model, problems = inspect_onnx(path, host_nodes=True, functions=functions)
    except SystolithError:
        return "refused"
    if model is None:
        assert problems
        return "refused"
    graph = model.graph
    numbers = np.random.default_rng(seed)
    images = numbers.standard_normal((IMAGES, *graph.shapes[graph.input])).astype(np.float32)
    try:
        line = judge_float(path, model, images[:1]).line
    except SystolithError as error:
        if "computes something else" in str(error) or "fault of Systolith" in str(error):
            raise
        return "invalid"
    if "whose output is not finite" in line or "which cannot run the file" in line:
        return "invalid"
    assert line.startswith("float network "), line
    weights, _ = equalise(graph, model.weights, images)
    try:
        qgraph = quantize(graph, weights, calibrate(graph, weights, images), WIDTH)
    except SystolithError:
        return "refused"
    golden = run_golden(qgraph, quantize_input(qgraph, images))
    Integers(graph, weights, qgraph, golden, WIDTH).check()
    if seed % 10 == 0:
        check_emulator(qgraph, golden)
    return "ran"


def check_emulator(qgraph, golden):
    """Run a network, layer by layer with the host's parts, and compare all that is made."""
    program = compile_network(qgraph, TINY, IMAGES)
    backend = EmulatorBackend()
    found = run_in_turn(program, {qgraph.input: golden[qgraph.input]}, backend, Observer())
    outputs = {one.name: one.output for one in (*program.layers, *program.host)}
    assert {one.layer for one in found} == outputs.keys()
    for one in found:
        assert np.array_equal(one.output, golden[outputs[one.layer]]), one.layer
    left = left_tensors(program, found, {qgraph.input: golden[qgraph.input]})
    assert left.keys() == program.places.keys()
    for name, values in left.items():
        assert np.array_equal(values, golden[name]), name


class Samples(CalibrationDataReader):
    """Three random images for onnxruntime's quantiser."""

    def __init__(self, proto):
        dims = proto.graph.input[0].type.tensor_type.shape.dim
        shape = (3, 1, *(dim.dim_value for dim in dims[1:]))
        self.images = iter(np.random.default_rng(0).standard_normal(shape, np.float32))

    def get_next(self):  # pyright: ignore  # it ends with None
        image = next(self.images, None)
        return None if image is None else {"x": image}


@pytest.mark.parametrize("functions", [False, True], ids=["plain", "functions"])
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.filterwarnings("ignore")  # onnxruntime's quantiser has several of its own
def test_a_quantised_network_is_onnxruntimes_or_refused(shard, functions, tmp_path):
    logging.disable(logging.WARNING)  # it advises, too
    outcomes: Counter[str] = Counter()
    for seed in seeds(shard):
        outcomes[one_quantised(seed, tmp_path, functions=functions)] += 1
    print(dict(outcomes))
    logging.disable(logging.NOTSET)
    if sum(outcomes.values()) >= 100:  # some 7 of 100 are quantised throughout
        assert outcomes["ran"], outcomes


@pytest.mark.filterwarnings("ignore")
def test_a_bias_in_floats_that_integers_would_move_is_refused(tmp_path):
    # A fully connected layer with steps of the sums five times as large as those of the output.
    logging.disable(logging.WARNING)
    assert one_quantised(1517654039, tmp_path) == "refused"
    logging.disable(logging.NOTSET)
    model, _ = inspect_onnx(tmp_path / "net.onnx")
    assert model is not None
    with pytest.raises(SystolithError, match=r"gemm29: its bias in floats would be off by 1\.69"):
        judge(tmp_path / "net.onnx", model, WIDTH)


def one_quantised(seed, folder, *, functions=False):
    """Return the outcome of a network that onnxruntime quantised."""
    rng = random.Random(seed)
    proto = random_onnx(rng, joins=seed % 2 == 0, functions=functions, mosaics=seed % 3 == 0)
    plain, path = folder / "plain.onnx", folder / "net.onnx"
    onnx.save(proto, plain)
    try:
        quantize_static(
            plain,
            path,
            Samples(proto),
            quant_format=rng.choice([QuantFormat.QDQ, QuantFormat.QOperator]),
            activation_type=rng.choice([QuantType.QUInt8, QuantType.QInt8]),
            weight_type=rng.choice([QuantType.QInt8, QuantType.QInt8, QuantType.QUInt8]),
            per_channel=rng.random() < 0.5,
        )
    except Exception:  # it has several faults of its own
        return "invalid"
    try:
        model, problems = inspect_onnx(path, functions=functions)
        if model is None or not model.scales:
            assert model is not None or problems
            return "refused"
        line = judge(path, model, WIDTH)
    except SystolithError as error:
        if "computes something else" in str(error) or "fault of Systolith" in str(error):
            raise
        return "refused"
    if "which cannot run the file" in line:  # its own quantiser's operators are of some types only
        return "invalid"
    assert line.startswith("integers equal onnxruntime's in "), line
    return "ran"


def theirs(proto, model, images):
    """Return onnxruntime's first output of the file as it is; None if it does not run it.

    A second array has the values among which an ArgMax chooses, if one makes the output.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if model.channels_last:
        images = np.moveaxis(images, 1, -1)
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    names = [proto.graph.output[0].name]
    last = next((node for node in proto.graph.node if names[0] in node.output), None)
    if last is not None and last.op_type == "ArgMax":
        names.append(last.input[0])
        made.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
    try:
        session = onnxruntime.InferenceSession(made.SerializeToString(), options)
        found = [session.run(names, {"x": image[None]}) for image in images]
    except Exception:  # onnxruntime's own kinds
        return None
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def check_output(model, weights, images, wanted, chosen=None):
    """Compare the file's first output, by the host's end if that makes it, with onnxruntime's."""
    tensors = {model.graph.input: images, **dict(run_float(model.graph, weights, images))}
    name, end = model.files[0], model.end
    if end is not None and name in end.outputs:
        found = end.run([tensors[tensor] for tensor in end.inputs])[name]
        size = 1 + np.abs(wanted).max()
    else:
        layout = model.layouts.get(name)
        wanted = wanted if layout is None else layout.into(wanted)
        found = tensors[model.outputs[name]].reshape(wanted.shape)
        size = max(np.abs(wanted).max(), 1e-30)
    assert found.shape == wanted.shape
    if chosen is not None:  # two classes may be equal but for rounding
        limit = 1e-3 * np.abs(chosen).max()
        values = np.take_along_axis(chosen, found, axis=1)
        assert (values >= chosen.max(axis=1, keepdims=True) - limit).all()
    else:
        assert np.abs(found - wanted).max() <= 1e-3 * size
