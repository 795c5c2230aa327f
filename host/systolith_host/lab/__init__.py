"""Experiments on the generator itself, each a command."""
