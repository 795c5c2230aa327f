"""The RTL under a simulator: test benches, compiled simulators, the cocotb device."""
