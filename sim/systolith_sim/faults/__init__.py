"""The accelerator next to a memory that misbehaves on demand, for campaigns of faults."""
