"""Lowering: operations of the array for each layer."""
