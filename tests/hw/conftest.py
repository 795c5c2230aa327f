"""What all tests of gateware need."""

import pytest

from systolith_sim.testing.equivalence import compare_recording
from systolith_sim.testing.recording import Recording


class NetlistRecording:
    """Records a component in the Amaranth simulator; plays the same to its netlist for ECP5."""

    def __init__(self, synthesised, folder):
        self._synthesised = synthesised
        self._folder = folder

    def record(self, component, reset=None):
        """Return the background of the simulation of this component."""
        self._component = component
        self._recording = Recording(component, reset)
        return [self._recording.follow]

    def wrong_cycles(self, settle):
        """Return in how many cycles from `settle` on the netlist's outputs are others."""
        assert len(self._recording.given) > 2 * settle
        text, self.cells = self._synthesised(self._component)
        return compare_recording(self._recording, text, self._folder, settle=settle)


@pytest.fixture
def ecp5_recording(ecp5_netlist, tmp_path):
    return NetlistRecording(ecp5_netlist, tmp_path)
