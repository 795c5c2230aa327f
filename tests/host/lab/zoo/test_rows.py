"""The zoo: a row for each file, refusals by name, and PyTorch's exports."""

from dataclasses import replace

import numpy as np
import pytest

from systolith_host.cli.views.zoo import zoo_page, zoo_table
from systolith_host.errors import SystolithError
from systolith_host.extras import EXTRAS, is_installed
from systolith_host.flow.log import SilentLog
from systolith_host.lab.onnx_models import onnx_model, onnx_node
from systolith_host.lab.zoo.files import EXPORTERS, Subject, ZooFile, subjects
from systolith_host.lab.zoo.rows import ZooRow, measure, read_rows, save_rows
from systolith_hw.spec.presets import PRESETS

TINY = replace(PRESETS["tiny"], functions=1)


def subject(name, nodes, constants, weights="random"):
    """Return one whose file is the same at both sizes."""

    def make(folder):
        path = folder / "net.onnx"
        path.write_bytes(onnx_model(nodes, constants).SerializeToString())
        return ZooFile(path, path)

    return Subject(name, "hand", weights, make)


def conv(*, act):
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3))
    return [onnx_node("Conv", ["x", "w"], "c"), onnx_node(act, ["c"], "y")], {"w": weight}


def test_a_row_tells_where_nodes_run_and_that_devices_agree():
    (row,) = measure([subject("net", *conv(act="Tanh"))], TINY, rtl=False, log=SilentLog())
    assert (row.refused, row.shape, row.hosted) == ("", (3, 8, 7), {})
    assert row.macs == 4 * 3 * 9 * 6 * 5
    assert row.error is not None
    assert row.error < 1e-5
    assert (row.emulator, row.rtl, row.wrong) == (0, None, False)
    assert row.values == 4 * 6 * 5
    assert row.cycles > row.macs / TINY.multipliers
    assert row.decibels is not None
    assert row.decibels > 20


def test_nodes_of_the_host_are_counted_with_and_without_tables():
    nodes, constants = conv(act="Tanh")
    nodes += [onnx_node("Cos", ["y"], "z"), onnx_node("Conv", ["z", "v"], "last")]
    constants["v"] = np.ones((2, 4, 1, 1))
    net = subject("net", nodes, constants)
    (row,) = measure([net], TINY, rtl=False, log=SilentLog())
    assert (row.hosted, row.more) == ({"Cos": 1}, {"Cos": 1, "Tanh": 1})
    (row,) = measure([net], PRESETS["tiny"], rtl=False, log=SilentLog())
    assert row.hosted == row.more == {"Cos": 1, "Tanh": 1}
    assert "1 Cos, 1 Tanh" in zoo_table([row], tables=False)


def test_a_file_that_does_not_run_has_a_row_that_says_why(tmp_path):
    nets = [
        subject("none", [onnx_node("Cos", ["x"], "y")], {}),
        subject("net", *conv(act="Relu"), weights="constant"),
    ]
    rows = list(measure(nets, TINY, rtl=False, log=SilentLog()))
    assert "has no convolution and no linear layer" in rows[0].refused
    assert (rows[1].refused, rows[1].decibels, rows[1].emulator) == ("", None, 0)
    lines = zoo_table(rows, tables=True).splitlines()
    assert len({line.count(" | ") for line in lines}) == 1
    page = zoo_page(rows, TINY, "tiny.toml")
    assert "Of the\n2 files 1 run, 1 of them without nodes on the host." in page
    assert lines[-1] in page


def test_the_page_says_which_runs_the_rtl_has_made():
    made = ZooRow("net", "hand", "constant", (3, 8, 7), ran=(3, 8, 7), values=10, emulator=0, rtl=0)
    long, open_ = replace(made, rtl=None, cycles=10**8), replace(made, rtl=None)
    lines = zoo_table([made, long, open_], tables=True).splitlines()
    assert [line.split(" | ")[-1].strip("| ") for line in lines[2:]] == ["0", "too long", ""]
    page = zoo_page([made, long, open_], TINY, "tiny.toml")
    assert "`systolith lab zoo --config tiny.toml --rtl --out docs/zoo.md`" in page
    # 10 values, on the emulator three times and in the RTL once.
    assert "0 of 40 in all.\nThe RTL runs files of a fixed size up to " in page
    assert "RTL" not in zoo_page([long], TINY, "tiny.toml")


def test_rows_are_kept_for_the_same_tool_and_accelerator(tmp_path, monkeypatch):
    path = tmp_path / "zoo.json"
    assert read_rows(path, TINY, rtl=False) == {}
    net = subject("net", *conv(act="Relu"), weights="constant")
    rows = list(measure([net], TINY, rtl=False, log=SilentLog()))
    save_rows(rows, TINY, path, rtl=False)
    known = read_rows(path, TINY, rtl=False)
    assert known == {("net", "hand"): rows[0]}
    kept = replace(rows[0], cycles=1)
    known = {("net", "hand"): kept}
    assert list(measure([net], TINY, rtl=False, log=SilentLog(), known=known)) == [kept]
    assert read_rows(path, TINY, rtl=True) == {}
    assert read_rows(path, PRESETS["tiny"], rtl=False) == {}
    monkeypatch.setattr("systolith_host.lab.zoo.rows.describe", lambda: "another")
    assert read_rows(path, TINY, rtl=False) == {}
    path.write_text("[]")
    with pytest.raises(SystolithError, match=r"zoo\.json: no rows of `lab zoo` can be read: "):
        read_rows(path, TINY, rtl=False)


def test_an_unknown_network_is_refused():
    with pytest.raises(SystolithError, match=r"^--network: no lenet; there are resnet18, "):
        subjects(["lenet"])


def test_pytorch_exports_a_network_at_two_sizes(tmp_path):
    if not all(map(is_installed, EXTRAS["zoo"])):  # an import may need what lab zoo declares first
        pytest.skip("PyTorch is not installed: see `make torch-setup`")
    found = subjects(["ocr_like"])
    assert [each.source for each in found] == list(EXPORTERS)
    (row,) = measure(found[:1], PRESETS["tiny"], rtl=False, log=SilentLog())
    assert (row.refused, row.emulator, row.shape, row.ran) == ("", 0, (3, 48, 320), (3, 32, 64))
    assert {"HardSwish", "HardSigmoid", "Mul"} <= row.hosted.keys()
