"""The top modules of simulations: everything is connected, and only what is there."""

import re

import pytest

from systolith_hw.generate import accelerator_facts
from systolith_hw.spec.memory import RATE_UNIT, TRANSACTIONS, WRITE_BEATS
from systolith_hw.spec.presets import PRESETS
from systolith_sim.rtl.testbench import accelerator_testbench, memory_testbench


def pins(text, instance):
    """Return the pins of an instance, and what is on each."""
    body = re.search(rf"\b{instance} \(\n(.*?)\n  \);", text, re.DOTALL)
    assert body is not None
    return dict(re.findall(r"\.(\w+)\(([^()]*)\)", body[1]))


def ports_of_memory():
    text = memory_testbench(8, 32).sources["axi_memory.v"]
    head = text[text.index("module axi_memory") :]
    head = head[: head.index(");\n")]
    return set(re.findall(r"^    (?:input|output) [^,\n]*?(\w+)(?=,|\s*//|$)", head, re.MULTILINE))


@pytest.mark.parametrize("name", ["tiny", "large"])
def test_every_port_of_the_accelerator_is_connected(name):
    config = PRESETS[name]
    testbench = accelerator_testbench(config, "// text\n")
    wanted = {port["name"] for port in accelerator_facts(config)["ports"]}
    # The memory has neither caches nor protection, and no register is protected.
    ignored = {name for name in wanted if name.endswith(("cache", "prot"))}
    assert set(pins(testbench.sources["tb_top.v"], "dut")) == wanted - ignored
    assert testbench.sources["accelerator.v"] == "// text\n"


def test_the_memory_has_the_widths_of_the_bus():
    text = accelerator_testbench(PRESETS["tiny"], "", 4096).sources["tb_top.v"]
    line = next(line for line in text.splitlines() if " memory (" in line)
    given = dict(re.findall(r"\.(\w+)\((\d+)\)", line))
    assert (given["DATA_BYTES"], given["ADDR_WIDTH"], given["MEMORY_BYTES"]) == ("8", "32", "4096")
    assert "wire [63:0] m_axi_rdata;" in text


def test_the_memory_is_given_all_its_parameters():
    text = memory_testbench(8, 32).sources
    line = next(line for line in text["tb_memory.v"].splitlines() if " memory (" in line)
    given = dict(re.findall(r"\.(\w+)\((\d+)\)", line))
    # A default is there because Verilog wants one.
    module = text["axi_memory.v"]
    assert set(given) | {"ID_WIDTH"} == set(
        re.findall(r"^    parameter (\w+)", module, re.MULTILINE)
    )
    assert (int(given["WRITE_BEATS"]), int(given["DEPTH"])) == (WRITE_BEATS, TRANSACTIONS)
    assert int(given["RATE_UNIT"]) == RATE_UNIT


@pytest.mark.parametrize("made", [memory_testbench(8, 32), memory_testbench(16, 40)])
def test_ports_have_names_of_their_own_and_the_memory_is_connected(made):
    names = [port.name for port in made.ports]
    assert len(set(names)) == len(names)
    given = pins(made.sources["tb_memory.v"], "memory")
    assert set(given) == ports_of_memory()
    assert {given[name] for name in given} <= set(names)


def test_events_are_recorded_only_if_asked_for():
    plain, events = (accelerator_testbench(PRESETS["tiny"], "", events=on) for on in (False, True))
    assert "recorder" not in plain.sources["tb_top.v"]
    text = events.sources["event_recorder.v"]
    for name in pins(events.sources["tb_top.v"], "recorder"):
        assert re.search(rf"\b{name}\b", text)
