"""The emulator: the instruction set in NumPy, and its check for missing dependencies."""
