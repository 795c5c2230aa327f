"""Drivers in C: the header of the hardware, images of programs, and the runtime's sources."""
