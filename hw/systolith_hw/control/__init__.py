"""Instruction fetch, queues, registers and counters."""
