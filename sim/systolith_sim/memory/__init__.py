"""The simulated external memory: its timing, its Verilog, its image in a file."""
