"""Each stage passes on a device that works, and fails on one that is broken in its own way."""

import re
from dataclasses import replace

import numpy as np
import pytest

from systolith_host.errors import SystolithError
from systolith_host.runtime.backend import Facts
from systolith_host.selftest.bandwidth import check_bandwidth
from systolith_host.selftest.bench import Bench, Opened
from systolith_host.selftest.faults import check_faults
from systolith_host.selftest.layers import check_layers, kinds_of
from systolith_host.selftest.memory import check_memory, random_bytes
from systolith_host.selftest.result import Absent, Verdict
from systolith_host.selftest.stages import STAGES, run_stages
from systolith_hw.spec.memory import Memory
from systolith_hw.spec.presets import PRESETS
from systolith_hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    REGISTERS,
    STATUS_DONE,
    STATUS_ERROR,
    ErrorCode,
)
from systolith_sim.emulator.device import Emulator
from systolith_sim.testing.configs import small_config

CONFIG = small_config()
SIZE = 1 << 18
NAMES = {register.offset: name for name, register in REGISTERS.items()}


class Working(Emulator):
    """The emulator, to be broken by those below."""

    def __init__(self, config=CONFIG):
        super().__init__(config, SIZE)
        self.starts = 0

    def write_register(self, offset, value):
        if NAMES.get(offset) == "CONTROL" and value & CONTROL_START:
            self.starts += 1
        super().write_register(offset, value)


class StuckAddress(Working):
    """Bit 14 of addresses is always 0."""

    def write_memory(self, address, data):
        super().write_memory(address & ~(1 << 14), data)

    def read_memory(self, address, size):
        return super().read_memory(address & ~(1 << 14), size)


class StuckData(Working):
    """Bit 3 of the second byte of each word is always 1."""

    def read_memory(self, address, size):
        data = super().read_memory(address, size)
        data[(np.arange(address, address + size) & 3) == 1] |= 8
        return data


class Forgetting(Working):
    """A byte changes soon after it was written."""

    def write_memory(self, address, data):
        super().write_memory(address, data)
        if address <= 0x5123 < address + data.size:
            self.memory[0x5123] ^= 0x41


class Near(Working):
    """The host's upper half of the memory is none of the accelerator's."""

    def __init__(self):
        super().__init__()
        self.far = Emulator(CONFIG, SIZE)

    def write_memory(self, address, data):
        (self.far if address >= SIZE // 2 else super()).write_memory(address, data)

    def read_memory(self, address, size):
        return (self.far if address >= SIZE // 2 else super()).read_memory(address, size)


class OneWrongValue(Working):
    """The fourth layer that runs has a wrong value."""

    def read_memory(self, address, size):
        data = super().read_memory(address, size)
        if self.starts == 4:
            data[0] ^= 1
        return data


class NeverFaults(Working):
    """Errors look like ends."""

    def read_register(self, offset):
        value = super().read_register(offset)
        if NAMES.get(offset) == "STATUS" and value & STATUS_ERROR:
            return STATUS_DONE
        return value


class WrongCode(Working):
    """Every error is a bus error."""

    def read_register(self, offset):
        value = super().read_register(offset)
        return int(ErrorCode.BUS) if NAMES.get(offset) == "ERROR_CODE" and value else value


class NeverCured(Working):
    """A reset does not end an error."""

    def write_register(self, offset, value):
        if NAMES.get(offset) == "CONTROL" and value & CONTROL_RESET:
            if super().read_register(offset + 4) & STATUS_ERROR:
                return
        super().write_register(offset, value)


class LeftOver(Working):
    """After an error one more value is wrong."""

    def read_memory(self, address, size):
        data = super().read_memory(address, size)
        if self.starts == 2:
            data[-1] ^= 0x80
        return data


class Paced(Working):
    """It has cycles: so many for each byte."""

    cycles_per_byte = 0.3

    def read_register(self, offset):
        if NAMES.get(offset) == "CYCLES":
            moved = [
                super(Paced, self).read_register(REGISTERS[name].offset)
                for name in ("BYTES_READ", "BYTES_WRITTEN")
            ]
            return round(sum(moved) * self.cycles_per_byte)
        return super().read_register(offset)


class Slow(Paced):
    """A memory of a quarter of a byte per cycle."""

    cycles_per_byte = 4


class LosesWrites(Working):
    """Bit 5 of WATCHDOG is always 0."""

    def write_register(self, offset, value):
        if NAMES.get(offset) == "WATCHDOG":
            value &= ~(1 << 5)
        super().write_register(offset, value)


def bench(device, **changes):
    facts = Facts("bench", counts_cycles=isinstance(device, Paced), measured=True, memory=Memory())
    fields = {"layers": 5, "memory_test": 1 << 15, **changes}
    return Bench(Opened(device, facts, SIZE, about="a bench"), CONFIG, **fields)


def failure(device, stage, **changes):
    """Run all stages, demand that this one fails and that those before it pass; its text."""
    results = {result.stage: result for result in run_stages(bench(device, **changes))}
    before = list(STAGES)[: list(STAGES).index(stage)]
    assert all(results[name].verdict is Verdict.PASS for name in before), results
    assert results[stage].verdict is Verdict.FAIL, results[stage].line
    return results[stage].finding.text, results


def test_every_stage_passes_on_a_device_that_works():
    results = run_stages(bench(Working()))
    verdicts = [result.verdict for result in results]
    assert verdicts == [Verdict.PASS] * 4 + [Verdict.ABSENT]
    assert results[-1].line == "bandwidth not on this device: bench counts no cycles"
    assert "not on this device, which has no cycles: no progress" in results[3].line
    for result in results:
        assert "\n" not in result.line


def test_another_configuration_leaves_out_all_that_follows():
    text, results = failure(Working(PRESETS["tiny"]), "identity")
    assert text.startswith("the accelerator was built for another configuration (fingerprint ")
    others = [result for name, result in results.items() if name != "identity"]
    assert {result.verdict for result in others} == {Verdict.SKIPPED}
    assert others[0].line == "memory    not run: identity has to pass first"


def test_a_register_that_does_not_hold_what_is_written_fails():
    text, _ = failure(LosesWrites(), "identity")
    assert re.match(r"(register )?WATCHDOG holds 0x\w+, not the 0x\w+ that was written; ", text)


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (
            StuckData,
            r"^walking ones: \d+ of 4,096 bytes from 0x0 differ, the first at 0x1: expected 0x00, "
            r"got 0x08; look at a data line",
        ),
        (
            StuckAddress,
            r"^addresses: 2 of 16 bytes from 0x0 differ, the first at 0x1: expected 0x00, got "
            r"0x40; look at an address line",
        ),
        (
            Forgetting,
            r"^random bytes: 1 of 4,096 bytes from 0x5000 differ, the first at 0x5123: expected "
            r"0x.., got 0x..; look at the memory's timing",
        ),
    ],
)
def test_a_broken_memory_fails_at_the_first_wrong_address(device, text):
    found, results = failure(device(), "memory", memory_test=SIZE)
    assert re.search(text, found)
    assert results["layers"].verdict is Verdict.SKIPPED


def test_a_memory_that_only_the_accelerator_sees_wrongly_fails():
    found, _ = failure(Near(), "memory")
    assert found.startswith("the accelerator cannot copy at 0x20000: copy: FETCH: ")
    assert found.endswith("so look at the accelerator's own way to the memory")


def test_a_wrong_value_fails_with_its_place_and_its_layer():
    finding = check_layers(bench(OneWrongValue(), layers=20))
    assert finding.case is not None
    assert re.search(
        r"^network \d+ of seed 0 \([\w ]+\), layer \w+: 1 of [\d,]+ values differ, the first at "
        r"image 0, channel 0, row 0, column 0: expected -?\d+, got -?\d+; run the layer again with "
        "`systolith triage`",
        finding.text,
    )
    assert (finding.case.found != finding.case.wanted).sum() == 1


def test_every_kind_of_a_configuration_runs():
    config = replace(CONFIG, functions=1, nibbles=1)
    finding = check_layers(replace(bench(Working(config), layers=1), config=config))
    assert list(finding.figures["kinds"]) == [
        "conv 3x3",
        "pooling",
        "fully connected",
        "tables",
        "4 bits",
    ]
    assert min(finding.figures["kinds"].values()) == 1
    names = [kind.name for kind in kinds_of(PRESETS["default-gather"])]
    assert names == ["conv 3x3", "pooling", "fully connected", "Winograd", "gather", "4 bits"]


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (
            NeverFaults,
            r"^no such opcode: expected ILLEGAL by FETCH, information 0x\w+, but the program ended "
            "well; ",
        ),
        (WrongCode, r"^no such opcode: expected ILLEGAL by FETCH, .*, got BUS by FETCH, "),
        (NeverCured, r"^no such opcode: the accelerator does not work after the reset: copy: "),
        (LeftOver, r"^no such opcode: after the reset 1 of 256 values differ; "),
    ],
)
def test_errors_that_are_not_as_documented_fail(device, text):
    with pytest.raises(SystolithError, match=text):
        check_faults(bench(device()))


def test_a_slow_memory_fails_and_names_what_was_expected():
    assert (
        "LOAD 3.14 bytes per cycle, 108% of what the reads under way can (2.909); "
        in check_bandwidth(bench(Paced())).text
    )
    with pytest.raises(
        SystolithError, match=r"^LOAD 0\.2\d bytes per cycle, .*; LOAD is too slow: "
    ):
        check_bandwidth(bench(Slow()))
    with pytest.raises(Absent):
        check_bandwidth(bench(Working()))


def test_random_bytes_stay_within_the_memory():
    for count in (1, 5000, SIZE, 10 * SIZE):
        stretches = random_bytes(SIZE, count, 3)
        assert max(address + data.size for address, data in stretches) <= SIZE
        assert sum(data.size for _, data in stretches) >= min(count, SIZE)
        assert len({address for address, _ in stretches}) == len(stretches)


def test_a_seed_repeats_everything():
    texts = [check_memory(bench(Working(), seed=seed)).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
