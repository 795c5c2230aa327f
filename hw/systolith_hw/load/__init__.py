"""LOAD: from external memory into the on-chip buffers."""
