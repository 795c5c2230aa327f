"""The engines that move data between external memory and the on-chip buffers."""
