"""The explanation of a layer: the compiler's own choice, what else there is, and the buffers."""

import io
import json
import sys

import numpy as np
import pytest
from rich.console import Console

from systolith_host.cli import app as cli
from systolith_host.cli.views.explanation import explanation_page
from systolith_host.compiler import compile_network, explain_network
from systolith_host.cost.explain import explain_layer
from systolith_host.cost.replay import replay_program
from systolith_host.errors import SystolithError
from systolith_host.frontend.vgg import build_network
from systolith_host.frontend.zoo import build_onnx
from systolith_host.network.qgraph import QConv, QGraph, QTensor
from systolith_host.network.shapes import timing_network
from systolith_host.program.program import Program
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def mini():
    return timing_network(build_network("mini"))


@pytest.mark.parametrize("batch", [1, 3])
def test_it_explains_the_schedules_of_the_compiler(mini, batch):
    program = compile_network(mini, TINY, batch)
    measured = replay_program(program)
    for schedule, layer, replayed in zip(
        explain_network(mini, TINY, batch), program.layers, measured, strict=True
    ):
        found = explain_layer(mini, TINY, layer.name, batch)
        chosen = found.chosen.schedule
        assert (chosen.rows, chosen.columns, chosen.stack, chosen.chunk_blocks) == (
            (schedule.rows, schedule.columns, schedule.stack, schedule.chunk_blocks)
        )
        assert found.chosen.estimated_cycles == layer.predicted_cycles
        assert found.cycles == replayed.cycles
        assert sum(found.states.values()) == found.cycles
        assert found.bound_cycles == layer.bound_cycles <= found.cycles
        # Nothing among the ones shown is better and was simulated by the compiler, too.
        assert found.leading == tuple(sorted(found.leading, key=lambda one: one.score))
        assert found.chosen not in found.leading
        assert any(one.order == found.chosen.order for one in found.orders)
        for use in found.buffers:
            assert 0 < use.piece_bytes <= use.needed_bytes <= use.there_bytes


def one_layer(channels, side, outputs):
    tensors = {
        "x": QTensor("x", (channels, side, side), False, 1.0, 0),
        "y": QTensor("y", (outputs, side, side), False, 1.0, 0),
    }
    ones = np.ones(outputs, np.int64)
    weight = np.zeros((outputs, channels, 3, 3), np.int8)
    layer = QConv("c", "x", "y", "conv", weight, 0 * ones, ones, ones, -128, 127)
    layer = QConv(**{**layer.__dict__, "padding": (1, 1, 1, 1)})
    return QGraph("net", tensors, (layer,), "x", "y")


def test_other_loop_orders_and_full_buffers_show():
    found = explain_layer(one_layer(64, 12, 32), TINY, "c")
    assert len(found.orders) >= 2
    costs = {one.schedule.resident: one.traffic_bytes for one in found.orders}
    assert costs[False] > costs[True]
    activations = found.buffers[0]
    assert activations.needed_bytes > activations.piece_bytes
    page = text(found)
    assert "other order" in page
    assert "If the input was read again: " in page or "If the input stayed" in page
    assert f"{activations.needed_bytes:,}" in page
    assert f"Lower bound: {found.bound_cycles:,} cycles, by the array" in page


def text(explanation):
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(explanation_page(explanation))
    return console.export_text()


def test_a_fused_pool_stands_for_its_convolution(mini):
    covers = next(
        layer.covers for layer in compile_network(mini, TINY).layers if len(layer.covers) > 1
    )
    assert explain_layer(mini, TINY, covers[1]).layer == covers[0]


def test_a_layer_that_is_not_there_is_refused_with_those_that_are(mini):
    with pytest.raises(SystolithError, match=r"^--explain: mini has no layer 'conv9'; it has conv"):
        explain_layer(mini, TINY, "conv9")


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["systolith", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.mark.parametrize("layer", ["conv1", "layer1_1.add", "mean"])
def test_the_command_explains_layers_of_files_and_writes_json(monkeypatch, capsys, tmp_path, layer):
    model, path = tmp_path / "net.onnx", tmp_path / "page.json"
    model.write_bytes(build_onnx("resnet18", seed=0, size=64).SerializeToString())
    arguments = ("compile", model, "--config", "tiny", "--explain", layer, "--json", path)
    assert command(monkeypatch, *arguments) == 0
    title = capsys.readouterr().out.splitlines()[0]
    assert title.startswith(layer)
    assert ", batch 1, on tiny (4x4 array; memory: 8 bytes per cycle, latency 40 cycles)" in title
    page = json.loads(path.read_text())
    assert page["layer"] == layer
    assert page["chosen"]["estimated_cycles"] > 0
    assert page["cycles"] > 0
    assert {buffer["name"] for buffer in page["buffers"]} == {
        *("activations", "weights", "parameters", "accumulators")
    }
    assert page["bottleneck"]


def test_the_explanation_is_for_the_memory_that_is_given(mini):
    memory = Memory(bytes_per_cycle=1, latency=200, turnaround=8)
    program = compile_network(mini, TINY, memory=memory)
    fast, slow = (explain_layer(mini, TINY, "conv2_1", memory=one) for one in (None, memory))
    layer = next(layer for layer in program.layers if layer.name == slow.layer)
    assert slow.chosen.estimated_cycles == layer.predicted_cycles
    assert slow.cycles > fast.cycles
    assert slow.read_bytes["activations"] < fast.read_bytes["activations"]
    assert "memory: 1 bytes per cycle, latency 200 cycles, turnaround 8 cycles" in text(slow)


def test_programs_are_compiled_for_the_memory_that_is_given(monkeypatch, capsys, tmp_path):
    memory = ("--bandwidth", 1, "--latency", 200, "--turnaround", 8)
    cycles = {}
    for given in ((), memory):
        path = tmp_path / f"{len(given)}.program"
        assert (
            command(monkeypatch, "compile", "mini", "--config", "tiny", "--out", path, *given) == 0
        )
        cycles[given] = sum(layer.predicted_cycles for layer in Program.load(path).layers)
        assert f"{cycles[given]:,} cycles estimated" in capsys.readouterr().out
    assert cycles[memory] > cycles[()]


def test_both_kinds_of_convolution_are_explained():
    config = PRESETS["default"]
    net = one_layer(64, 28, 64)
    found = explain_layer(net, config, "c")
    assert found.chosen.schedule.winograd
    assert found.chosen.order.startswith("Winograd: input ")
    assert found.array_bound == -(-found.macs // 4 // config.multipliers)
    kinds = {one.schedule.winograd for one in found.orders}
    assert kinds == {False, True}
    accumulators = found.buffers[-1]
    assert accumulators.needed_bytes == found.chosen.schedule.pixels * 16 * 38 // 8
    page = text(found)
    assert "36 passes for each pair: Winograd's, a patch for 4x4 outputs" in page
    assert "If it was direct" in page
    # Every multiplier works in every pass, but for the patches at the edges.
    assert "which use 100.0% of the multipliers" in page
    page = text(explain_layer(net, PRESETS["default-direct"], "c"))
    assert "3x3 passes for each pair" in page
    assert "Winograd" not in page
