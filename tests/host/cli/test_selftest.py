"""The command `systolith selftest`."""

import json
from contextlib import nullcontext

import pytest

from systolith_host.runtime.backend import Facts
from systolith_host.selftest.bench import Opened
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import CONTROL_START, REGISTERS
from systolith_sim.emulator.device import Emulator


@pytest.mark.rtl
def test_all_stages_pass_in_the_rtl_and_are_json_values(command, tmp_path):
    file = tmp_path / "selftest.json"
    quick = ["--layers", 4, "--memory-test", 4096, "--json", file]
    status, out, error = command("selftest", "--config", "tiny", "--device", "rtl", *quick)
    assert (status, [line.split()[:2] for line in out.splitlines()]) == (
        0,
        [[name, "pass:"] for name in ("identity", "memory", "layers", "faults", "bandwidth")],
    ), error
    fields = json.loads(file.read_text())
    assert (fields["config"], fields["device"], fields["seed"]) == ("tiny", "rtl", 0)
    stages = {stage["stage"]: stage for stage in fields["stages"]}
    assert {stage["verdict"] for stage in stages.values()} == {"pass"}
    assert len(stages["faults"]["figures"]["faults"]) == 8
    assert 3 < stages["bandwidth"]["figures"]["LOAD"]["bytes_per_cycle"] < 4
    assert 1.9 < stages["bandwidth"]["figures"]["STORE"]["bytes_per_cycle"] < 2


def test_the_emulator_says_what_it_has_not(command):
    status, out, _ = command(
        "selftest", "--config", "tiny", "--device", "emulator", "--layers", 2, "--json", "-"
    )
    verdicts = [stage["verdict"] for stage in json.loads(out)["stages"]]
    assert (status, verdicts) == (0, ["pass"] * 4 + ["not on this device"])


def test_a_wrong_layer_is_status_1_and_is_saved_for_triage(command, monkeypatch, tmp_path):
    class Wrong(Emulator):
        starts = 0

        def write_register(self, offset, value):
            self.starts += offset == REGISTERS["CONTROL"].offset and value == CONTROL_START
            super().write_register(offset, value)

        def read_memory(self, address, size):
            return super().read_memory(address, size) ^ (self.starts == 15)

    device = Wrong(PRESETS["tiny"], 1 << 24)  # copies at 14 places come before
    opened = Opened(device, Facts("bench", counts_cycles=False, measured=False), 1 << 24)
    monkeypatch.setattr(
        "systolith_host.selftest.stages.open_device", lambda *_: nullcontext(opened)
    )
    monkeypatch.chdir(tmp_path)
    status, out, error = command("selftest", "--config", "tiny", "--device", "emulator")
    assert status == 1
    assert "layers    FAIL: network 1 of seed 0 (conv 3x3), layer " in out
    (folder,) = tmp_path.glob("*.case")
    assert f"run it again with `systolith triage {folder.name}`" in error
    status, out, _ = command("triage", folder, "--device", "emulator")
    assert status == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--device", "abacus"), "--device must be "),
        (("--device", "litex://localhost:1"), "--device litex needs --board DIR"),
        (("--device", "emulator", "--board", "x"), "--board needs --device litex://HOST:PORT"),
        (("--layers", "0"), "--layers"),
        (("--json", "nowhere/file.json"), "there is no folder nowhere"),
    ],
)
def test_misuse_is_status_2_and_one_line(command, arguments, text):
    status, out, error = command("selftest", "--config", "tiny", *arguments)
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert text in error
