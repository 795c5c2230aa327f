"""Read levelling against a model of the PHY: lanes that can be read at some timings only."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from systolith_host.errors import SystolithError
from systolith_host.runtime.litex.read_levelling import Window, level_reads
from systolith_host.runtime.litex.system import ReadTiming

TIMING = ReadTiming(bitslips=4, delays=8, read_phase=1, write_phase=0)
LANES, PHASES, BEATS = 2, 2, 4


class Phy:
    """A DDR3 memory of two bytes behind an ECP5's PHY, its registers by LiteX's names.

    `windows[lane]` is the set of (bitslip, delay) at which a lane reads what stands in memory; at
    others a burst is garbled, `silent` lanes see no burst at all.
    """

    def __init__(self, windows, silent=()):
        self.link = SimpleNamespace(address="litex://board:1234")
        names = ["ddrphy_burstdet_clr"]
        self.system = SimpleNamespace(
            memory_lanes=LANES, memory_phases=PHASES, csr=dict.fromkeys(names)
        )
        self.windows = windows
        self.silent = silent
        self.bitslip = [0] * LANES
        self.delay = [0] * LANES
        self.selected = 0
        self.in_step = True
        self.row_open = False
        self.memory = [0] * PHASES
        self.read = [0] * PHASES
        self.seen = 0
        self.values = {}
        self.noise = random.Random(5)

    def set_csr(self, name, value):
        self.values[name] = value
        if name == "ddrphy_dly_sel":
            if value == 0 and self.selected:
                # Only lanes whose clocks stood go on together.
                self.in_step = self.selected == (1 << LANES) - 1
            self.selected = value
        elif name.startswith("ddrphy_rdly"):
            for lane in range(LANES):
                if self.selected >> lane & 1:
                    self._adjust(lane, name.removeprefix("ddrphy_rdly_dq_"))
        elif name == "ddrphy_burstdet_clr":
            self.seen = 0
        elif name.endswith("command_issue"):
            phase = int(name.removeprefix("sdram_dfii_pi")[0])
            self._command(phase, self.values[f"sdram_dfii_pi{phase}_command"])

    def csr(self, name):
        if name == "ddrphy_burstdet_seen":
            return self.seen
        return self.read[int(name.removeprefix("sdram_dfii_pi")[0])]

    def _adjust(self, lane, what):
        if what == "rst":
            self.delay[lane] = 0
        elif what == "inc":
            self.delay[lane] = (self.delay[lane] + 1) % TIMING.delays
        elif what == "bitslip_rst":
            self.bitslip[lane] = 0
        elif what == "bitslip":
            self.bitslip[lane] = (self.bitslip[lane] + 1) % TIMING.bitslips

    def _command(self, phase, command):
        assert self.selected == 0, "a lane's clock stands while it is selected"
        assert self.in_step, "the lanes' clocks have not gone on together"
        assert command & 1
        if command == 0x09:
            self.row_open = True
        elif command == 0x0B:
            self.row_open = False
        elif command == 0x17:
            assert self.row_open
            assert phase == TIMING.write_phase
            self.memory = [self.values[f"sdram_dfii_pi{i}_wrdata"] for i in range(PHASES)]
        elif command == 0x25:
            assert self.row_open
            assert phase == TIMING.read_phase
            self._read()
        else:
            raise AssertionError(f"unknown command {command:#x}")

    def _read(self):
        self.read = list(self.memory)
        for lane in range(LANES):
            if lane not in self.silent:
                self.seen |= 1 << lane
            if (self.bitslip[lane], self.delay[lane]) not in self.windows[lane]:
                for phase in range(PHASES):
                    byte = 8 * (self.noise.randrange(BEATS) * LANES + lane)
                    self.read[phase] ^= 0x10 << byte


def test_each_lane_gets_the_middle_of_its_widest_window():
    phy: Any = Phy(
        [
            {(2, delay) for delay in range(1, 6)} | {(1, 0), (1, 1)},
            {(0, 7), (3, 0), (3, 1), (3, 2), (3, 4)},
        ]
    )
    lines = []
    assert level_reads(phy, TIMING, lines.append) == [Window(0, 2, 1, 5), Window(1, 3, 0, 2)]
    assert (phy.bitslip, phy.delay) == ([2, 3], [3, 1])
    assert lines[0] == "memory byte 0: bitslip 2, delay 3 (1 to 5 work)"
    assert phy.selected == 0
    assert not phy.row_open


def test_a_lane_that_works_nowhere_is_named_with_what_was_tried():
    everywhere = {(bitslip, delay) for bitslip in range(4) for delay in range(8)}
    phy: Any = Phy([everywhere, {(1, 3)}])
    with pytest.raises(
        SystolithError,
        match=r"^litex://board:1234: byte 1 of the memory cannot be read with any timing "
        r"\(bitslips by delays: \.{8} \.{3}x\.{4} \.{8} \.{8}\)$",
    ):
        level_reads(phy, TIMING, lambda text: None)


def test_a_lane_without_bursts_does_not_count_as_working():
    everywhere = {(bitslip, delay) for bitslip in range(4) for delay in range(8)}
    phy: Any = Phy([everywhere, everywhere], silent=(0,))
    with pytest.raises(
        SystolithError, match=r"byte 0 of the memory cannot be read with any timing"
    ):
        level_reads(phy, TIMING, lambda text: None)
