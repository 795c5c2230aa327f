"""Campaigns of faults on the whole accelerator: what strikes, and what must come of it."""
