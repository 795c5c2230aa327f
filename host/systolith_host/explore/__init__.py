"""The explorer: the costs of a network over a space of accelerators and memories."""
