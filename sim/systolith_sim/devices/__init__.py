"""Devices that run programs: the emulator and the RTL under a simulator."""
