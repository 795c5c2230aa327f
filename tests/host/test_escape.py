"""Text of others in terminals, Tcl, pages and comments: it stays text."""

import random
import sys

import numpy as np
import onnx
import plotly.graph_objects as go
import pytest
from onnx import helper, numpy_helper
from rich.table import Table

from systolith_host.cli import app as cli
from systolith_host.escape import LAYER_NAME, comment, layer_name, printable, slug, tcl_word
from systolith_host.progress import ProgressLog
from systolith_host.terminal import SafeConsole

HOSTILE = (
    "\x1b]0;title\x07",
    "\x1b[31mred\x1b[0m",
    "[red]x[/red]",
    "a\nerror: b",
    "\u202etxt.exe",
    "\x9b1mx",
    "<script>alert(1)</script>",
    "=1+1",
    "$(ls)",
    "[exec ls]",
    "}\nexec ls\nset x {",
    "a\\",
    '"; exec ls; "',
    "`ls`",
    "\ud800",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_gets_no_control_character_and_no_markup(text, capsys):
    made = SafeConsole(width=100)
    table = Table("x", title=text)
    table.add_row(text)
    made.print(table)
    made.print(text, style="red")
    with ProgressLog(made) as log:
        log.stage(text)
        log.message(text)
    output = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in output)
    if text.isprintable():
        assert output.count(text) >= 3


def test_a_progress_bar_shows_names_as_they_are(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with ProgressLog(SafeConsole(width=100)) as log:
        log.stage("[red]name\x1b]0;x\x07")
        log.update("[bold]layer", 1, 2)
    output = capsys.readouterr().out
    assert "[red]name" in output
    assert "[bold]l" in output
    assert "\x1b]0;" not in output


def test_what_is_printable_stays():
    for text in ("conv1", "größer", "畳み込み", "a\tb\nc"):
        assert printable(text) == text
    assert printable("\x1b[1m\u202e") == "\\x1b[1m\\u202e"


@pytest.mark.parametrize("text", HOSTILE)
def test_names_of_layers_hold_nothing_special(text):
    name = layer_name(text)
    assert not name or LAYER_NAME.fullmatch(name)
    assert layer_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/features/features.0/Conv", "features.features.0.Conv"),
        ("model/conv2d/BiasAdd;model/relu", "model.conv2d.BiasAdd;model.relu"),
        ("Conv_0__12:0", "Conv_0__12.0"),
        ("=cmd", "cmd"),
        ("[red]", "red"),
        ("///", ""),
    ],
)
def test_usual_names_of_layers_stay_readable(text, name):
    assert layer_name(text) == name


@pytest.mark.parametrize("text", [*HOSTILE[:-1], "{a}", "a b", "", '"$x [y]"'])
def test_a_tcl_word_stands_for_just_this_text(text):
    tkinter = pytest.importorskip("tkinter", reason="needs Python's Tcl interpreter")
    tcl = tkinter.Tcl()
    tcl.eval("proc exec {args} { error called }")
    tcl.eval(f"set x {tcl_word(text)}\nset after 1")
    assert tcl.getvar("x") == text
    assert str(tcl.getvar("after")) == "1"


def test_random_tcl_words():
    tkinter = pytest.importorskip("tkinter", reason="needs Python's Tcl interpreter")
    tcl, rng = tkinter.Tcl(), random.Random(0)
    for _ in range(500):
        text = "".join(rng.choice('ab {}[]$\\";\n#') for _ in range(rng.randrange(12)))
        tcl.eval(f"set x {tcl_word(text)}")
        assert tcl.getvar("x") == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_comment_is_one_line_and_ends_there(text):
    line = comment(text)
    assert line.isprintable()
    assert not line.endswith("\\")


@pytest.mark.parametrize("text", [*HOSTILE, "../../etc/passwd", '"onload="x'])
def test_names_of_files_and_elements_stay_inside(text):
    assert all(c.isascii() and (c.isalnum() or c in "_.-") for c in slug(text))
    assert not slug(text).startswith(".")


def test_data_of_a_figure_cannot_end_the_script_that_holds_it():
    text = go.Figure(go.Bar(x=["</script><b>"], y=[1])).to_html(full_html=False)
    assert "</script><b>" not in text


def test_check_shows_a_hostile_file_as_text(tmp_path, monkeypatch, capsys):
    title = "[red]\x1b]0;owned\x07\nnet.onnx: can run: x"
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    for operator, status in (("Frobnicate", 1), ("Conv", 0)):
        node = helper.make_node(operator, ["x", "w"], ["y\x1b[31m"], title)
        inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ("N", 3, 8, 8))]
        outputs = [helper.make_tensor_value_info("y\x1b[31m", onnx.TensorProto.FLOAT, None)]
        graph = helper.make_graph([node], "net", inputs, outputs, [weight])
        path = tmp_path / "net.onnx"
        opset = [helper.make_opsetid("", 17)]
        onnx.save_model(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
        for command in ("check", "info"):
            monkeypatch.setattr(sys, "argv", ["systolith", command, str(path)])
            with pytest.raises(SystemExit) as raised:
                cli.main()
            output = capsys.readouterr()
            shown = output.out + output.err
            assert "\x1b" not in shown
            assert "\x07" not in shown
            assert not shown.startswith("net.onnx: can run")
            if command == "check":
                assert raised.value.code == status
                assert ("can run: input" in shown) == (status == 0)
                lines = shown.splitlines()
                assert not any(line.startswith("net.onnx: can run") for line in lines)
                # A refusal says how often, why, what it would take, and the error.
                assert len(lines) <= (4 if status else 2)
