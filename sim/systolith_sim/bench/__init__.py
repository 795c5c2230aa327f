"""Cocotb benches, imported by the Verilog simulator."""
