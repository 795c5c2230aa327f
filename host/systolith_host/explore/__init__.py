"""The explorer: what a network costs over a space of accelerators and memories."""
