"""The golden model: integer-exact NumPy on whole tensors."""
