"""Which Verilog a simulator gets, and that it is generated once."""

import pytest

from systolith_hw.generate import Flavour
from systolith_hw.spec.presets import PRESETS
from systolith_sim.rtl import simulator

TINY = PRESETS["tiny"]


@pytest.fixture
def generated(tmp_path, monkeypatch):
    """Replace the generator; return what was asked of it."""
    asked = []

    def verilog(config, flavour, *, flatten):
        asked.append((config.name, flavour, flatten))
        return f"// {config.name} {flavour.value}\nendmodule\n"

    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path))
    monkeypatch.setattr(simulator, "accelerator_verilog", verilog)
    return asked


def test_verilog_is_generated_once_for_each_configuration_and_flavour(generated):
    told = []
    for _ in range(2):
        for name in ("tiny", "default"):
            text = simulator.simulation_verilog(PRESETS[name], progress=told.append)
            assert text == f"// {name} {Flavour.SIMULATION.value}\nendmodule\n"
    assert generated == [(name, Flavour.SIMULATION, True) for name in ("tiny", "default")]
    assert told == [f"Amaranth and Yosys: Verilog of {name}" for name in ("tiny", "default")]
    simulator.simulation_verilog(TINY, Flavour.PLAIN)
    assert generated[2:] == [("tiny", Flavour.PLAIN, False)]


@pytest.mark.parametrize("left", [b"", b"// tiny\n", b"\xff\x00"])
def test_damaged_verilog_is_generated_again(generated, tmp_path, left):
    text = simulator.simulation_verilog(TINY)
    (path,) = tmp_path.glob("verilog-*.v")
    path.write_bytes(left)
    assert simulator.simulation_verilog(TINY) == text
    assert path.read_text() == text
    assert len(generated) == 2


def test_other_gateware_is_other_verilog(generated, monkeypatch):
    simulator.simulation_verilog(TINY)
    monkeypatch.setattr(simulator, "_gateware_hash", lambda: "other")
    simulator.simulation_verilog(TINY)
    assert len(generated) == 2


@pytest.mark.parametrize(
    ("name", "options", "flavour"),
    [
        ("verilator", {}, Flavour.SIMULATION),
        ("verilator", {"waves": True}, Flavour.PLAIN),
        ("verilator", {"events": True}, Flavour.PLAIN),
        ("icarus", {}, Flavour.PLAIN),
    ],
)
def test_waveforms_events_and_icarus_get_the_hierarchy(
    generated, monkeypatch, name, options, flavour
):
    built = []
    monkeypatch.setattr(simulator, "build", lambda *values, **more: built.append((values, more)))
    simulator.accelerator_build(TINY, name, 70_000, **options)
    assert [asked[1] for asked in generated] == [flavour]
    ((testbench, given), more) = built[0]
    assert (given, more["waves"]) == (name, options.get("waves", False))
    assert ("event_recorder.v" in testbench.sources) == options.get("events", False)
    size = 1 << 16 if name == "verilator" else 1 << 17
    assert f".MEMORY_BYTES({size})" in testbench.sources["tb_top.v"]
