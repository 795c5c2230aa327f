"""Scheduling: the pieces of a layer, and their order."""
