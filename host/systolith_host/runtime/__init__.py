"""Driving a device: registers, memory, layers."""
