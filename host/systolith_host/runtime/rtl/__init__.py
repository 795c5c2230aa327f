"""The simulated RTL as a device."""
