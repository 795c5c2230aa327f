"""The compiled program, the contract of compiler and runtime."""
