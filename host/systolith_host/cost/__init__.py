"""The costs of a layer's instructions on an accelerator and a memory, and their reasons."""
